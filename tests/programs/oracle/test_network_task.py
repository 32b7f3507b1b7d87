"""What the oracle does with a network task, by how far it is and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortops.contracts.network_tasks import NetworkTask, TaskState
from cortops.programs.oracle.network_task import Command, End, EndPrecommit, NextCreator, NextPreparer, Pace, Request, due, stage_of

PACE = Pace(every_s=60, step_s=10)
NOBODY: frozenset[str] = frozenset()
TASK = NetworkTask(
    id=4,
    state=TaskState.CREATE,
    creator="a",
    preparer="b",
    miners=("a", "b", "c"),
    domain="",
    subdomain="",
    seed=1,
    requested_at=1,
    started_at=0,
    ended_at=0,
    precommitted=NOBODY,
    committed=NOBODY,
)
ONE, TWO = frozenset("a"), frozenset("ab")


@pytest.mark.parametrize(
    ("state", "precommitted", "committed", "age_s", "step_age_s", "expected"),
    [
        (TaskState.ENDED, NOBODY, NOBODY, 59, 59, None),
        (TaskState.ENDED, NOBODY, NOBODY, 60, 60, Request()),
        (TaskState.CREATE, NOBODY, NOBODY, 9, 9, None),
        (TaskState.CREATE, NOBODY, NOBODY, 10, 10, NextCreator()),
        (TaskState.CREATE, NOBODY, NOBODY, 1, 20, End(forced=True)),
        (TaskState.PREPARE, NOBODY, NOBODY, 10, 10, NextPreparer()),
        (TaskState.PRECOMMIT, NOBODY, NOBODY, 10, 10, End(forced=True)),
        (TaskState.PRECOMMIT, ONE, NOBODY, 9, 9, None),
        (TaskState.PRECOMMIT, ONE, NOBODY, 10, 10, EndPrecommit()),
        (TaskState.COMMIT, TWO, ONE, 9, 9, None),
        (TaskState.COMMIT, TWO, ONE, 10, 10, End(forced=True)),
        (TaskState.COMMIT, TWO, TWO, 0, 0, End(forced=False)),
    ],
)
def test_what_is_due(
    state: TaskState, precommitted: frozenset[str], committed: frozenset[str], age_s: float, step_age_s: float, expected: Command | None
) -> None:
    task = replace(TASK, state=state, precommitted=precommitted, committed=committed)
    assert due(task, age_s, step_age_s, PACE) == expected


def test_the_first_task_is_requested_at_once() -> None:
    assert due(None, 0, 0, PACE) == Request()


def test_who_is_asked_next_has_its_own_time() -> None:
    assert stage_of(TASK) != stage_of(replace(TASK, creator="b"))
    preparing = replace(TASK, state=TaskState.PREPARE)
    assert stage_of(preparing) == stage_of(replace(preparing, creator="b")) != stage_of(replace(preparing, preparer="c"))
    assert stage_of(None)[0] == 0
