"""`cortops rollback`: nodes back to what they ran before or to a generation of their host; our own programs to one of the environment."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.apply import accepted_by
from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.doctor import split
from cortops.cli.output import Progress, show, show_json, table
from cortops.cli.release_file import ReleaseFile
from cortops.cli.rollback_own import go_back, show_plan
from cortops.cli.upgrade import ATTENTION, agreed
from cortops.cli.upgrade_run import around_of, eyes_on, signals
from cortops.cli.upgrade_told import Lines, about
from cortops.deploy.host_state import Want, look_host
from cortops.deploy.limits import Accepted, Size, demand_accepted, flags_needed, over_limits
from cortops.deploy.lock import this_process
from cortops.deploy.node_programs import HostRecord, restored
from cortops.deploy.safe_moment import AT_ONCE, BEFORE_ROLLBACK, WINDOW_S, Moment
from cortops.deploy.waves.back import Goal, Goals, goals_of, release_named
from cortops.deploy.waves.hands import Around
from cortops.deploy.waves.history import HostHistory
from cortops.deploy.waves.read import adopted_now, histories
from cortops.deploy.waves.run import Stopping
from cortops.environment.declared import Environment
from cortops.probes.nodes import observe
from cortops.surfaces.fleet.adopted import adopted_hosts
from cortops.words.change import Action, Change
from cortops.words.errors import BadInput, CortopsError, NoSafeMoment, PlanChanged, Stopped, UnknownName
from cortops.words.resource import Resource

FAILED = 1


def rollback(
    *words: str,
    to: int | None = None,
    now: Annotated[bool, Parameter(negative="")] = False,
    ours: Annotated[bool, Parameter(negative="")] = False,
    plan: str = "",
    accept_large: Annotated[bool, Parameter(negative="")] = False,
    accept_irreversible: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="", alias="-y")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Nodes back to what they ran before, or to a generation of their host: program, unit and env file as a whole.

    Node after node on a host, hosts beside one another, each at a moment when it is not at work. Going back twice leads further back.
    Where no node is adopted, or with --ours: the environment's own programs, files and units as a whole; after an apply that failed, to
    what was there before it. Exit 0 when all are back, 1 when one could not be, 3 when you are asked, or when one is at work and was left.

    Parameters
    ----------
    words
        [NODE or HOST...] [FILE]: default all adopted nodes.
    to
        The generation to go back to, as cortops generations numbers them; 0 is what was there before cortops.
    now
        Do not wait for a moment when the node is not at work.
    ours
        The environment's own programs, not adopted nodes.
    plan
        Do only this plan: its digest, or at least 8 digits of it.
    accept_large
        With --plan: do this plan though it is over a limit of rules.apply.
    accept_irreversible
        Of our own programs: do what cannot be taken back, as the plan names it; records of a zone that lead back, for example.
    yes
        Do not ask.
    """
    file, names = split(words)
    env = environment(file, common)
    strays = [name for name in names if name not in env.installed and name not in env.hosts]
    if strays:
        raise UnknownName(f"{strays[0]} is no node or host of {env.file}", next=f"It has: {', '.join(list(env.installed)[:8])}")
    accepted = accepted_by(plan, large=accept_large, irreversible=accept_irreversible)
    if ours and names:
        raise BadInput(f"{names[0]} and --ours are two things to go back", next="Name nodes and hosts, or say --ours.")
    if ours or not (names or adopted_hosts(env)):
        return _ours(env, to, plan, accepted, yes, common)
    asked = Asked(
        nodes={name: env.installed[name].host for name in names if name in env.installed},
        hosts=tuple(name for name in names if name not in env.installed),
        to=to,
        now=now,
    )
    if not yes and not plan:
        found = asyncio.run(_plan(env, asked, common))
        again = " ".join(["cortops rollback", *words, *([f"--to {to}"] if to is not None else []), *(["--now"] if now else [])])
        show_json(found.as_json()) if common.json else show(found.as_text(again))
        if not found.changes or common.json or found.over or not agreed():
            return FAILED if found.goals.silent and not found.changes else ATTENTION if found.changes or found.goals.still else 0
        plan = found.digest
    done = asyncio.run(_run(env, asked, plan, common, accepted))
    show_json(done.as_json()) if common.json else show(done.as_text())
    return done.status


def _ours(env: Environment, to: int | None, digest: str, accepted: Accepted, yes: bool, common: Common) -> int:
    if not yes and not digest:
        seen, goal, may_ask = show_plan(env, to, common)
        if not may_ask or not agreed():
            return ATTENTION if seen.plan.changes or seen.unseen else 0
        to, digest = goal.generation, seen.whole.digest
    return go_back(env, to, digest, accepted, common)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What people ask for; nodes, each with its host, and hosts both empty = all adopted nodes."""

    nodes: Mapping[str, str]
    hosts: tuple[str, ...]
    to: int | None
    now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a rollback would change, as it was seen now."""

    goals: Goals
    changes: tuple[Change, ...]
    digest: str
    over: tuple[str, ...] = ()

    def as_text(self, again: str) -> str:
        """For people; `again`: the command that makes just this."""
        rows = [(one.target, one.resource.partition(":")[2], one.action, one.reason) for one in self.changes]
        lines = [table(rows, "  ")] if rows else []
        lines += [f"stays as it is: {name}: {why}" for name, why in self.goals.still]
        lines += [f"{host} could not be asked: {why}" for host, why in self.goals.silent]
        lines += [f"over a limit: {one}" for one in self.over]
        if not rows:
            return "\n".join([*lines, "Nothing to do where we could look." if self.goals.silent else "Nothing to do."])
        command = " ".join((again, "--plan", self.digest[:12], *flags_needed(self.over, ())))
        return "\n".join([*lines, f"digest {self.digest[:12]}    next: {command}"])

    def as_json(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "goals": [
                {
                    "node": goal.node,
                    "host": goal.host,
                    "generation": goal.earlier.generation,
                    "sha256": goal.program,
                    "release": goal.release,
                }
                for goal in self.goals.goals
            ],
            "changes": [
                {"target": one.target, "resource": one.resource, "action": one.action, "reason": one.reason} for one in self.changes
            ],
            "still": [{"node": name, "why": why} for name, why in self.goals.still],
            "silent": [{"host": host, "why": why} for host, why in self.goals.silent],
            "over_limits": list(self.over),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """How a rollback ended. back: nodes that run what they should; failed, left: node -> why."""

    back: tuple[str, ...]
    failed: Mapping[str, str]
    left: Mapping[str, str]
    still: tuple[tuple[str, str], ...]
    took_s: float

    @property
    def status(self) -> int:
        return FAILED if self.failed else ATTENTION if self.left else 0

    def as_text(self) -> str:
        """For people: what is back, what is not, and the next command."""
        count = len(self.back)
        lines = [f"{count} node{'' if count == 1 else 's'} back, in {about(self.took_s)}."] if count else ["Nothing was changed."]
        lines += [f"{name}: {why}" for name, why in (*self.failed.items(), *self.left.items(), *self.still)]
        return "\n".join([*lines, "next: cortops nodes" if self.status == 0 else "next: the same command again: it does what is left"])

    def as_json(self) -> dict[str, object]:
        told = {"failed": self.failed, "left": self.left, "still": dict(self.still)}
        return {"back": list(self.back), **{name: dict(pairs) for name, pairs in told.items()}, "took_s": round(self.took_s, 1)}


async def _plan(env: Environment, asked: Asked, common: Common) -> Found:
    async with here(env, common) as place:
        return await _look(env, place, asked)


async def _look(env: Environment, place: Here, asked: Asked) -> Found:
    states, version = place.deployment.states, place.deployment.tool_version
    found = await histories(states)
    runs = {node: now.program for node, now in (await adopted_now(states, version)).items()} if asked.to is None else {}
    goals = goals_of(found.values(), nodes=asked.nodes, hosts=asked.hosts, to=asked.to, runs=runs)
    looks = await asyncio.gather(*(look_host(states[group[0].host], _want(group), version) for group in goals.groups))
    wanted = {goal.node for goal in goals.goals}
    changes = tuple(change for look in looks for change in look.plan.changes if change.resource.partition(":")[2] in wanted)
    digest = hashlib.sha256("".join(look.plan.digest for look in looks).encode()).hexdigest()
    return Found(goals=goals, changes=changes, digest=digest, over=over_limits(_size(changes, found), env.rules.apply))


def _size(changes: Sequence[Change], histories: Mapping[str, HostHistory]) -> Size:
    """All at once, hosts being beside one another."""
    stops = tuple(f"{change.resource.partition(':')[2]} on {change.target}" for change in changes if change.action is Action.RESTART)
    running = sum(len(history.latest) for history in histories.values())
    return Size(stops=(stops,), running=running, hosts=tuple(dict.fromkeys(change.target for change in changes)))


def _want(goals: Sequence[Goal]) -> Want:
    """All of these as in the generation that they go back to; the other nodes of the host as they are."""

    def want(record: HostRecord) -> Sequence[Resource]:
        return restored(record, goals[0].earlier, {goal.node for goal in goals})

    return want


async def _run(env: Environment, asked: Asked, digest: str, common: Common, accepted: Accepted) -> Back:
    async with here(env, common) as place:
        place.deployment.lock.demand_allowed(this_process())
        found = await _look(env, place, asked)
        if digest and not found.digest.startswith(digest):
            raise PlanChanged(f"the plan is now {found.digest[:12]}, not {digest[:12]}: something changed since it was made")
        demand_accepted(found.over, (), accepted, f"the same command with --plan {found.digest[:12]}")
        lines = Lines(Progress(sys.stderr), place.deployment.clock, {goal.node: goal.host for goal in found.goals.goals})
        file = ReleaseFile(Path(env.file))
        file.demand_writable()
        stopping = Stopping()
        around = replace(await _around(env, place, asked, found, lines, file, stopping), accepted=accepted.flags)
        changing = {change.resource.partition(":")[2] for change in found.changes}
        results: dict[str, CortopsError | None] = {}

        async def on_host(goals: Sequence[Goal]) -> None:
            for goal in goals:
                if goal.node in changing and not stopping.soon.is_set():
                    results[goal.node] = await _back(around, env, goal, lines, now=asked.now)

        with signals(stopping, lines):
            await asyncio.gather(*(on_host(goals) for goals in found.goals.by_host.values()))
        return _ended(found, results, changing, lines.took_s)


async def _around(env: Environment, place: Here, asked: Asked, found: Found, lines: Lines, file: ReleaseFile, stopping: Stopping) -> Around:
    """Eyes for the safe moment, unless nobody waits for it."""

    async def unseen(node: str) -> Moment:
        return Moment(at=0.0, running=None, selectable=False, rounds=None)

    if asked.now:
        return around_of(env, place, unseen, file, lines, stopping)
    deployment = place.deployment
    seen = await observe(env, deployment.ask, place.http, deployment.clock, since_s=WINDOW_S)
    eyes = await eyes_on(env, place, seen, [goal.node for goal in found.goals.goals], "")
    return around_of(env, place, eyes.moment, file, lines, stopping)


async def _back(around: Around, env: Environment, goal: Goal, lines: Lines, *, now: bool) -> CortopsError | None:
    """One node back; why not, as a value."""
    try:
        await around.apply(goal.host, _want([goal]), AT_ONCE if now else BEFORE_ROLLBACK, may_stop=True)
        if name := release_named(goal, {name: build.sha256 for name, build in env.programs.items()}):
            around.declare(goal.node, name)
        else:
            lines.node(goal.node, f"{env.file} has no release that is {goal.program[:6]}: correct its release by hand")
    except CortopsError as error:
        lines.node(goal.node, error.what)
        return error
    lines.node(goal.node, f"runs {goal.program[:6]}, as in generation {goal.earlier.generation}")
    return None


def _ended(found: Found, results: Mapping[str, CortopsError | None], changing: Collection[str], took_s: float) -> Back:
    """What became of each node. One that was at work, and one that nobody came to, is left as it was."""
    waits = {name: f"{error.what}; --now does not wait" for name, error in results.items() if isinstance(error, NoSafeMoment)}
    stopped = {goal.node: "not begun" for goal in found.goals.goals if goal.node in changing and goal.node not in results}
    stopped |= {name: "stopped before anything was changed" for name, error in results.items() if isinstance(error, Stopped)}
    failed = {name: error.what for name, error in results.items() if error is not None and name not in waits and name not in stopped}
    failed |= {host: f"could not be asked: {why}" for host, why in found.goals.silent}
    return Back(
        back=tuple(name for name, error in results.items() if error is None),
        failed=failed,
        left=waits | stopped,
        still=found.goals.still,
        took_s=took_s,
    )
