"""The chain read on: each look adds what is new, corrects what the chain changed, and says what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cortops.contracts.rpc import RpcClient
from cortops.probes.chain_tail import REREAD_BLOCKS, ChainTail, TailSeen
from cortops.surfaces.nodes.blocks import BlockTimes
from cortops.surfaces.nodes.chain_facts import SHAPES
from cortops.surfaces.nodes.chain_places import ChainPlaces
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import ChainUnreachable

PLACES = ChainPlaces(addresses={"cognitive": "0x" + "c" * 40}, how={"cognitive": "declared"})
STARTED = next(topic for (topic, _), shape in SHAPES.items() if shape.step == "assigned" and shape.work == "network")
COMMITTED = next(topic for (topic, _), shape in SHAPES.items() if shape.step == "committed" and shape.work == "network")
MINER = "a" * 40


def log(block: int, session: int, topic: str = COMMITTED) -> dict[str, Any]:
    """A SessionCommitted of the miner in a block."""
    return {
        "topics": [topic, hex(session), "0x" + MINER.rjust(64, "0")],
        "data": "0x",
        "blockNumber": hex(block),
        "logIndex": "0x0",
        "blockTimestamp": hex(int(START) + block),
    }


@dataclass
class Endpoint:
    """A chain of which block N is of START + N."""

    head: int
    logs: list[dict[str, Any]] = field(default_factory=list)
    url: str = "https://rpc.example/v2/kEy"
    silent: bool = False
    mute: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def batch(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        if self.silent:
            raise ChainUnreachable(f"{self.url} gives no answer")
        return [{"number": hex(self.head), "timestamp": hex(int(START) + self.head)} for _ in calls]

    async def call(self, method: str, *params: Any) -> Any:
        if self.mute:
            raise ChainUnreachable(f"{self.url} gives no answer")
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        self.asked.append((first, last))
        return [one for one in self.logs if first <= int(one["blockNumber"], 16) <= last]


def tail(*endpoints: Endpoint, upto: int = 99, logs: tuple[dict[str, Any], ...] = ()) -> tuple[VirtualClock, ChainTail]:
    clock = VirtualClock()
    clients: list[RpcClient] = list(endpoints)  # type: ignore[arg-type]
    return clock, ChainTail(clients, PLACES, BlockTimes.of([(0, START), (upto, START + upto)]), clock, logs=logs, upto=upto)


def sessions(seen: TailSeen) -> list[tuple[int, int]]:
    return [(event.block, event.round[1]) for event in seen.events]


def test_it_begins_where_others_have_read_to() -> None:
    endpoint = Endpoint(head=120, logs=[log(40, 1), log(110, 2)])
    clock, made = tail(endpoint, logs=(log(40, 1),))
    seen: TailSeen = clock.run(made.read())
    assert sessions(seen) == [(40, 1), (110, 2)]
    assert endpoint.asked == [(100 - REREAD_BLOCKS, 120)]
    assert (seen.why, seen.at_of(110)) == ("", START + 110)


def test_each_look_reads_only_what_is_new_and_what_may_have_changed() -> None:
    endpoint = Endpoint(head=120, logs=[log(118, 1)])
    clock, made = tail(endpoint)
    clock.run(made.read())
    endpoint.head, endpoint.logs = 130, [log(119, 1), log(125, 2)]  # block 118 was replaced by another
    seen: TailSeen = clock.run(made.read())
    assert sessions(seen) == [(119, 1), (125, 2)]
    assert endpoint.asked[-1] == (121 - REREAD_BLOCKS, 130)


def test_an_endpoint_that_lags_takes_nothing_away() -> None:
    ahead, behind = Endpoint(head=140, logs=[log(138, 2)]), Endpoint(head=110, url="https://other.example")
    clock, made = tail(ahead, behind)
    clock.run(made.read())
    ahead.silent = True
    seen: TailSeen = clock.run(made.read())
    assert sessions(seen) == [(138, 2)]


def test_what_could_not_be_read_is_said_and_read_the_next_time() -> None:
    endpoint = Endpoint(head=120, logs=[log(110, 1)], mute=True)
    clock, made = tail(endpoint)
    seen: TailSeen = clock.run(made.read())
    assert (sessions(seen), seen.why) == ([], "https://rpc.example gives no answer")
    endpoint.mute = False
    seen = clock.run(made.read())
    assert (sessions(seen), seen.why) == ([(110, 1)], "")


def test_no_endpoint_at_all_is_said_without_its_key() -> None:
    clock, made = tail(Endpoint(head=120, silent=True))
    seen: TailSeen = clock.run(made.read())
    assert seen.why == "https://rpc.example: https://rpc.example gives no answer"
    assert seen.looks == ()
