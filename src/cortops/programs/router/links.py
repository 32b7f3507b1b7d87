"""The router's side of the websockets: miners dial, prove who they are, and are asked for the streams of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMsgType, web

from cortops.contracts.keccak import checksummed
from cortops.contracts.wallet import recover
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key
from cortops.protocol.link import (
    FRAME_KIB_MAX,
    Challenge,
    Chunk,
    Failed,
    Hello,
    Result,
    Watch,
    Welcome,
    decode_from_miner,
    encode,
    handshake_text,
)
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError

HANDSHAKE_TIMEOUT_S = 10.0
HEARTBEAT_S = 20.0
CLOSE_TIMEOUT_S = 1.0
LINKS_MAX = 2_000
REASON_BYTES_MAX = 120  # a close frame holds 123. Source: RFC 6455, 5.5

Deliver = Callable[[str, Chunk | Result | Failed], None]


@dataclass(slots=True)
class Link:
    """One welcomed miner."""

    address: str
    socket: web.WebSocketResponse
    since: float
    wishes: asyncio.Queue[Watch] = field(default_factory=asyncio.Queue)  # bounded by the requests in flight


class Links:
    """All miners that are linked now, and what is wished of each, linked or not."""

    def __init__(self, chain: Chain, deliver: Deliver, new_nonce: Callable[[], str], clock: Clock, log: Log) -> None:
        self._chain = chain
        self._deliver = deliver
        self._new_nonce = new_nonce
        self._clock = clock
        self._log = log
        self._links: dict[str, Link] = {}
        self._open = 0
        self._wishes: dict[str, dict[Key, None]] = {}

    def miners(self) -> list[Link]:
        return list(self._links.values())

    def watch(self, miner: str, key: Key) -> None:
        """Ask now, and again whenever this miner links anew, until `forget`."""
        self._wishes.setdefault(miner, {})[key] = None
        if (link := self._links.get(miner)) is not None:
            link.wishes.put_nowait(Watch(session=key[0], task=key[1]))

    def forget(self, key: Key) -> None:
        """Nobody waits for this task's chunks any more."""
        for miner in [miner for miner, keys in self._wishes.items() if key in keys]:
            del self._wishes[miner][key]
            if not self._wishes[miner]:
                del self._wishes[miner]

    async def close(self) -> None:
        """Tell every miner that we stop."""
        closing = [link.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the router stops") for link in self.miners()]
        await asyncio.gather(*closing)

    def application(self) -> web.Application:
        """The aiohttp application of the miners' port."""
        app = web.Application()
        app.router.add_get("/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._open >= LINKS_MAX:
            return web.Response(status=503, text="too many links")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_TIMEOUT_S, max_msg_size=FRAME_KIB_MAX * 1024)
        if not socket.can_prepare(request).ok:
            return web.Response(status=426, text="this port speaks websocket to miners", headers={"upgrade": "websocket"})
        await socket.prepare(request)
        self._open += 1
        try:
            address = await self._admit(socket)
            if address:
                await self._serve(Link(address, socket, self._clock.now()))
        finally:
            self._open -= 1
        return socket

    async def _admit(self, socket: web.WebSocketResponse) -> str:
        """The miner's address, or "" after a close with the reason."""
        nonce = self._new_nonce()
        await socket.send_str(encode(Challenge(nonce=nonce, router=self._chain.address)))
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                message = await socket.receive()
                if message.type is not WSMsgType.TEXT:
                    return ""
                hello = decode_from_miner(message.data)
                if not isinstance(hello, Hello):
                    raise BadInput("hello comes first")
                address = checksummed(hello.address)
                if recover(handshake_text(nonce, self._chain.address), hello.signature) != address:
                    raise BadInput("the signature is not that of the address")
                if not await self._chain.network.is_registered(address):
                    raise BadInput(f"{address} is not registered")
        except (BadInput, ValueError, TimeoutError) as error:
            await self._refuse(socket, WSCloseCode.POLICY_VIOLATION, str(error) or "no hello in time")
            return ""
        except ChainError:
            await self._refuse(socket, WSCloseCode.TRY_AGAIN_LATER, "the chain cannot be asked now")
            return ""
        await socket.send_str(encode(Welcome()))
        return address

    async def _refuse(self, socket: web.WebSocketResponse, code: int, why: str) -> None:
        self._log.warning("link_refused", why=why)
        await socket.close(code=code, message=why.encode()[:REASON_BYTES_MAX])

    async def _serve(self, link: Link) -> None:
        """Until the link ends. A second link of the same miner replaces the first."""
        old = self._links.get(link.address)
        self._links[link.address] = link
        for session, task in self._wishes.get(link.address, ()):
            link.wishes.put_nowait(Watch(session=session, task=task))
        self._log.info("link_open", miner=link.address)
        if old is not None:
            await old.socket.close(code=WSCloseCode.GOING_AWAY, message=b"replaced by a newer link")
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask(link))
            try:
                await self._read(link)
            finally:
                asking.cancel()
                if self._links.get(link.address) is link:
                    del self._links[link.address]
                self._log.info("link_closed", miner=link.address)

    async def _ask(self, link: Link) -> None:
        while True:
            wish = await link.wishes.get()
            try:
                await link.socket.send_str(encode(wish))
            except ConnectionError:
                return  # the reader sees the same end

    async def _read(self, link: Link) -> None:
        async for message in link.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                frame = decode_from_miner(message.data)
            except BadInput as error:
                await self._refuse(link.socket, WSCloseCode.INVALID_TEXT, str(error))
                return
            if not isinstance(frame, Hello):
                self._deliver(link.address, frame)
