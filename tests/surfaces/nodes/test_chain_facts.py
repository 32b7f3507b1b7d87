"""Logs of the public contracts and of ours, read and counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.nodes import chain_logs as make
from tests.surfaces.nodes.chain_logs import miner

from cortops.contracts.artifact import load
from cortops.surfaces.nodes.chain_facts import SETTLED_AFTER_S, SHAPES, TOPICS, NetworkChain, NodeChain, count, read_logs

ME, YOU, THEM = miner(1), miner(2), miner(3)


def part(*logs: dict[str, Any], now: float = 10**6, of: str = ME) -> NodeChain:
    return both(*logs, now=now)[0][of]


def both(*logs: dict[str, Any], now: float = 10**6) -> tuple[dict[str, NodeChain], NetworkChain]:
    """Our nodes are ME and YOU; block n is at n seconds."""
    return count(read_logs(logs)[0], [ME.upper().replace("0X", "0x"), YOU], float, now)


def test_our_artifact_and_the_public_abi_are_both_known() -> None:
    ours = load("session_queue").event_topics
    named = ("TaskAssigned", "TaskAcked", "TaskPrecommitted", "TaskCommitted", "TaskEnded")
    assert {topic for event, topic in ours.items() if event.partition("(")[0] in named} <= set(TOPICS)
    assert len(SHAPES) == 14 and len(TOPICS) == 11


@pytest.mark.parametrize(
    "logs",
    [
        [make.assigned(5, 3, 4, ME, THEM), make.task("Precommitted", 6, 3, 4, ME), make.task("Committed", 7, 3, 4, ME)],
        [make.our_assigned(5, 3, 4, ME, THEM), make.our_committed(7, 3, 4, ME)],
        [make.started(5, 8, ME, THEM), make.session("Precommitted", 6, 8, ME), make.session("Committed", 7, 8, ME), make.ended(8, 8)],
    ],
    ids=["public queue", "our queue", "Cognitive"],
)
def test_a_selection_and_its_commit(logs: list[dict[str, Any]]) -> None:
    found = part(*logs)
    assert (found.selected, found.settled, found.commits, found.missed, found.missed_row, found.last_commit_block) == (1, 1, 1, 0, (), 7)
    assert part(*logs, of=YOU) == NodeChain()


def test_missed_selections_since_the_last_commit() -> None:
    found = part(
        make.started(10, 1, ME),
        make.session("Committed", 11, 1, ME),
        make.started(20, 2, ME),
        make.ended(21, 2),
        make.started(30, 3, ME),
        make.session("Precommitted", 31, 3, ME),
        make.ended(32, 3),
        make.assigned(40, 5, 1, ME),
        now=41.0,
    )
    assert (found.selected, found.settled, found.precommits, found.commits) == (4, 3, 1, 1)
    assert (found.missed, found.missed_row, found.precommits_since) == (2, (20, 30), 1)
    assert found.open == (("user", 5, 1),), "it may still commit"


def test_a_selection_that_nobody_ended_is_missed_after_a_while() -> None:
    logs = (make.started(10, 1, ME), make.assigned(20, 5, 1, ME))
    assert part(*logs, now=20.0 + SETTLED_AFTER_S).missed_row == (10,)
    assert part(*logs, now=21.0 + SETTLED_AFTER_S).missed_row == (10, 20)


def test_a_task_given_to_another_because_it_kept_silent_is_a_missed_one() -> None:
    found, _ = both(make.assigned(10, 5, 1, ME), make.assigned(12, 5, 1, YOU, index=1), make.task("Committed", 13, 5, 1, YOU), now=10**6)
    assert (found[ME].selected, found[ME].missed_row, found[YOU].commits) == (1, (10,), 1)


def test_a_commit_whose_selection_lies_before_the_window_is_work_all_the_same() -> None:
    found = part(make.session("Committed", 5, 1, ME))
    assert (found.selected, found.commits, found.last_commit_block) == (0, 1, 5)


def test_everybodys_part() -> None:
    _, network = both(
        make.started(100, 1, ME, THEM),
        make.session("Committed", 101, 1, THEM),
        make.started(200, 2, THEM, miner(4)),
        make.ended(201, 2),
        make.started(300, 3, THEM),
        make.ended(301, 3),
        now=3800.0,
    )
    assert (network.rounds, network.commits, network.others, network.others_commits) == (3, 1, 2, 1)
    assert (network.others_idle, network.others_missed_rounds, network.others_missed_since_block) == (2, 2, 200)
    assert (network.last_round_block, network.last_commit_block, network.rounds_last_hour) == (300, 101, 2)
    assert network.latest_session == 3


def test_what_cannot_be_read_is_counted_and_what_is_not_ours_passed_over() -> None:
    damaged = make.started(1, 1, ME) | {"data": "0x01"}
    other_shape = make.started(1, 1, ME) | {"topics": make.started(1, 1, ME)["topics"] + [make.word(1)]}
    stranger = make.log(1, [make.topic("Transfer(address,address,uint256)")], [], [])
    gone = make.started(1, 1, ME) | {"removed": True}
    assert read_logs([damaged, other_shape, stranger, gone, {}, {"topics": []}]) == ((), 2)


def test_a_log_that_has_its_blocks_time_tells_it() -> None:
    (event,), _ = read_logs([make.started(1, 1, ME) | {"blockTimestamp": "0x64"}])
    assert event.at == 100.0


STEPS = st.tuples(
    st.sampled_from(["assigned", "Precommitted", "Committed", "ended"]), st.integers(1, 60), st.integers(1, 6), st.integers(1, 4)
)


@given(st.lists(STEPS, max_size=40), st.integers(0, 2000))
def test_counts_hold_together_whatever_the_order(steps: list[tuple[str, int, int, int]], now: int) -> None:
    logs = [
        make.started(block, id_, miner(who), miner(who + 1))
        if step == "assigned"
        else make.ended(block, id_)
        if step == "ended"
        else make.session(step, block, id_, miner(who))
        for step, block, id_, who in steps
    ]
    nodes, network = both(*logs, now=float(now))
    for found in nodes.values():
        assert found.selected == found.settled + len(found.open) >= 0
        assert len(found.missed_row) <= found.missed <= found.settled
        assert all(block > found.last_commit_block for block in found.missed_row)
    assert network.commits == sum(step == "Committed" for step, *_ in steps)
    assert network.others_commits <= network.commits
