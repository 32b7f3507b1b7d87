"""Play an upgrade on a stage: the machine, hands and eyes of the real one, on copies; then everything goes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cortops.deploy.apply import Report
from cortops.deploy.host_state import Starting, look_host
from cortops.deploy.node_programs import HostRecord, Program, programs, restored
from cortops.deploy.rehearsal.copies import HERE
from cortops.deploy.rehearsal.stage import Stage
from cortops.deploy.safe_moment import AT_ONCE, Moment
from cortops.deploy.waves.eyes import FleetEyes
from cortops.deploy.waves.hands import Around, HostHands, runs
from cortops.deploy.waves.machine import Switched, SwitchFailed, TakeBackFailed, TakenBack, Tell, Upgrade
from cortops.deploy.waves.plan import Step, UpgradePlan
from cortops.deploy.waves.run import Stopping, run
from cortops.targets.shell import ask_shell
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError
from cortops.words.question import Question, Reply, Shell
from cortops.words.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where people hear of it. say: a line about a copy. tell: what the machine wants people to know, with its state then."""

    say: Callable[[str, str], None]
    tell: Callable[[Tell, Upgrade], None]
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How it ended. switch_s: node -> seconds that its switch took, of those that were switched."""

    upgrade: Upgrade
    switch_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class WentBack:
    """Copies back at what they ran at first. failed: node -> what differs, or why not; equal: those whose program, start line and env
    file are the same as at first, by their hashes.
    """

    equal: tuple[str, ...]
    failed: Mapping[str, str]
    took_s: float


class _TimedHands:
    """Implements deploy.waves.run.Hands: those of the real upgrade, with a watch."""

    def __init__(self, hands: HostHands, clock: Clock) -> None:
        self._hands = hands
        self._clock = clock
        self.switch_s: dict[str, float] = {}

    async def switch(self, step: Step) -> Switched | SwitchFailed:
        begun = self._clock.monotonic()
        done = await self._hands.switch(step)
        self.switch_s[step.node] = self._clock.monotonic() - begun
        return done

    async def take_back(self, step: Step, why: str) -> TakenBack | TakeBackFailed:
        return await self._hands.take_back(step, why)

    async def record(self, step: Step, outcome: str, text: str) -> None:
        await self._hands.record(step, outcome, text)


async def play(stage: Stage, plan: UpgradePlan, program: Program, stopping: Stopping, told: Told) -> Played:
    """The upgrade of a plan for copies (copies.as_played), to its end."""
    eyes = _eyes(stage, plan, program)
    hands = _TimedHands(HostHands(_around(stage, stopping, told, eyes.mark), program), stage.means.clock)
    upgrade = await run(plan, hands, eyes, stage.means.clock, stopping, told.tell)
    return Played(upgrade=upgrade, switch_s=hands.switch_s)


async def go_back(stage: Stage, stopping: Stopping, told: Told) -> WentBack:
    """Every copy to generation 0: program, start line and env file as a whole, and then whether all three are equal."""
    clock = stage.means.clock
    begun = clock.monotonic()
    names = [copy.name for copy in stage.copies]
    try:
        await _around(stage, stopping, told).apply(HERE, _first, AT_ONCE, may_stop=False)
        seen = await look_host(stage.state, _first, stage.means.tool_version)
    except CortopsError as error:
        return WentBack(equal=(), failed=dict.fromkeys(names, error.what), took_s=clock.monotonic() - begun)
    differing = {change.resource.partition(":")[2]: change.reason for change in seen.plan.changes}
    wrong = {name: differing[name] for name in names if name in differing}
    return WentBack(equal=tuple(name for name in names if name not in wrong), failed=wrong, took_s=clock.monotonic() - begun)


def _first(record: HostRecord) -> Sequence[Resource]:
    assert record.first is not None  # a stage is adopted before anything is played
    return restored(record, record.first, tuple(programs(record.first)))


def _around(stage: Stage, stopping: Stopping, told: Told, mark: Callable[[str], None] = lambda node: None) -> Around:
    """No chain selects a copy, its key runs nowhere else, and no file declares it."""

    async def at_rest(node: str) -> Moment:
        return Moment(at=0.0, running=None, selectable=False, rounds=None)

    async def own_key(starting: Sequence[Starting]) -> None:
        """A copy's key was made for it."""

    means = stage.means
    return Around(
        states={HERE: stage.state},
        moment=at_rest,
        guard=own_key,
        declare=lambda node, release: None,
        mark=mark,
        say=told.say,
        report=told.report,
        owner=means.owner,
        new_apply_id=means.new_apply_id,
        tool_version=means.tool_version,
        clock=means.clock,
        stopping=stopping,
    )


def _eyes(stage: Stage, plan: UpgradePlan, program: Program) -> FleetEyes:
    async def ask_inside(questions: Sequence[Question]) -> Mapping[str, Reply]:
        shell = [question for question in questions if isinstance(question, Shell)]
        return await ask_shell(stage.state.target, shell, stage.means.clock)

    async def does_run(name: str) -> bool | None:
        return await runs(stage.state, name, program.sha256)

    async def nobody(addresses: Sequence[str]) -> Mapping[str, bool]:
        return {}

    nodes = {copy.name: copy.node for copy in stage.copies}
    names = [step.node for step in plan.steps]
    return FleetEyes(
        {name: nodes[name] for name in names},
        dict.fromkeys(names, ""),
        ask=ask_inside,
        tail=None,
        runs=does_run,
        registered=nobody,
        clock=stage.means.clock,
    )
