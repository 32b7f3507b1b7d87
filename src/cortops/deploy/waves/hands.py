"""Hands on adopted nodes: each change is an apply on the node's own host, at a safe moment, with its release in the environment file."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cortops.deploy.apply import Report
from cortops.deploy.host_state import Guard, HostApplied, HostState, Starting, Want, apply_host, records
from cortops.deploy.lock import Owner
from cortops.deploy.node_programs import HostRecord, Program, programs, switched
from cortops.deploy.observed import Present
from cortops.deploy.safe_moment import BEFORE_TAKING_BACK, BEFORE_UPGRADE, Moment, Patience, decide
from cortops.deploy.waves.machine import Switched, SwitchFailed, TakeBackFailed, TakenBack
from cortops.deploy.waves.plan import Step
from cortops.deploy.waves.run import Stopping
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError, NoSafeMoment, ProgramFailed, Refused, Stopped

LOOK_EVERY_S = 0.5  # while a safe moment is waited for
SAY_AGAIN_S = 30.0
_AGES = re.compile(r"[0-9]+ s ago")


async def wait_for_moment(
    look: Callable[[], Awaitable[Moment]],
    patience: Patience,
    clock: Clock,
    say: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Return when the node may be restarted. NoSafeMoment when that moment did not come, Stopped when people said so meanwhile.

    say: why it waits, at each new reason and every SAY_AGAIN_S.
    """
    begun = clock.monotonic()
    told, told_at = "", begun
    while True:
        if stopped():
            raise Stopped("stopped before anything was changed")
        decision = decide(await look(), clock.monotonic() - begun, patience)
        if decision.move == "give up":
            raise NoSafeMoment(f"not restarted: {decision.text}", why=f"it waited {clock.monotonic() - begun:.0f} s for a safe moment")
        reason = _AGES.sub("", decision.text)
        if decision.text and (reason != told or clock.monotonic() - told_at >= SAY_AGAIN_S):
            say(f"{'waits' if decision.move == 'wait' else 'goes on'}: {decision.text}")
            told, told_at = reason, clock.monotonic()
        if decision.move == "go":
            return
        await clock.sleep(LOOK_EVERY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What all changes of one run share.

    states: by host. moment: whether a node may be restarted now. guard: one key on one host. declare: writes a node's release into the
    environment file. mark: a node was changed now. say: a line about a node. accepted: the flags by which people accepted the plan.
    turns: by host, for its applies come one after the other.
    """

    states: Mapping[str, HostState]
    moment: Callable[[str], Awaitable[Moment]]
    guard: Guard
    declare: Callable[[str, str], None]
    mark: Callable[[str], None]
    say: Callable[[str, str], None]
    report: Report
    owner: Owner
    new_apply_id: Callable[[], str]
    tool_version: str
    clock: Clock
    stopping: Stopping
    accepted: Sequence[str] = ()
    turns: Mapping[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def apply(self, host: str, want: Want, patience: Patience, *, may_stop: bool) -> HostApplied:
        """One apply on one host: what is sent first, then one key on one host, then a safe moment for each node that runs."""

        async def guard(starting: Sequence[Starting]) -> None:
            await self.guard(starting)
            for each in starting:
                if each.runs_now:
                    await self._safe(each.program.name, patience, may_stop=may_stop)

        async with self.turns[host]:
            return await apply_host(
                self.states[host],
                want,
                apply_id=self.new_apply_id(),
                owner=self.owner,
                tool_version=self.tool_version,
                report=self.report,
                guard=guard,
                accepted=self.accepted,
            )

    async def _safe(self, node: str, patience: Patience, *, may_stop: bool) -> None:
        def stopped() -> bool:
            return may_stop and self.stopping.soon.is_set()

        await wait_for_moment(lambda: self.moment(node), patience, self.clock, lambda text: self.say(node, text), stopped)


class HostHands:
    """Implements deploy.waves.run.Hands. program: the new one."""

    def __init__(self, around: Around, program: Program) -> None:
        self._around = around
        self._program = program

    async def switch(self, step: Step) -> Switched | SwitchFailed:
        around, before = self._around, ""
        try:
            record = await records(around.states[step.host])
            known = programs(record.latest).get(step.node)
            before = known.release if known is not None else ""
            around.declare(step.node, self._program.release)
            await self.record(step, "begun", "")
            applied = await around.apply(step.host, self._to(step.node, self._program), BEFORE_UPGRADE, may_stop=True)
        except CortopsError as error:
            return await self._not_switched(step, before, error)
        around.mark(step.node)
        return Switched(step.node, _runs(applied, step.node))

    async def take_back(self, step: Step, why: str) -> TakenBack | TakeBackFailed:
        around = self._around
        await self.record(step, "bad", why)
        try:
            old = await self.program_before(step)
            applied = await around.apply(step.host, self._to(step.node, old), BEFORE_TAKING_BACK, may_stop=False)
            around.declare(step.node, old.release)
        except CortopsError as error:
            return TakeBackFailed(step.node, error.what)
        return TakenBack(step.node, f"{_runs(applied, step.node)} again")

    async def record(self, step: Step, outcome: str, text: str) -> None:
        """What cannot be written is said: the next run looks at that gate again."""
        try:
            await self._judge(step.host, step.node, outcome, text)
        except CortopsError as error:
            self._around.say(step.node, f"that it is {outcome} could not be written down: {error.what}")

    async def accept(self, host: str, node: str) -> None:
        """People find it good, though its gate has not passed. StoreUnavailable when that cannot be written."""
        await self._judge(host, node, "accepted", "by people")

    async def _judge(self, host: str, node: str, outcome: str, text: str) -> None:
        around = self._around
        await around.states[host].journal.judge(
            around.new_apply_id(),
            resource=f"node-program:{node}",
            program=self._program.sha256,
            outcome=outcome,
            text=text,
            by=around.owner.who,
        )

    async def program_before(self, step: Step) -> Program:
        """What the node ran before the new program, as its host has recorded it. Refused where no generation has it."""
        manifests = self._around.states[step.host].manifests
        for generation in reversed(await manifests.generations()):
            manifest = await manifests.read(generation)
            found = programs(manifest).get(step.node)
            if found is not None and found.program == step.was:
                return Program(sha256=found.program, release=found.release)
        raise Refused(f"no generation of {step.host} has what {step.node} ran before", where=step.host, next="cortops generations")

    def _to(self, node: str, program: Program) -> Want:
        return lambda record: switched(record, {node: program})

    async def _not_switched(self, step: Step, before: str, error: CortopsError) -> SwitchFailed:
        """Why, and what it runs now; the environment file says again what it said, where the old one runs. A refusal changed nothing."""
        text = error.what.removeprefix(f"node-program:{step.node} could not be made on {step.host}: ")
        if before and not isinstance(error, Refused) and not await self._runs_old(step):
            return SwitchFailed(step.node, text, "unknown")
        if before:
            self._around.declare(step.node, before)
        match error:
            case NoSafeMoment():
                return SwitchFailed(step.node, text, "moment")
            case Stopped():
                return SwitchFailed(step.node, text, "stop")
        return SwitchFailed(step.node, text, "program" if isinstance(error, ProgramFailed) else "hindrance")

    async def _runs_old(self, step: Step) -> bool:
        return await runs(self._around.states[step.host], step.node, step.was) is True


async def runs(state: HostState, node: str, program: str) -> bool | None:
    """Whether a node runs that program now; None when nobody could see."""
    try:
        record = await records(state)
        seen = await _program_now(state, record, node)
    except CortopsError:
        return None
    return None if seen is None else seen == program


async def _program_now(state: HostState, record: HostRecord, node: str) -> str | None:
    items = [item for item in (record.latest.resources if record.latest else ()) if item.resource.id == f"node-program:{node}"]
    observed = await state.driver.observe(items)
    seen = next(iter(observed.values()), None)
    return seen.attributes.get("program", "") if isinstance(seen, Present) else None


def _runs(applied: HostApplied, node: str) -> str:
    seen = next((seen for key, seen in applied.observed.items() if key.endswith(f" node-program:{node}")), None)
    if not isinstance(seen, Present):
        return "changed"
    pid = seen.attributes.get("pid", "")
    return f"runs {seen.attributes.get('program', '')[:6]}{f' as pid {pid}' if pid else ''}"
