from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.contracts import follow
from cortops.contracts.artifact import load
from cortops.contracts.follow import Batch, Follower
from cortops.testing.clock import VirtualClock

QUEUE = "0x" + "0a" * 20


class Done(Exception):
    pass


class Script:
    """A hint that plays the next step of the story whenever the follower has nothing to do."""

    def __init__(self, *steps: Callable[[], None]) -> None:
        self.steps = list(steps)
        self.closed = False

    async def wait(self, at_most_s: float, known_hash: str) -> None:
        if not self.steps:
            raise Done
        self.steps.pop(0)()

    async def close(self) -> None:
        self.closed = True


def follower(node: Any, clock: VirtualClock, script: Script, from_block: int = 0) -> Follower:
    return Follower(node, {QUEUE: load("session_queue")}, clock=clock, from_block=from_block, hint=script)


def tell(node: Any, *steps: Callable[[], None], from_block: int = 0) -> tuple[list[Batch], Follower, VirtualClock]:
    clock, batches = VirtualClock(), []
    script = Script(*steps)
    one = follower(node, clock, script, from_block)

    async def listen() -> None:
        try:
            async for batch in one:
                batches.append(batch)  # noqa: PERF401  (what came before Done counts)
        except Done:
            pass

    clock.run(listen())
    assert script.closed
    return batches, one, clock


def tasks(batch: Batch) -> list[int]:
    return [event.args["taskId"] for event in batch.events]


def test_events_come_once_and_in_order(fake_node: Any) -> None:
    fake_node.grow(1, 2)
    fake_node.grow(3)
    batches, *_ = tell(fake_node, lambda: fake_node.grow(4, 5), lambda: None, lambda: fake_node.grow())
    assert [(b.first, b.head, b.head_at, tasks(b), b.rewound) for b in batches] == [
        (0, 2, 1002, [1, 2, 3], False),
        (3, 3, 1003, [4, 5], False),
        (4, 4, 1004, [], False),
    ]


def test_logs_of_another_head_than_the_one_seen_are_not_taken(fake_node: Any) -> None:
    """Head and logs are asked together; a node may turn to another branch between the two."""
    fake_node.grow(1)

    def turn_between() -> None:
        if fake_node.calls[-1:] == ["eth_getBlockByNumber"] and len(fake_node.blocks) == 3:
            fake_node.on_call = lambda: None
            fake_node.cut(1)
            fake_node.grow(9)

    def grow_and_turn() -> None:
        fake_node.grow(2)
        fake_node.on_call = turn_between

    batches, *_ = tell(fake_node, grow_and_turn, lambda: None, lambda: fake_node.grow(4))
    told: list[int] = []
    for batch in batches:
        told = [task for task in told if not batch.rewound or task == 1] + tasks(batch)
    assert told == fake_node.tasks() == [1, 9, 4]


def test_a_head_costs_one_look(fake_node: Any) -> None:
    """Every program of a host follows; a second look at each head would double what they all ask."""
    fake_node.grow(1)
    asked: list[int] = []

    def grow() -> None:
        asked.append(len(fake_node.calls))
        fake_node.grow(2)

    tell(fake_node, grow, grow, lambda: asked.append(len(fake_node.calls)))
    assert [after - before for before, after in pairwise(asked)] == [2, 2]  # the head and its logs, in one round trip


def test_only_what_is_asked_for_is_told(fake_node: Any) -> None:
    fake_node.grow(1)
    fake_node.grow(2)
    batches, *_ = tell(fake_node, from_block=2)
    assert [tasks(b) for b in batches] == [[2]]
    assert tell(fake_node, from_block=9)[0] == []


def test_a_head_that_goes_back_is_told_from_the_fork(fake_node: Any) -> None:
    fake_node.grow(1)

    def replace() -> None:
        fake_node.cut(2)
        fake_node.grow(7)
        fake_node.grow(8)

    batches, *_ = tell(fake_node, lambda: fake_node.grow(2), lambda: fake_node.grow(3), replace)
    assert [(b.first, b.head, tasks(b), b.rewound) for b in batches[-2:]] == [(3, 3, [3], False), (2, 3, [7, 8], True)]


def test_a_shorter_chain_is_told_even_when_nothing_new_is_on_it(fake_node: Any) -> None:
    fake_node.grow(1)
    batches, *_ = tell(fake_node, lambda: fake_node.grow(2), lambda: fake_node.cut(1), lambda: fake_node.grow(9))
    assert [(b.first, b.head, tasks(b), b.rewound) for b in batches[-2:]] == [(2, 1, [], True), (2, 2, [9], False)]


def test_a_fork_before_everything_remembered_starts_again(fake_node: Any) -> None:
    for task in range(1, 6):
        fake_node.grow(task)

    def another_chain() -> None:
        fake_node.cut(99)
        fake_node.grow(50)

    batches, *_ = tell(fake_node, another_chain)
    assert [(b.first, tasks(b), b.rewound) for b in batches] == [(0, [1, 2, 3, 4, 5], False), (0, [50], True)]


def test_an_outage_is_survived_and_shown(fake_node: Any) -> None:
    fake_node.grow(1)
    seen: list[tuple[float | None, str]] = []
    clock, script = VirtualClock(), Script(lambda: setattr(fake_node, "down", True))
    one = follower(fake_node, clock, script)

    async def listen() -> list[list[int]]:
        told = []
        try:
            async for batch in one:
                told.append(tasks(batch))  # noqa: PERF401
        except Done:
            pass
        return told

    def heal() -> None:
        seen.append((one.failing_since, one.failure))
        if clock.monotonic() > 60:
            fake_node.down = False
            fake_node.on_call = lambda: None
            if fake_node.blocks[-1].number == 1:
                fake_node.grow(2)

    fake_node.on_call = heal
    assert clock.run(listen()) == [[1], [2]]
    since = [when for when, _ in seen if when is not None]
    assert since and set(since) == {clock.now() - clock.monotonic()}  # from the first failure on
    assert seen[-1][1] == "the chain is silent"
    assert one.failing_since is None and one.failure == ""
    assert len(seen) < 30  # it backs off


def test_a_node_that_allows_short_ranges_only_is_asked_for_short_ones(fake_node: Any) -> None:
    for task in range(1, 50):
        fake_node.grow(task)
    fake_node.range_max = 10
    batches, *_ = tell(fake_node)
    assert [task for b in batches for task in tasks(b)] == list(range(1, 50))
    assert max(b.head - b.first + 1 for b in batches) <= 10


def test_a_long_history_comes_in_chunks(fake_node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "CHUNK_BLOCKS_MAX", 7)
    for task in range(1, 31):
        fake_node.grow(task)
    batches, *_ = tell(fake_node)
    assert [b.head for b in batches] == [6, 13, 20, 27, 30]


STEPS = st.lists(st.sampled_from(["grow", "grow", "empty", "cut", "replace", "down", "up", "nothing"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 2**32))
def test_whatever_happens_the_listener_ends_with_what_the_chain_holds(new_fake_node: Any, steps: list[str], seed: int) -> None:
    """Steps happen between any two calls of the follower; a listener that drops what a rewound batch covers agrees with the chain."""
    node, chance, made = new_fake_node(), random.Random(seed), iter(range(1, 10_000))

    def play(step: str) -> None:
        if step == "grow":
            node.grow(next(made), next(made))
        elif step == "empty":
            node.grow()
        elif step == "cut":
            node.cut(chance.randint(1, 4))
        elif step == "replace":
            depth = chance.randint(1, 4)
            node.cut(depth)
            for _ in range(depth + chance.randint(0, 2)):
                node.grow(next(made))
        elif step in ("down", "up"):
            node.down = step == "down"

    def play_some() -> None:
        if steps and chance.random() < 0.3:
            play(steps.pop(0))
        elif not steps:
            node.down = False

    node.on_call = play_some
    steps = list(steps)
    batches, *_ = tell(node, *[lambda: None] * 200)
    told: dict[tuple[int, int], int] = {}
    for batch in batches:
        if batch.rewound:
            told = {at: task for at, task in told.items() if at[0] < batch.first}
        for event in batch.events:
            assert event.order not in told
            told[event.order] = event.args["taskId"]
    assert [told[at] for at in sorted(told)] == node.tasks()
