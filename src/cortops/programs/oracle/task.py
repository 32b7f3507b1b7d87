"""One task at the oracle: events in, commands out, no I/O.

queued -> assigned -> acked -> precommitted -> committed -> ended, each with a deadline counted from when we saw the step.
At a deadline the step is closed (endAck, endPrecommit, endCommit) when some miner has taken it, so that the others are out; when none
has, the task is ended as it stands. As in the miner, the next command follows from how far the chain is, so that late, double and
rewound events are harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import IntEnum

RETRY_AFTER_S = 5.0  # a command whose effect was not seen by then is given again
COMMANDS_MAX = 50  # of one stage; past it the task is left to an operator


class Stage(IntEnum):
    """How far the whole task is; PRECOMMITTED and COMMITTED mean all its miners, or those that came in time."""

    QUEUED = 0
    ASSIGNED = 1
    ACKED = 2
    PRECOMMITTED = 3
    COMMITTED = 4
    ENDED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. `assign_s`: without any eligible miner for so long, the task is ended unserved."""

    assign_s: float
    ack_s: float
    precommit_s: float
    commit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A reading of the chain, or an event of it when `event` is set: an event never takes a task back."""

    stage: Stage
    at: float
    some: bool = False  # a miner, not all, has taken the step that this stage waits for
    event: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time goes on."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A reading found no such task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """The command given last had no effect; `at` it was known."""

    at: float


Event = Seen | Tick | Gone | SendFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """To `choose`d nodes; when there are none, nothing is sent and a later Tick asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """endAck in stage ASSIGNED, endPrecommit in ACKED, endCommit in PRECOMMITTED."""

    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """forced: not all miners have committed."""

    forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """No command has an effect on this task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The task is over."""


Command = Assign | Close | End | Leave | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """since: when the stage was first seen. given_at: of the last command in this stage, None before the first."""

    limits: Limits
    since: float
    stage: Stage = Stage.QUEUED
    some: bool = False
    given_at: float | None = None
    given: int = 0
    over: bool = False


Step = tuple[Task, tuple[Command, ...]]


def step(task: Task, event: Event) -> Step:
    """The one transition."""
    if task.over:
        return task, ()
    match event:
        case Gone():
            return replace(task, over=True), (Forget(),)
        case Seen():
            moved = _seen(task, event)
            return _next(moved, event.at) if moved is not task else (task, ())
        case SendFailed(at=at):
            return replace(task, given_at=at), ()
        case Tick(at=at):
            return _next(task, at)


def _seen(task: Task, event: Seen) -> Task:
    old, new = (task.stage, task.some), (event.stage, event.some)
    if new == old or (event.event and new < old):
        return task
    if event.stage is task.stage:  # one of several miners: the others' time goes on
        return replace(task, some=event.some)
    return replace(task, stage=event.stage, some=event.some, since=event.at, given_at=None, given=0)


def _next(task: Task, at: float) -> Step:
    if task.stage is Stage.ENDED:
        return replace(task, over=True), (Forget(),)
    due = _due(task, at)
    if due is None or (task.given_at is not None and at - task.given_at < RETRY_AFTER_S):
        return task, ()
    if task.given >= COMMANDS_MAX:
        return replace(task, over=True), (Leave(),)
    return replace(task, given_at=at, given=task.given + 1), (due,)


def _due(task: Task, at: float) -> Command | None:
    """What the stage and its age ask for."""
    age_s = at - task.since
    limits = task.limits
    match task.stage:
        case Stage.QUEUED:
            return Assign() if age_s < limits.assign_s else End(forced=True)
        case Stage.COMMITTED:
            return End(forced=False)
    limit_s = {Stage.ASSIGNED: limits.ack_s, Stage.ACKED: limits.precommit_s, Stage.PRECOMMITTED: limits.commit_s}[task.stage]
    if age_s < limit_s:
        return None
    return Close(stage=task.stage) if task.some else End(forced=True)


def with_limits(task: Task, limits: Limits) -> Task:
    """The same task with other deadlines: its own wish is known only after its first word."""
    return replace(task, limits=limits)


def choose(
    nodes: Sequence[str], registered: frozenset[str], busy: Mapping[str, int], count: int, *, late: Set[str] = frozenset()
) -> tuple[str, ...]:
    """At most `count` of the session's registered nodes, least busy first, then in the session's order.

    late: nodes that let a deadline pass lately. They are left out as long as any other is there, since one dead node of three would hold up
    each task by that deadline; when all were late, all may try.
    """
    eligible = [node for node in dict.fromkeys(nodes) if node in registered]
    in_time = [node for node in eligible if node not in late]
    return tuple(sorted(in_time or eligible, key=lambda node: busy.get(node, 0))[:count])
