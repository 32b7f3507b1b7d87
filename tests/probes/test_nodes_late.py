"""Hosts and RPCs that hang: the answer comes all the same, in time, and says what nobody could see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from tests.probes.test_backfill import Endpoint
from tests.surfaces.nodes.test_assemble import KEYED, environment

from cortops.probes.nodes import HOST_WAIT_S, TOTAL_S, observe
from cortops.protocol.http import HttpFailure, HttpReply
from cortops.surfaces.nodes.assemble import page_of
from cortops.surfaces.nodes.page import NodesPage
from cortops.testing.clock import VirtualClock
from cortops.words.question import NoAnswer, Question, Reply, Silence

DAY_S = 86_400.0
IN_TIME_S = 20.0
FOREVER_S = 10_000.0


@dataclass
class Http:
    """One RPC behind HTTP; `hangs`: methods to which it never answers."""

    clock: VirtualClock
    endpoint: Endpoint
    hangs: frozenset[str] = frozenset()

    async def request(self, method: str, url: str, *, body: bytes, timeout_s: float, **_: Any) -> HttpReply:
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        if self.hangs & {"all", *(call["method"] for call in calls)}:
            await self.clock.sleep(timeout_s)
            raise HttpFailure(f"no answer within {timeout_s:g} s", silence=Silence.TIMEOUT, sent=True)
        replies = [{"id": call["id"], "result": await self._answer(call)} for call in calls]
        return HttpReply(status=200, headers=[], body=json.dumps(replies if isinstance(asked, list) else replies[0]).encode())

    async def _answer(self, call: Mapping[str, Any]) -> Any:
        if call["method"] in ("eth_call", "eth_getCode"):
            return "0x" + "0" * 24 + "c" * 40
        if call["method"] == "eth_chainId":
            return "0x7"
        return await self.endpoint.call(call["method"], *call["params"])


def look(*hangs: str, hosts_hang: bool = False, **endpoint: Any) -> tuple[NodesPage, float]:
    """The page, and how many seconds it took."""
    clock = VirtualClock()
    http = Http(clock, Endpoint(clock, **endpoint), frozenset(hangs))

    async def ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
        if hosts_hang:
            await clock.sleep(FOREVER_S)
        return {item.id: NoAnswer(question=item.id, at=0, elapsed_s=0, silence=Silence.LOST, why="lost") for item in questions}

    async def run() -> NodesPage:
        seen = await observe(environment(), ask, http, clock, since_s=DAY_S)  # type: ignore[arg-type]
        return page_of(environment(), seen.chain, seen.hosts, seen.found, at=seen.at, since_s=DAY_S, released={})

    page = clock.run(run())
    return page, clock.monotonic()


@pytest.mark.parametrize("hosts_hang", [False, True])
@pytest.mark.parametrize("hangs", [(), ("all",), ("eth_getLogs",), ("eth_call",), ("eth_getBalance",), ("eth_getLogs", "eth_getBalance")])
def test_whatever_hangs_the_answer_is_there_in_time(hangs: tuple[str, ...], hosts_hang: bool) -> None:
    page, took_s = look(*hangs, hosts_hang=hosts_hang)
    assert took_s <= IN_TIME_S
    assert len(page.rows) == 4
    assert {row.earning.earning for row in page.rows} <= {None}
    assert "kEy" not in str(page)


def test_a_host_that_hangs_is_named_with_how_long_it_was_waited_for() -> None:
    page, _ = look(hosts_hang=True)
    assert all(f"no answer within {HOST_WAIT_S:g} s" in row.earning.cause for row in page.rows)


def test_logs_that_do_not_come_are_unread_and_not_none() -> None:
    page, took_s = look("eth_getLogs")
    assert page.network.moving is None and took_s <= TOTAL_S + 1
    told = "no answer from the chain at https://rpc.example: no answer within 5 s"
    assert page.network.text.endswith(f"its tasks could not be read: {told}")
    assert {row.selected for row in page.rows} == {None} and page.notes == ()


def test_a_slow_chain_is_read_from_its_newest_end() -> None:
    page, took_s = look(range_max=2_000, takes_s=0.8)
    assert took_s <= IN_TIME_S and not page.window.complete
    (note,) = [note for note in page.notes if note.startswith("the chain was read from ")]
    assert note == "the chain was read from 05:49 UTC on: the RPC did not give more within 13 s"
    assert page.window.now - page.window.begins_at < DAY_S


def test_the_url_of_the_environment_is_the_one_that_is_asked() -> None:
    assert environment().network.rpc.url == KEYED
