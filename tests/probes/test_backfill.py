"""The past from endpoints that refuse, lag, forget, limit and die; on a clock that the test owns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.contracts.rpc import RpcClient
from cortops.probes.backfill import (
    CHUNK_FIRST_BLOCKS,
    FAILURES_MAX,
    Filled,
    Heads,
    fill,
    find_times,
    look_at_heads,
    look_at_wallets,
)
from cortops.surfaces.nodes.blocks import Look
from cortops.surfaces.nodes.seen import NEWEST
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import ChainError, ChainUnreachable, RpcRefused

KEYED = "https://rpc.example/v2/kEy"


@dataclass
class Endpoint:
    """A node of a chain with a block every `block_s` and one log in each block of `busy`."""

    clock: VirtualClock
    url: str = KEYED
    head: int = 1_000_000
    block_s: float = 0.25
    busy: Sequence[int] = ()
    range_max: int = 10**9
    logs_max: int = 10**9
    keeps: int = 10**9  # blocks of history
    takes_s: float = 0.1
    batches: bool = True
    fails: Callable[[str], ChainError | None] = lambda method: None
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    @property
    def head_at(self) -> float:
        return START

    @property
    def look(self) -> Look:
        return Look(url=self.url, asked_at=START, number=self.head, head_at=self.head_at)

    async def call(self, method: str, *params: Any) -> Any:
        self.asked.append((method, params))
        await self.clock.sleep(self.takes_s)
        if (failure := self.fails(method)) is not None:
            raise failure
        return getattr(self, method)(*params)

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if not self.batches:
            raise RpcRefused("batches are not allowed")
        answers: list[Any] = []
        for method, params in calls:
            try:
                answers.append(await self.call(method, *params))
            except RpcRefused as error:
                answers.append(error)
        return answers

    def eth_chainId(self) -> str:
        return hex(421614)

    def eth_getBlockByNumber(self, tag: str, _full: bool) -> dict[str, str] | None:
        number = self.head if tag == "latest" else int(tag, 16)
        if not self.head - self.keeps <= number <= self.head:
            return None
        return {"number": hex(number), "timestamp": hex(int(self.head_at - (self.head - number) * self.block_s))}

    def eth_getBalance(self, address: str, tag: str) -> str:
        return hex(1000 if tag == "latest" else self._kept(tag))

    def eth_getTransactionCount(self, address: str, tag: str) -> str:
        return hex(7 if tag == "latest" else self._kept(tag) % 7)

    def _kept(self, tag: str) -> int:
        if self.head - int(tag, 16) > self.keeps:
            raise RpcRefused("missing trie node")
        return int(tag, 16)

    def eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last > self.head:
            raise RpcRefused("block is in the future")
        if last - first + 1 > self.range_max:
            raise RpcRefused("block range too large")
        found = [{"blockNumber": hex(block), "logIndex": "0x0"} for block in self.busy if first <= block <= last]
        if len(found) > self.logs_max:
            raise RpcRefused(f"query returned more than {self.logs_max} results")
        return found


def run(clock: VirtualClock, work: Coroutine[Any, Any, Any]) -> Any:
    return clock.run(work)


def filled(
    *endpoints: Endpoint, first: int = 0, deadline_s: float = 15.0, report: Callable[[float], None] = lambda fraction: None
) -> Filled:
    clock = endpoints[0].clock
    pairs: list[tuple[RpcClient, Look]] = [(endpoint, endpoint.look) for endpoint in endpoints]  # type: ignore[misc]
    found: Filled = run(clock, fill(pairs, ["0x1"], ["0x2"], first=first, clock=clock, deadline_s=deadline_s, report=report))
    return found


def blocks(found: Filled) -> list[int]:
    return sorted(int(log["blockNumber"], 16) for log in found.logs)


BUSY = range(0, 1_000_001, 1_000)


@pytest.mark.parametrize("range_max", [10**9, 100_000, 10_000, 5_000])
def test_all_is_read_whatever_range_is_taken(range_max: int) -> None:
    endpoint = Endpoint(VirtualClock(), busy=BUSY, range_max=range_max)
    found = filled(endpoint, first=700_000)
    assert (found.complete, found.covered, found.head, found.why) == (True, 700_000, 1_000_000, "")
    assert blocks(found) == list(range(700_000, 1_000_001, 1_000))
    refused = sum(method == "eth_getLogs" for method, _ in endpoint.asked) - 300_000 // min(range_max, CHUNK_FIRST_BLOCKS)
    assert refused < 20, "it learns what is taken"


def test_too_many_results_shrink_the_range_too() -> None:
    found = filled(Endpoint(VirtualClock(), busy=range(900_000, 1_000_001, 10), logs_max=500), first=900_000)
    assert (found.complete, len(found.logs)) == (True, 10_001)


def test_what_was_not_read_in_time_is_said_and_the_newest_part_is_whole() -> None:
    progress: list[float] = []
    found = filled(Endpoint(VirtualClock(), busy=BUSY, range_max=500, takes_s=0.5), first=700_000, report=progress.append)
    assert not found.complete and 700_000 < found.covered < 1_000_000
    assert blocks(found) == [block for block in BUSY if block >= found.covered]
    assert found.why == "the RPC did not give more within 15 s"
    assert progress == sorted(progress) and 0 < progress[-1] < 1


def test_several_endpoints_share_the_work_and_one_that_dies_hides_nothing() -> None:
    clock = VirtualClock()
    slow = Endpoint(clock, "https://slow.example", busy=BUSY, range_max=10_000)
    dead = Endpoint(clock, "https://dead.example", fails=lambda method: ChainUnreachable("no answer from https://dead.example"))
    other = Endpoint(clock, "https://other.example", busy=BUSY, range_max=2_000)
    found = filled(dead, slow, other, first=700_000)
    assert (found.complete, blocks(found)) == (True, list(range(700_000, 1_000_001, 1_000)))
    assert len(dead.asked) <= FAILURES_MAX + 1 and other.asked and slow.asked


def test_an_endpoint_behind_is_not_asked_of_what_it_does_not_know() -> None:
    clock = VirtualClock()
    behind = Endpoint(clock, "https://behind.example", head=999_000, busy=BUSY)
    best = Endpoint(clock, "https://best.example", busy=BUSY, range_max=1_000)
    found = filled(best, behind, first=990_000)
    assert (found.complete, found.head, blocks(found)) == (True, 1_000_000, list(range(990_000, 1_000_001, 1_000)))
    assert [method for method, (query, *_) in behind.asked if int(query["toBlock"], 16) > 999_000] == []


def test_no_endpoint_left_is_an_answer_that_covers_nothing_and_shows_no_key() -> None:
    endpoint = Endpoint(VirtualClock(), fails=lambda method: ChainUnreachable(f"no answer from the chain at {KEYED}: refused"))
    found = filled(endpoint, first=10)
    assert (found.logs, found.complete, found.covered) == ((), False, 1_000_001)
    assert found.why == "no answer from the chain at https://rpc.example: refused"


def test_too_many_requests_are_waited_out() -> None:
    left = [2]

    def limited(method: str) -> ChainError | None:
        left[0] -= 1
        return RpcRefused("rate limit exceeded") if left[0] >= 0 else None

    clock = VirtualClock()
    found = filled(Endpoint(clock, busy=BUSY, fails=limited), first=990_000)
    assert (found.complete, len(found.logs)) == (True, 11)
    assert clock.monotonic() > 1.0


@pytest.mark.parametrize("said", [None, "0x", [1], [{"blockNumber": "0x1"}], [{"blockNumber": None}]])
def test_an_answer_that_is_no_logs_of_that_range_is_no_answer(said: Any) -> None:
    endpoint = Endpoint(VirtualClock())
    endpoint.eth_getLogs = lambda query: said  # type: ignore[method-assign]
    found = filled(endpoint, first=999_999)
    assert (found.logs, found.complete) == ((), False)


def test_nothing_to_read() -> None:
    found = filled(Endpoint(VirtualClock()), first=1_000_001)
    assert (found.logs, found.complete) == ((), True)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 500), st.floats(0.01, 2)), min_size=1, max_size=3),
    st.sets(st.integers(0, 500), max_size=30),
    st.integers(0, 300),
)
def test_the_part_that_is_covered_is_whole(endpoints: list[tuple[int, int, float]], busy: set[int], first: int) -> None:
    clock = VirtualClock()
    made = [
        Endpoint(clock, f"https://{at}.example", head=500 - behind, busy=sorted(busy), range_max=most, takes_s=takes_s)
        for at, (behind, most, takes_s) in enumerate(endpoints)
    ]
    found = filled(*made, first=first, deadline_s=6.0)
    assert blocks(found) == [block for block in sorted(busy) if max(first, found.covered) <= block <= found.head]
    assert found.complete == (found.covered <= first or first > found.head) and bool(found.why) != found.complete


# --- heads, times and wallets ---


def heads(*endpoints: Endpoint, chain_id: int | None = 421614) -> Heads:
    clock = endpoints[0].clock
    found: Heads = run(clock, look_at_heads(endpoints, clock, chain_id))  # type: ignore[arg-type]
    return found


def test_heads_of_all_and_why_one_says_nothing() -> None:
    clock = VirtualClock()
    good, single = Endpoint(clock, "https://a.example"), Endpoint(clock, "https://b.example", head=7, batches=False)
    other = Endpoint(clock, "https://c.example")
    other.eth_chainId = lambda: "0x1"  # type: ignore[method-assign]
    dead = Endpoint(clock, KEYED, fails=lambda method: ChainUnreachable(f"no answer from the chain at {KEYED}"))
    found = heads(good, single, other, dead)
    assert [(look.url, look.number) for look in found.looks] == [("https://a.example", 1_000_000), ("https://b.example", 7)]
    assert found.best == found.looks[0]
    assert found.failed == {
        "https://c.example": "serves chain 1, not 421614",
        KEYED: "no answer from the chain at https://rpc.example",
    }


@pytest.mark.parametrize(("block_s", "head"), [(0.25, 60_000_000), (12.0, 20_000_000), (2.0, 900_000), (1.0, 100)])
def test_blocks_of_the_past_are_found_by_their_times(block_s: float, head: int) -> None:
    endpoint = Endpoint(VirtualClock(), head=head, block_s=block_s)
    ages = (3_600.0, 86_400.0, 7 * 86_400.0)
    times = run(endpoint.clock, find_times(endpoint, endpoint.look, ages))  # type: ignore[arg-type]
    for age in ages:
        expected = max(0, int(head - age / block_s))
        assert times.block(endpoint.head_at - age) == pytest.approx(expected, abs=max(2, 0.02 * age / block_s))
    assert len(endpoint.asked) < 20


def test_a_node_without_old_blocks_ends_the_search() -> None:
    endpoint = Endpoint(VirtualClock(), keeps=2_000)
    times = run(endpoint.clock, find_times(endpoint, endpoint.look, (86_400.0,)))  # type: ignore[arg-type]
    assert times.block(endpoint.head_at - 86_400) == pytest.approx(1_000_000 - 86_400 * 4, rel=0.01)


def test_old_balances_come_from_whoever_keeps_them() -> None:
    clock = VirtualClock()
    dead = Endpoint(clock, fails=lambda method: ChainUnreachable("gone"))
    newest, archive = Endpoint(clock, keeps=100), Endpoint(clock, batches=False)
    asked = look_at_wallets([dead, newest, archive], ["0xa", "0xb"], [500, 999_950])  # type: ignore[list-item]
    found = run(clock, asked)
    assert found["0xa"].wei == {NEWEST: 1000, 999_950: 999_950, 500: 500}
    assert found["0xb"].sent[NEWEST] == 7
    assert len(archive.asked) == 4, "only what the one before did not know"


def test_without_any_balance_there_is_no_wallet() -> None:
    clock = VirtualClock()
    dead = Endpoint(clock, fails=lambda method: ChainUnreachable("gone"))
    assert run(clock, look_at_wallets([dead], ["0xa"], [1])) == {}  # type: ignore[list-item]
