"""One ended task at the validator: events in, commands out, no I/O.

judge -> record -> over. Each try begins with judging, which reads the chain: so a transaction that was lost, doubled or refused needs no
case of its own, since what is recorded already is seen there. One command runs at a time and always answers with an event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cortops.programs.validator.evidence import Judgement

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 60.0
FAILURES_MAX = 25  # about 20 minutes; past it the task is left, until the next start looks back


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time goes on; the first one begins."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The replicas were compared."""

    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing is left to do: our verdicts are on chain, or the task is none that we judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The command given last had no effect, or none that we know of."""

    at: float


Event = Tick | Judged | Settled | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Read the task, compare its replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Write the verdicts."""

    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """It failed too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The task is over."""


Command = Judge | Record | Leave | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """due_at: of the next try, monotonic seconds. under_way: a command was given and has not answered."""

    due_at: float = 0.0
    under_way: bool = False
    failures: int = 0
    over: bool = False


def step(task: Task, event: Event) -> tuple[Task, tuple[Command, ...]]:
    """The one transition."""
    if task.over:
        return task, ()
    match event:
        case Settled():
            return replace(task, over=True), (Forget(),)
        case Tick(at=at):
            if task.under_way or at < task.due_at:
                return task, ()
            return replace(task, under_way=True), (Judge(),)
        case Judged(judgement=judgement):
            return task, (Record(judgement=judgement),)
        case Failed(at=at):
            failures = task.failures + 1
            if failures >= FAILURES_MAX:
                return replace(task, failures=failures, over=True), (Leave(),)
            pause_s = min(RETRY_FIRST_S * 2.0 ** (failures - 1), RETRY_MAX_S)
            return replace(task, failures=failures, under_way=False, due_at=at + pause_s), ()
