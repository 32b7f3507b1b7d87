"""A miner's part in a network task follows from how far the chain is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.programs.oracle.test_network_task import TASK

from cortops.contracts.network_tasks import CHALLENGE_BYTES_MAX, TaskState
from cortops.programs.miner.network_task import Answer, Commit, Create, Precommit, Prepare, Step, Topic, challenge, due, topic

DONE = frozenset("a")


@pytest.mark.parametrize(
    ("state", "ours", "done", "answered", "expected"),
    [
        (TaskState.CREATE, "a", False, False, Create()),
        (TaskState.CREATE, "b", False, False, None),
        (TaskState.PREPARE, "b", False, False, Prepare()),
        (TaskState.PREPARE, "a", False, False, None),
        (TaskState.PRECOMMIT, "a", False, False, Answer()),
        (TaskState.PRECOMMIT, "a", False, True, Precommit()),
        (TaskState.PRECOMMIT, "a", True, True, None),
        (TaskState.PRECOMMIT, "z", False, True, None),
        (TaskState.COMMIT, "a", True, True, Commit()),
        (TaskState.COMMIT, "a", True, False, Answer()),  # the process was new: the same text is made again
        (TaskState.COMMIT, "b", True, True, None),  # it has not precommitted in time
        (TaskState.ENDED, "a", True, True, None),
    ],
)
def test_what_is_due(state: TaskState, ours: str, done: bool, answered: bool, expected: Step | None) -> None:
    task = replace(TASK, state=state, precommitted=DONE if done else frozenset())
    assert due(task, ours, answered=answered) == expected


def test_who_has_committed_is_done() -> None:
    assert due(replace(TASK, state=TaskState.COMMIT, precommitted=DONE, committed=DONE), "a", answered=True) is None
    assert due(None, "a", answered=False) is None


@given(st.integers(0, 2**31), st.text(max_size=500), st.text(max_size=500))
def test_a_challenge_fits_whatever_the_creator_wrote(number: int, domain: str, subdomain: str) -> None:
    made = challenge(Topic(domain=domain, subdomain=subdomain), number)
    assert domain[:64] in made and len(made) < CHALLENGE_BYTES_MAX
    assert topic(number).domain and topic(number).subdomain
