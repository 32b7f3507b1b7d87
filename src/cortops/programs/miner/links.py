"""The miner's websockets: one to each router, dialled again whenever it ends."""

from __future__ import annotations

import asyncio

import aiohttp

from cortops.contracts.wallet import Wallet
from cortops.programs.common.logs import Log
from cortops.programs.miner.buffers import Buffers, Frame
from cortops.protocol.link import FRAME_KIB_MAX, Challenge, Hello, Watch, Welcome, decode_from_router, encode, handshake_text
from cortops.words.clock import Clock
from cortops.words.errors import BadInput

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.25, 10.0
HANDSHAKE_TIMEOUT_S = 10.0
HEARTBEAT_S = 20.0
FRAMES_WAITING_MAX = 16_384  # for one slow router, before its link is closed


class Links:
    """Keeps the links to `routers` (host:port); `connected` are those that have welcomed us."""

    def __init__(self, routers: tuple[str, ...], wallet: Wallet, buffers: Buffers, clock: Clock, log: Log) -> None:
        self.routers = routers
        self.connected: set[str] = set()
        self._wallet = wallet
        self._buffers = buffers
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for router in self.routers:
                group.create_task(self._keep(session, router))

    async def _keep(self, session: aiohttp.ClientSession, router: str) -> None:
        pause_s, last_why = BACKOFF_FIRST_S, ""
        while True:
            why = "closed by the router"
            try:
                await self._once(session, router)
            except* (aiohttp.ClientError, OSError, BadInput) as group:
                why = "; ".join(str(error) or type(error).__name__ for error in group.exceptions)
            finally:
                welcomed = router in self.connected
                self.connected.discard(router)
            if welcomed or why != last_why:  # a router that stays away is said once
                self._log.warning("link_lost", router=router, why=why[:200])
            pause_s = BACKOFF_FIRST_S if welcomed else min(pause_s * 2, BACKOFF_MAX_S)
            last_why = why
            await self._clock.sleep(pause_s)

    async def _once(self, session: aiohttp.ClientSession, router: str) -> None:
        """One link from its handshake to its end."""
        async with session.ws_connect(f"ws://{router}/", heartbeat=HEARTBEAT_S, max_msg_size=FRAME_KIB_MAX * 1024) as socket:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                challenge = await self._receive(socket)
                if not isinstance(challenge, Challenge):
                    raise BadInput("the router began without a challenge")
                signature = self._wallet.sign_text(handshake_text(challenge.nonce, challenge.router))
                await socket.send_str(encode(Hello(address=self._wallet.address, signature=signature)))
                if not isinstance(await self._receive(socket), Welcome):
                    raise BadInput("the router did not welcome us")
            self.connected.add(router)
            self._log.info("link_open", router=router, router_address=challenge.router)
            await self._serve(socket)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        waiting: asyncio.Queue[Frame] = asyncio.Queue(FRAMES_WAITING_MAX)
        full = asyncio.Event()

        def send(frame: Frame) -> None:
            try:
                waiting.put_nowait(frame)
            except asyncio.QueueFull:
                full.set()

        async def write() -> None:
            while True:
                await socket.send_str(encode(await waiting.get()))

        async def close_when_full() -> None:
            await full.wait()
            await socket.close()

        async with asyncio.TaskGroup() as group:
            writing, guard = group.create_task(write()), group.create_task(close_when_full())
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        frame = decode_from_router(message.data)
                        if isinstance(frame, Watch):
                            self._buffers.watch((frame.session, frame.task), send)
            finally:
                self._buffers.drop(send)
                writing.cancel()
                guard.cancel()

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> object:
        message = await socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise BadInput(f"the router closed the link: {message.extra or message.data or 'no reason given'}")
        return decode_from_router(message.data)
