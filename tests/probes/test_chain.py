"""What takes several calls: each look says how far it saw, and the next begins where it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cortops.probes.chain import OVERLAP_BLOCKS, ask_events, ask_heads, ask_holdings
from cortops.probes.memory import KEPT_EVERY_S, KEPT_MAX, ChainMemory
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain import asks
from cortops.testing.orbit.server import OrbitServer, serving
from cortops.testing.orbit.world import BLOCK_S, BRIDGE, CHILD_ID, ETHER, HEAD, POSTER, SEQUENCER_INBOX, OrbitWorld
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, Events, Heads, Holdings, NoAnswer, Reply, Silence

CLOCK = SystemClock()


class Stage:
    """One world, one client, one memory."""

    def __init__(self, server: OrbitServer, http: HttpClient) -> None:
        self.server, self.http, self.memory, self.later_s = server, http, ChainMemory(), 0.0

    async def events(self, *topics: str, back: int = 40_000, keep: int = 32) -> Reply:
        addresses = (BRIDGE, SEQUENCER_INBOX)
        question = Events(id="e", url=self.server.url["parent"], addresses=addresses, topics=topics, back_max_blocks=back, keep=keep)
        return await ask_events(question, self.http, CLOCK, self.memory)

    async def holdings(self) -> dict[str, list[list[Any]]]:
        question = Holdings(id="h", url=self.server.url["parent"], addresses=(POSTER,))
        return body(await ask_holdings(question, self.http, CLOCK, self.memory))


def body(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply, Answer), reply
    found: dict[str, Any] = msgspec.json.decode(reply.body)
    return found


def staged(test: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage: list[Stage] = []
        async with serving(OrbitWorld(now=lambda: CLOCK.now() + (stage[0].later_s if stage else 0.0))) as server:
            http = HttpClient(clock=CLOCK)
            stage.append(Stage(server, http))
            try:
                await test(stage[0])
            finally:
                await http.close()

    asyncio.run(main())


def test_heads_side_by_side_and_the_hash_of_one_block() -> None:
    async def test(stage: Stage) -> None:
        stage.server.world.inject("lag", "fallback-wrong-id")
        urls = tuple(stage.server.url[name] for name in ("main", "fallback", "reference"))
        found = body(await ask_heads(Heads(id="q", urls=(*urls, "http://127.0.0.1:1")), stage.http, CLOCK))
        assert found["at_block"] == HEAD - 400 - 2
        assert [one.get("number") for one in found["endpoints"]] == [HEAD - 400, HEAD, HEAD, None]
        assert [one.get("chain_id") for one in found["endpoints"]] == [CHILD_ID, 99, CHILD_ID, None]
        assert len({one["hash"] for one in found["endpoints"][:3]}) == 1
        assert found["endpoints"][3]["silence"] == Silence.REFUSED and found["endpoints"][3]["why"]

    staged(test)


def test_events_say_since_when_and_keep_the_newest() -> None:
    async def test(stage: Stage) -> None:
        found = body(await stage.events(asks.BATCH, asks.DELIVERED))
        assert (found["head"], found["from"]) == (HEAD, HEAD - 40_000)
        assert abs(found["head_at"] - found["from_at"] - 40_000 * BLOCK_S) <= 1
        assert [int(event["topics"][1], 16) for event in found["events"][asks.DELIVERED]] == [10, 11]
        (batch,) = found["events"][asks.BATCH]
        assert abs(CLOCK.now() - batch["at"] - 40) <= 2
        stage.memory = ChainMemory()
        newest = body(await stage.events(asks.BATCH, asks.DELIVERED, keep=1))
        assert [int(event["topics"][1], 16) for event in newest["events"][asks.DELIVERED]] == [11]

    staged(test)


def test_what_lies_before_the_stretch_is_not_claimed() -> None:
    async def test(stage: Stage) -> None:
        found = body(await stage.events(asks.BATCH, back=10))
        assert (found["from"], found["events"]) == (HEAD - 10, {asks.BATCH: []})

    staged(test)


def test_the_next_look_reads_only_what_is_new() -> None:
    async def test(stage: Stage) -> None:
        await stage.events(asks.BATCH, asks.DELIVERED)
        asked: list[tuple[int, int]] = []
        logs = stage.server._logs

        def counted(endpoint: str, query: Any) -> list[dict[str, Any]]:
            asked.append((int(query["fromBlock"], 16), int(query["toBlock"], 16)))
            return logs(endpoint, query)

        stage.server._logs = counted  # type: ignore[method-assign]
        again = body(await stage.events(asks.BATCH, asks.DELIVERED))
        assert asked == [(HEAD - OVERLAP_BLOCKS + 1, HEAD)]
        assert again["from"] == HEAD - 40_000 and len(again["events"][asks.DELIVERED]) == 2

    staged(test)


def test_a_node_that_refuses_gives_no_answer_and_costs_no_memory() -> None:
    async def test(stage: Stage) -> None:
        await stage.events(asks.BATCH)
        stage.server.world.inject("parent-rate-limit")
        reply = await stage.events(asks.BATCH)
        assert isinstance(reply, NoAnswer) and reply.silence is Silence.LOST and "too many requests" in reply.why
        stage.server.world.heal()
        assert body(await stage.events(asks.BATCH))["events"][asks.BATCH]

    staged(test)


def test_balances_are_asked_of_the_past_once_and_then_remembered() -> None:
    async def test(stage: Stage) -> None:
        first = (await stage.holdings())[POSTER]
        assert len(first) >= 2 and int(first[-1][1]) == 10 * ETHER and int(first[0][1]) > int(first[-1][1])
        assert [when for when, _ in first] == sorted(when for when, _ in first)
        stage.later_s = 60.0
        assert len((await stage.holdings())[POSTER]) == len(first) + 1
        assert len((await stage.holdings())[POSTER]) == len(first) + 1  # not an hour later: the newest replaces the one before
        for hours in range(1, 5):
            stage.later_s = hours * (KEPT_EVERY_S + 5)
            found = (await stage.holdings())[POSTER]
        assert len(found) == len(first) + 4
        assert max(map(len, stage.memory.holdings["h"].values())) <= KEPT_MAX

    staged(test)
