from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cortops.contracts.abi import Event
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import Network
from cortops.contracts.path import find_events, path_state, read_path, task_path, verdict_text
from cortops.words.errors import UnknownName

MINER, OTHER, ROUTER, ORACLE = ("0x" + digit * 40 for digit in "1234")
DIGEST = keccak_hex(b"hello")


def event(block: int, name: str, **args: Any) -> Event:
    return Event(name=name, args={"sessionId": 1, "taskId": 2} | args, block=block, tx=f"0x{block}", log_index=0, address="0x")


LIFE = [
    event(10, "TaskSubmitted", taskData="hi", clientReference="req-1"),
    event(10, "TaskQueued", gid=5, data="hi"),
    event(11, "TaskAssigned", miners=(MINER,)),
    event(12, "TaskAcked", miner=MINER),
    event(13, "TaskPrecommitted", miner=MINER, hash=DIGEST, data=""),
    event(13, "TaskAllPrecommitted"),
    event(14, "TaskCommitted", miner=MINER, data="hello"),
    event(14, "TaskAllCommitted"),
    event(15, "TaskEnded", miners=(MINER,)),
]
TIMES = {block: 1000 + block for block in range(10, 16)}
SENDERS = {"0x10": ROUTER, "0x11": ORACLE, "0x15": ORACLE}


def test_the_whole_life_in_order_whatever_the_order_of_events() -> None:
    steps = task_path(reversed(LIFE), TIMES, SENDERS)
    assert [(step.step, step.by, step.at, step.block, step.tx, step.hash) for step in steps] == [
        ("submitted", ROUTER, 1010, 10, "0x10", keccak_hex(b"hi")),
        ("assigned", ORACLE, 1011, 11, "0x11", ""),
        ("acked", MINER, 1012, 12, "0x12", ""),
        ("precommitted", MINER, 1013, 13, "0x13", DIGEST),
        ("committed", MINER, 1014, 14, "0x14", DIGEST),
        ("ended", ORACLE, 1015, 15, "0x15", ""),
    ]
    assert (steps[0].note, steps[-1].note) == ("req-1", "1 committed")


@pytest.mark.parametrize(
    ("count", "state"), [(2, "submitted"), (3, "assigned"), (4, "acked"), (6, "precommitted"), (8, "committed"), (9, "ended")]
)
def test_state_follows_the_events(count: int, state: str) -> None:
    assert path_state(LIFE[:count]) == state


def test_one_precommit_of_two_is_not_the_tasks_state() -> None:
    assert path_state([*LIFE[:3], event(12, "TaskAcked", miner=OTHER), LIFE[3], LIFE[4]]) == "acked"


def test_an_end_without_commits_is_a_failure() -> None:
    events = [*LIFE[:4], event(20, "TaskEnded", miners=())]
    assert path_state(events) == "failed"
    assert task_path(events, TIMES, SENDERS)[-1].note == "0 committed"


def test_a_verdict_is_a_step_of_the_miner_that_was_judged() -> None:
    verdict = {"miner": MINER, "validator": OTHER, "verdict": 1, "score": 970, "evidence": DIGEST}
    judged = [event(16, "TaskValidated", **verdict), event(17, "TaskValidated", **verdict | {"verdict": 3, "evidence": "0x" + "00" * 32})]
    steps = task_path([*LIFE, *judged], TIMES, SENDERS)[-2:]
    assert [(step.step, step.by, step.hash, step.note) for step in steps] == [
        ("validated", MINER, DIGEST, f"VALID .97 by {OTHER}"),
        ("validated", MINER, "", f"RETRY .97 by {OTHER}"),
    ]
    assert path_state([*LIFE, *judged]) == "ended"


@pytest.mark.parametrize(
    ("verdict", "score", "text"),
    [(1, 1000, "VALID 1.00"), (2, 0, "INVALID .00"), (3, 59, "RETRY .05"), (4, 999, "NEEDS_SPEC .99"), (9, 500, "verdict 9 .50")],
)
def test_a_verdict_as_people_read_it(verdict: int, score: int, text: str) -> None:
    assert verdict_text(verdict, score) == text


def test_what_is_not_known_of_a_step_is_left_empty() -> None:
    step = task_path(LIFE[:1], {}, {})[0]
    assert (step.by, step.at) == ("", 0)


def test_a_search_stops_where_it_has_found_and_else_at_its_first_block(
    fake_node: Any, fake_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cortops.contracts.path.CHUNK_BLOCKS", 10)
    for task in range(1, 101):
        fake_node.grow(task)
    found = asyncio.run(find_events(fake_network, [None], until="TaskAckEnded", from_block=0))
    assert [item.args["taskId"] for item in found] == list(range(91, 101))
    assert fake_node.calls.count("eth_getLogs") == 1
    found = asyncio.run(find_events(fake_network, [None], until="TaskSubmitted", from_block=50))
    assert [item.args["taskId"] for item in found] == list(range(50, 101))


def test_a_task_that_was_never_submitted_is_unknown(fake_network: Network) -> None:
    with pytest.raises(UnknownName, match="no task 1/2"):
        asyncio.run(read_path(fake_network, 1, 2))
