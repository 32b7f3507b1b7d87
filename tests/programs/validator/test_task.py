from __future__ import annotations

from cortops.programs.validator.evidence import Judgement
from cortops.programs.validator.task import (
    FAILURES_MAX,
    RETRY_MAX_S,
    Event,
    Failed,
    Forget,
    Judge,
    Judged,
    Leave,
    Record,
    Settled,
    Task,
    Tick,
    step,
)  # fmt: skip

JUDGEMENT = Judgement(verdicts=(), evidence=b"", note="")


def play(*events: Event, task: Task | None = None) -> tuple[Task, list[object]]:
    task, given = task or Task(), []
    for event in events:
        task, commands = step(task, event)
        given += commands
    return task, given


def test_a_task_is_judged_recorded_and_forgotten() -> None:
    _, given = play(Tick(at=5), Judged(judgement=JUDGEMENT), Settled(), Settled(), Tick(at=99))
    assert given == [Judge(), Record(judgement=JUDGEMENT), Forget()]


def test_one_command_runs_at_a_time_however_long_it_takes() -> None:
    task, given = play(Tick(at=0), Tick(at=1), Tick(at=10_000))
    assert given == [Judge()]
    assert play(Judged(judgement=JUDGEMENT), Tick(at=20_000), task=task)[1] == [Record(judgement=JUDGEMENT)]


def test_a_task_that_needs_no_verdict_is_forgotten() -> None:
    assert play(Tick(at=0), Settled())[1] == [Judge(), Forget()]


def test_after_a_failure_the_chain_is_read_again_later_and_later() -> None:
    task, at, pauses = Task(), 0.0, []
    for _ in range(9):
        task, given = play(Tick(at=at), Judged(judgement=JUDGEMENT), Failed(at=at), task=task)
        assert given == [Judge(), Record(judgement=JUDGEMENT)]
        assert play(Tick(at=task.due_at - 0.01), task=task)[1] == []
        pauses.append(task.due_at - at)
        at = task.due_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60] and RETRY_MAX_S == 60


def test_a_task_that_always_fails_is_left() -> None:
    task, at, given = Task(), 0.0, []
    for _ in range(FAILURES_MAX + 5):
        task, commands = play(Tick(at=at), Failed(at=at), task=task)
        given += commands
        at += RETRY_MAX_S
    assert given == [Judge()] * FAILURES_MAX + [Leave()]
