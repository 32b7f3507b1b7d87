from __future__ import annotations

from typing import Any

import pytest

from cortops.contracts.abi import Event
from cortops.programs.common.progress import Progress
from cortops.programs.validator.judge import Asked, Replica
from cortops.programs.validator.reading import asked_of, is_ours, story_of, unjudged, with_results

US = "0xAbC"


def event(name: str, session: int = 1, task: int = 7, **args: Any) -> Event:
    return Event(name=name, args={"sessionId": session, "taskId": task, **args}, block=1, tx="0x", log_index=0, address="0x")


def ended(task: int, *miners: str, session: int = 1) -> Event:
    return event("TaskEnded", session, task, miners=miners)


TASK = (
    event("TaskSubmitted", taskData="?", clientReference="r"),
    event("TaskAssigned", miners=("c", "a", "b")),
    event("TaskCommitted", miner="a", data="one"),
    event("TaskCommitted", miner="c", data=""),
    ended(7, "a", "c"),
)


def test_a_task_is_read_in_the_order_of_assignment_and_who_is_absent_is_named() -> None:
    story = story_of(TASK, US, kept=True)
    assert story.replicas == (Replica(miner="c", text=""), Replica(miner="a", text="one"))
    assert (story.absent, story.ended, story.recorded, story.kept) == (("b",), True, False, True)
    assert not story_of(TASK[:-1], US, kept=True).ended
    assert story_of((), US, kept=False).replicas == ()


def test_a_record_is_ours_whatever_the_case_of_the_address() -> None:
    ours, theirs = (event("TaskVerdictsRecorded", validator=who, note="") for who in ("0xaBc", "0xdef"))
    assert is_ours(ours, US) and not is_ours(theirs, US) and not is_ours(TASK[0], US)
    assert story_of((*TASK, theirs, ours), US, kept=True).recorded and not story_of((*TASK, theirs), US, kept=True).recorded


def test_only_an_end_with_results_is_judged() -> None:
    assert with_results(ended(1, "a")) and not with_results(ended(1)) and not with_results(TASK[2])


def test_what_ended_and_was_not_judged_is_found_newest_within_the_limit() -> None:
    told = [ended(1, "a"), ended(1, "a", session=2), ended(2), ended(3, "a"), ended(3, "a"), ended(4, "a")]
    recorded = [event("TaskVerdictsRecorded", 1, 3, validator=US, note="")]
    assert unjudged(told, recorded, 10) == ((1, 1), (2, 1), (1, 4))
    assert unjudged(told, recorded, 2) == ((2, 1), (1, 4))
    assert unjudged([], recorded, 2) == ()


def test_a_task_that_storage_has_lost_since_is_not_taken_up() -> None:
    told = [ended(1, "a"), ended(2, "a"), ended(1, "a", session=2), ended(65, "a")]
    assert unjudged(told, [], 10) == ((1, 2), (2, 1), (1, 65))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(text="Why?", prompt_type=1), Asked(prompt="Why?")),
        (Progress(text="Why?", prompt_type=0, template="Answer: {prompt}"), Asked(prompt="Answer: Why?")),
        (Progress(text='{"messages":[{"role":"user","content":"Why?"}]}', prompt_type=2), Asked(prompt="Why?")),
        (
            Progress(
                text='{"messages":[{"role":"system","content":"Be short."},{"role":"assistant","content":"Yes."},'
                '{"role":"user","content":[{"type":"text","text":"Why?"},{"type":"image_url"}]},7]}',
                prompt_type=2,
            ),
            Asked(prompt="Be short.\nWhy?"),
        ),
        (Progress(text="Why?", prompt_type=9), Asked(prompt="", unread="prompt type 9 is not one of 0, 1, 2")),
    ],
)
def test_what_a_task_asks_for(progress: Progress, expected: Asked) -> None:
    assert asked_of(progress) == expected


def test_a_private_task_is_told() -> None:
    urn = "urn:cortops:payload:1:lab:1:prompt:task:v1:" + "0" * 64
    sealed = (event("TaskSubmitted", taskData=urn, clientReference="r"), *TASK[1:])
    assert story_of(sealed, US, kept=True).private and not story_of(TASK, US, kept=True).private


def test_a_chat_that_is_none_cannot_be_read() -> None:
    assert asked_of(Progress(text="Why?", prompt_type=2)).unread.startswith("the task's text is not a chat body")


def test_a_replica_knows_the_block_of_its_promise() -> None:
    promised = (*TASK[:2], event("TaskPrecommitted", miner="a", hash="0x", data=""), *TASK[2:])
    assert [one.block for one in story_of(promised, US, kept=True).replicas] == [0, 1]
    assert story_of(promised, US, kept=True).asked.prompt == "?"
