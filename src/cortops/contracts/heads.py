"""What wakes a Follower: time alone, or a node's announcement of new heads over a websocket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from cortops.words.clock import Clock

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

CONNECT_TIMEOUT_S = 3.0
RETRY_AFTER_S = 15.0  # a node without websocket is asked again this much later
MESSAGE_MAX_KIB = 64


class Hint(Protocol):
    """Waits until looking at the chain is worth while. Never the truth: the Follower looks for itself."""

    async def wait(self, at_most_s: float, known_hash: str) -> None:
        """Return when a head other than known_hash is announced, or after at_most_s."""

    async def close(self) -> None:
        """Give back what it holds; `wait` may be called again."""


class Polling:
    """Time alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def wait(self, at_most_s: float, known_hash: str) -> None:
        await self._clock.sleep(at_most_s)

    async def close(self) -> None:
        return


class Websocket:
    """`eth_subscribe newHeads` on the same host and port as the RPC (ws:// for http://); polls while there is none."""

    def __init__(self, rpc_url: str, clock: Clock) -> None:
        parts = urlsplit(rpc_url)
        self._url = urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
        self._clock = clock
        self._session: ClientSession | None = None
        self._socket: ClientWebSocketResponse | None = None
        self._retry_at = 0.0

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    async def wait(self, at_most_s: float, known_hash: str) -> None:
        if not self.connected and self._clock.monotonic() >= self._retry_at and await self._connect():
            return  # blocks may have come before the subscription: look once more
        if self._socket is None:
            await self._clock.sleep(at_most_s)
            return
        try:
            async with asyncio.timeout(at_most_s):
                while await self._announced(self._socket) in ("", known_hash):
                    pass
        except TimeoutError:
            return  # the socket stays usable: only our waiting ended
        except OSError:
            await self._drop()

    async def _announced(self, socket: ClientWebSocketResponse) -> str:
        """Hash of the next announced head, "" for any other message; OSError when the socket has ended."""
        from aiohttp import WSMsgType

        message = await socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionResetError("the node closed the subscription")
        try:
            return str(json.loads(message.data)["params"]["result"]["hash"])
        except (ValueError, KeyError, TypeError):
            return ""

    async def _connect(self) -> bool:
        import aiohttp

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._session = aiohttp.ClientSession()
                self._socket = await self._session.ws_connect(self._url, max_msg_size=MESSAGE_MAX_KIB * 1024, heartbeat=30)
                await self._socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
                reply = await self._socket.receive_json()
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError, TypeError):
            await self._drop()
            return False
        if "result" not in reply:
            await self._drop()
            return False
        return True

    async def _drop(self) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_AFTER_S
        await self.close()

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        session, self._session = self._session, None
        if socket is not None:
            await socket.close()
        if session is not None:
            await session.close()
