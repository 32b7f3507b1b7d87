"""The sequencer's feed: a websocket that tells a new client the newest blocks, and then each block as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import WSCloseCode, web

from cortops.programs.orbit.messages import Block, Recent, frame

CLIENTS_MAX = 100
FRAMES_WAITING_MAX = 100  # of one client; a slower one is let go, and may come back
HEARTBEAT_S = 20.0
CLOSE_TIMEOUT_S = 1.0
FEED_VERSION = "2"

Waiting = asyncio.Queue[bytes | None]  # None: this client is let go


class Feed:
    """All clients of now, and the newest blocks."""

    def __init__(self, chain_id: int) -> None:
        self.recent = Recent()
        self._headers = {"Arbitrum-Feed-Server-Version": FEED_VERSION, "Arbitrum-Chain-Id": str(chain_id)}
        self._waiting: set[Waiting] = set()

    @property
    def clients(self) -> int:
        return len(self._waiting)

    def publish(self, blocks: Sequence[Block]) -> None:
        """To every client, and kept for those who come."""
        if not blocks:
            return
        self.recent.add(blocks)
        told = frame(blocks)
        for queue in tuple(self._waiting):
            if queue.qsize() < FRAMES_WAITING_MAX:
                queue.put_nowait(told)
            else:
                self._waiting.discard(queue)
                queue.put_nowait(None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`GET /`: the websocket."""
        if self.clients >= CLIENTS_MAX:
            return web.Response(status=503, text="too many clients")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_TIMEOUT_S, max_msg_size=1024)
        if not socket.can_prepare(request).ok:
            return web.Response(status=426, text="this is the sequencer's feed, a websocket", headers={"upgrade": "websocket"})
        socket.headers.update(self._headers)
        await socket.prepare(request)
        queue: Waiting = asyncio.Queue()
        if self.recent.blocks:
            queue.put_nowait(frame(tuple(self.recent.blocks)))
        self._waiting.add(queue)
        sender = asyncio.create_task(_send(socket, queue))
        try:
            async for _ in socket:  # clients say nothing; this ends when they go
                pass
        finally:
            self._waiting.discard(queue)
            sender.cancel()
            await asyncio.wait({sender})
        return socket


async def _send(socket: web.WebSocketResponse, queue: Waiting) -> None:
    while (told := await queue.get()) is not None:
        try:
            await socket.send_str(told.decode())
        except ConnectionError:  # it left meanwhile
            return
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
