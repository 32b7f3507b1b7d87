"""The feed over a real websocket: a new client is told the newest blocks, then each block; a slow one is let go."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, WSMsgType, web
from tests.programs.orbit.test_messages import block

from cortops.programs.common.health import listening
from cortops.programs.orbit.feed import FRAMES_WAITING_MAX, Feed


def test_blocks_are_told_from_the_newest_on_and_clients_are_counted() -> None:
    async def story() -> None:
        feed = Feed(31339)
        feed.publish([block(1), block(2)])
        app = web.Application()
        app.router.add_get("/", feed.handle)
        async with listening(app, ("127.0.0.1",), 0) as port, ClientSession() as session:
            headers = {"Arbitrum-Feed-Client-Version": "2"}
            async with session.ws_connect(f"http://127.0.0.1:{port}/", headers=headers) as socket:
                first = await socket.receive_json(timeout=5)
                assert [one["sequenceNumber"] for one in first["messages"]] == [1, 2]
                assert feed.clients == 1
                feed.publish([block(3)])
                assert [one["sequenceNumber"] for one in (await socket.receive_json(timeout=5))["messages"]] == [3]
            async with session.get(f"http://127.0.0.1:{port}/") as plain:
                assert plain.status == 426

    asyncio.run(story())


def test_a_client_that_does_not_read_is_let_go() -> None:
    async def story() -> None:
        feed = Feed(1)
        app = web.Application()
        app.router.add_get("/", feed.handle)
        async with (
            listening(app, ("127.0.0.1",), 0) as port,
            ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/") as socket,
        ):
            feed.publish([block(0)])
            await socket.receive(timeout=5)
            for number in range(1, FRAMES_WAITING_MAX + 2):  # in one go: nothing can be sent meanwhile
                feed.publish([block(number)])
            assert feed.clients == 0
            last = WSMsgType.TEXT
            while last is WSMsgType.TEXT:
                last = (await socket.receive(timeout=5)).type
            assert last is WSMsgType.CLOSE

    asyncio.run(story())
