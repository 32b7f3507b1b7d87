"""Router, miner and oracle in one process on a real bare chain, with a scripted engine."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import ClientSession

from cortops.contracts.network import Network
from cortops.contracts.path import TaskPath, read_path
from cortops.programs.common.logs import make_log
from cortops.programs.miner.main import serve as serve_miner
from cortops.programs.oracle.main import serve as serve_oracle
from cortops.programs.router.main import serve as serve_router
from cortops.protocol.settings import MinerSettings, OracleSettings, RouterSettings
from cortops.testing.chain import CHAIN_ID, Chain, bare_chain, wallet_of
from cortops.testing.engine import Say, ScriptedEngine, scripted_engine
from cortops.words.clock import SystemClock

KEY = "key-of-this-test"
BLOCK_EVERY_S = 0.05
PATIENCE_S = 20.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello you"}], "max_tokens": 20}


# Below what the kernel gives to outgoing connections; processes that begin one after the other search far apart.
PORTS = itertools.count(12_000 + os.getpid() * 1_009 % 8_000)


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


def private_key(label: str) -> str:
    from cortops.contracts.keccak import keccak256
    from cortops.contracts.wallet import new_private_key

    return new_private_key(keccak256(f"cortops test {label}".encode()))


@dataclass
class Spine:
    chain: Chain
    network: Network
    engine: ScriptedEngine
    web: ClientSession
    session: int
    ports: dict[str, int]
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    logs: dict[str, io.BytesIO] = field(default_factory=dict)
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['router']}"

    def start(self, name: str) -> None:
        common: dict[str, Any] = {
            "name": name,
            "rpc_url": self.chain.url,
            "chain_id": CHAIN_ID,
            "runtime": self.network.addresses.runtime,
            "address": wallet_of(name).address,
            "private_key": private_key(name),
            "port": self.ports[name],
            **self.overrides.get(name, {}),
        }
        log = make_log(name, self.logs.setdefault(name, io.BytesIO()), SystemClock())
        work: Awaitable[None]
        if name == "router":
            router = RouterSettings(**{"api_key": KEY, "ws_port": self.ports["ws"], "sessions": (self.session,), **common})
            work = serve_router(router, log, SystemClock())
        elif name == "oracle":
            work = serve_oracle(OracleSettings(**common), log, SystemClock())
        else:
            miner = {"engine_url": self.engine.url, "engine_model": "scripted", "routers": (f"127.0.0.1:{self.ports['ws']}",), **common}
            work = serve_miner(MinerSettings(**miner), log, SystemClock())
        self.running[name] = asyncio.ensure_future(work)

    async def stop(self, name: str) -> None:
        task = self.running.pop(name)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()

    async def health(self, name: str) -> tuple[int, dict[str, Any]]:
        async with self.web.get(f"http://127.0.0.1:{self.ports[name]}/health") as reply:
            return reply.status, await reply.json()

    async def until(self, what: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await what():
                for name, task in self.running.items():
                    assert not task.done(), (name, task.exception())
                await asyncio.sleep(0.02)

    async def all_ok(self) -> None:
        async def ok() -> bool:
            try:
                answers = [await self.health(name) for name in self.running]
            except OSError:
                return False
            linked = sum(answer.get("miners", 0) for _, answer in answers) == int("miner" in self.running and "router" in self.running)
            return linked and all(status == 200 for status, _ in answers)

        await self.until(ok)

    async def path(self, task: str) -> TaskPath:
        """The path of the task once it has ended."""
        session, number = map(int, task.split("/"))

        async def ended() -> bool:
            return (await self.network.task(session, number)).ended

        await self.until(ended)
        return await read_path(self.network, session, number)

    def ask(self, body: dict[str, Any], reference: str = "", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {KEY}", **({"X-Request-ID": reference} if reference else {})}
        return self.web.post(f"{self.url}/api/v1/chat/completions/{self.session}", json=body, headers=headers, **more)


@asynccontextmanager
async def spine(*script: Say, start: tuple[str, ...] = ("router", "miner", "oracle"), **overrides: dict[str, Any]) -> AsyncIterator[Spine]:
    async with bare_chain() as chain, scripted_engine(*script) as engine, ClientSession() as web:
        network = await chain.deploy()
        for name in ("miner", "router", "oracle"):
            await chain.sender(name)
        await chain.do("miner", network.register("{}"))
        await chain.do("router", network.register("{}"))
        await chain.do("admin", network.create_session("s"))
        session = await network.session_id("s")
        assert session is not None
        await chain.do(
            "admin",
            network.add_dedicated_node(session, wallet_of("miner").address),
            network.add_router(session, wallet_of("router").address),
        )
        ports = {name: free_port() for name in ("router", "miner", "oracle", "ws")}
        one = Spine(chain, network, engine, web, session, ports, overrides=overrides)
        async with chain.mining(BLOCK_EVERY_S):
            for name in start:
                one.start(name)
            try:
                await one.all_ok()
                yield one
            finally:
                for name in list(one.running):
                    await one.stop(name)


def play(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 3 * PATIENCE_S))


async def events_of(reply: Any) -> list[Any]:
    """The JSON of each event, the [DONE] as text."""
    text = (await reply.read()).decode()
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [one if one == "[DONE]" else msgspec.json.decode(one) for one in found]
