"""The network's own tasks at the oracle, pure: how far the latest one is and for how long -> what is due.

request -> create -> prepare -> precommit -> commit -> ended. Who is late is passed over: another creator, another preparer, an end of the
precommits without the missing ones. A step that stands for twice its time is over: the task is ended as it stands (facts C.4, D).
"""

from __future__ import annotations

from dataclasses import dataclass

from cortops.contracts.network_tasks import NetworkTask, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds. every_s: from the end of a task to the request of the next. step_s: what one node has for its step."""

    every_s: float
    step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Open the next task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCreator:
    """Another node is to create it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPreparer:
    """Another node is to prepare it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPrecommit:
    """Who has not precommitted is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """forced: not all who precommitted have committed."""

    forced: bool


Command = Request | NextCreator | NextPreparer | EndPrecommit | End
Stage = tuple[int, int, str]  # of which task, in which state, on whom it waits


def stage_of(task: NetworkTask | None) -> Stage:
    """What one deadline belongs to: another node has its own time."""
    if task is None:
        return 0, TaskState.NONE, ""
    waits_for = {TaskState.CREATE: task.creator, TaskState.PREPARE: task.preparer}.get(task.state, "")
    return task.id, task.state, waits_for


def due(task: NetworkTask | None, age_s: float, step_age_s: float, pace: Pace) -> Command | None:
    """age_s: since the stage was first seen. step_age_s: since the task came into its state, whoever was asked meanwhile."""
    if task is None:
        return Request()
    if task.state is TaskState.ENDED:
        return Request() if age_s >= pace.every_s else None
    if task.state is TaskState.COMMIT and task.precommitted and task.precommitted == task.committed:
        return End(forced=False)
    if step_age_s >= 2 * pace.step_s:
        return End(forced=True)
    if age_s < pace.step_s:
        return None
    match task.state:
        case TaskState.CREATE:
            return NextCreator()
        case TaskState.PREPARE:
            return NextPreparer()
        case TaskState.PRECOMMIT if task.precommitted:
            return EndPrecommit()
    return End(forced=True)
