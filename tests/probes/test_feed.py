"""A feed is listened to for a moment: what came, or why nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.probes.feed import ask_feed, read
from cortops.protocol.http import HttpClient
from cortops.testing.orbit.server import serving
from cortops.testing.orbit.world import HEAD, OrbitWorld
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, Feed, NoAnswer, Reply, Silence

CLOCK = SystemClock()


def listened(*faults: str, url: str = "") -> Reply:
    async def listen() -> Reply:
        async with serving(OrbitWorld(now=CLOCK.now)) as server:
            server.world.inject(*faults)
            http = HttpClient(clock=CLOCK)
            try:
                return await ask_feed(Feed(id="f", url=url or server.url["feed"]), http, CLOCK)
            finally:
                await http.close()

    return asyncio.run(listen())


def test_what_came() -> None:
    reply = listened()
    assert isinstance(reply, Answer) and reply.status == 0
    rows = json.loads(reply.body)["messages"]
    assert [number for number, _, _, _ in rows] == list(range(HEAD - 4, HEAD + 1))
    assert abs(rows[-1][1] - CLOCK.now()) <= 2 and rows[-1][2:] == [HEAD, 3]


def test_a_refused_handshake_is_its_status() -> None:
    reply = listened("feed-private")
    assert isinstance(reply, Answer) and (reply.status, reply.text) == (401, '{"messages":[]}')


def test_nobody_there() -> None:
    reply = listened(url="ws://127.0.0.1:1/feed?key=secret")
    assert isinstance(reply, NoAnswer) and reply.silence is Silence.REFUSED
    assert "secret" not in reply.why and "ws://127.0.0.1:1" in reply.why


@pytest.mark.parametrize("frame", ["", "[]", "7", '{"messages": 7}', '{"messages": [{"sequenceNumber": 1}]}', '{"version": 1}', b"\xff"])
def test_what_is_no_message_is_passed_over(frame: str | bytes) -> None:
    assert read(frame) == []


@given(st.binary(max_size=200))
def test_no_frame_breaks_it(frame: bytes) -> None:
    assert isinstance(read(frame), list)
