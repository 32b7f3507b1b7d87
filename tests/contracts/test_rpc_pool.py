"""Which of several RPCs is used: what the rule says of every state, and what a pool does with two that fail, lag and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.contracts.rpc_pool import (
    FAILURES_MAX,
    LAG_MAX_BLOCKS,
    LOOK_EVERY_S,
    RETURN_AFTER_S,
    RpcPool,
    Seen,
    is_usable,
    usable_ways,
    use_now,
)
from cortops.protocol.http import HttpClient
from cortops.testing.clock import VirtualClock
from cortops.testing.orbit.server import OrbitServer, serving
from cortops.testing.orbit.world import CHILD_ID, HEAD, OrbitWorld
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, ChainUnreachable, RpcRefused

NOW = 1_000.0
WELL = Seen(head=100, well_since=NOW - RETURN_AFTER_S)
JUST_BACK = Seen(head=100, well_since=NOW - 1)
BEHIND = Seen(head=100 - LAG_MAX_BLOCKS - 1, well_since=0.0)
ELSEWHERE = Seen(head=9_000, other_chain=True)
FAILING = Seen(failures=FAILURES_MAX, head=100)
ONCE = Seen(failures=1, head=100)


@pytest.mark.parametrize(
    ("current", "seen", "used", "why"),
    [
        (0, (WELL, WELL), 0, "the first is well"),
        (0, (ONCE, WELL), 0, "one failure is none"),
        (0, (FAILING, WELL), 1, "failover"),
        (0, (FAILING, JUST_BACK), 1, "failover does not wait"),
        (0, (BEHIND, WELL), 1, "too far behind"),
        (0, (Seen(), BEHIND), 0, "never looked at is no reproach"),
        (0, (ELSEWHERE, WELL), 1, "another chain, however high its head"),
        (0, (WELL, ELSEWHERE), 0, "nor is the first behind another chain"),
        (1, (JUST_BACK, WELL), 1, "the return takes a while"),
        (1, (WELL, WELL), 0, "the return"),
        (1, (FAILING, FAILING), 1, "none is usable: stay"),
        (2, (FAILING, WELL, WELL), 1, "back to the best that is well"),
        (1, (WELL, FAILING), 0, "failover the other way"),
        (0, (FAILING,), 0, "a single one"),
    ],
)
def test_which_is_used(current: int, seen: tuple[Seen, ...], used: int, why: str) -> None:
    assert use_now(current, seen, NOW) == used, why


SEEN = st.builds(
    Seen,
    failures=st.integers(0, 4),
    head=st.none() | st.integers(0, 200),
    other_chain=st.booleans(),
    well_since=st.none() | st.floats(0, NOW),
)


@given(seen=st.lists(SEEN, min_size=1, max_size=6), data=st.data())
def test_a_usable_one_is_used_where_there_is_one_and_the_choice_is_stable(seen: list[Seen], data: st.DataObject) -> None:
    current = data.draw(st.integers(0, len(seen) - 1))
    best = max((one.head for one in seen if one.head is not None and not one.other_chain), default=0)
    used = use_now(current, seen, NOW)
    assert is_usable(seen[used], best) or not any(is_usable(one, best) for one in seen)
    assert use_now(used, seen, NOW) == used
    assert set(usable_ways(used, seen)) <= set(range(len(seen))) and usable_ways(used, seen)[0] == used


def pooled(test: Callable[[RpcPool, OrbitServer, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(OrbitWorld(now=SystemClock().now)) as server:
            http, clock = HttpClient(clock=SystemClock()), VirtualClock()
            try:
                await test(RpcPool((server.url["main"], server.url["fallback"]), CHILD_ID, http, clock), server, clock)
            finally:
                await http.close()

    asyncio.run(main())


async def head(pool: RpcPool) -> int:
    return int(await pool.call("eth_blockNumber"), 16)


def test_a_read_never_sees_the_failure_and_the_return_takes_a_minute() -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        assert (await head(pool), pool.current) == (HEAD, 0)
        server.world.inject("main-down")
        assert [await head(pool) for _ in range(FAILURES_MAX)] == [HEAD] * FAILURES_MAX
        assert pool.current == 1
        server.world.heal()
        used = []
        for _ in range(int(RETURN_AFTER_S / LOOK_EVERY_S) + 2):
            await clock.advance(LOOK_EVERY_S)
            await head(pool)
            used.append(pool.current)
        assert used == [1, 1, 1, 1, 0, 0]

    pooled(test)


@pytest.mark.parametrize("fault", ["wrong-id", "lag"])
def test_another_chain_or_an_old_one_is_left_at_the_next_look(fault: str) -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        server.world.inject(fault)
        assert (await head(pool), pool.current) == (HEAD, 1)

    pooled(test)


def test_who_is_asked_too_often_is_left_alone() -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        await head(pool)
        server.world.inject("rate-limit")
        before = server.requests["main"]
        assert [await head(pool) for _ in range(5)] == [HEAD] * 5
        assert (server.requests["main"] - before, pool.current) == (FAILURES_MAX, 1)

    pooled(test)


def test_half_a_batch_is_no_answer() -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        await head(pool)
        server.world.inject("half-batch")
        assert await pool.batch([("eth_blockNumber", ()), ("eth_chainId", ())]) == [hex(HEAD), hex(CHILD_ID)]

    pooled(test)


def test_a_transaction_is_sent_once() -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        await head(pool)
        server.world.inject("main-down")
        before = server.requests["fallback"]
        with pytest.raises(ChainUnreachable):
            await pool.call("eth_sendRawTransaction", "0x00")
        assert server.requests["fallback"] == before

    pooled(test)


def test_a_refusal_of_its_own_is_not_asked_elsewhere() -> None:
    async def test(pool: RpcPool, server: OrbitServer, clock: VirtualClock) -> None:
        before = server.requests["fallback"]
        with pytest.raises(RpcRefused, match="does not exist"):
            await pool.call("eth_nonsense")
        assert server.requests["fallback"] == before + 1  # the look

    pooled(test)


def test_a_pool_has_one_to_twenty() -> None:
    http, clock = HttpClient(clock=SystemClock()), VirtualClock()
    for count in (0, 21):
        with pytest.raises(BadInput):
            RpcPool(["http://127.0.0.1:1"] * count, CHILD_ID, http, clock)
