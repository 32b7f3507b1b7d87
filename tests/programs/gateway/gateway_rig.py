"""A running gateway with fake routers, for the server tests."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cortops.programs.common.logs import make_log
from cortops.programs.gateway.__main__ import run
from cortops.programs.gateway.reload import Reload, Settings
from cortops.protocol import keys, usage
from cortops.protocol.gateway import GatewayConfig, Limits, Listen, Member, Pool, Store
from cortops.protocol.http import HttpClient, HttpReply
from cortops.protocol.usage import UsageRow
from cortops.testing.upstream import FakeRouter
from cortops.words.clock import Clock, SystemClock

MODEL = "oss-20b"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


@dataclass(kw_only=True)
class Rig:
    folder: Path
    port: int
    key: str
    routers: list[FakeRouter]
    http: HttpClient
    config: GatewayConfig
    log: io.BytesIO
    reload: Reload
    stop: Callable[[], Awaitable[None]] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, path: str = "/v1/chat/completions", body: Any = None, *, key: str | None = None, **headers: str) -> HttpReply:
        sent = [("Authorization", f"Bearer {self.key if key is None else key}"), *((k.replace("_", "-"), v) for k, v in headers.items())]
        if body is None:
            return await self.http.request("GET", self.url + path, headers=sent, timeout_s=5)
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.http.request("POST", self.url + path, headers=sent, body=data, timeout_s=5)

    async def chat(self, **changes: Any) -> HttpReply:
        return await self.ask(body={**CHAT, **changes})

    async def rows(self) -> list[UsageRow]:
        """Stop the gateway, then every usage row there is."""
        await self.stop()
        with closing(usage.open_usage(self.folder / "usage.db")) as database:
            return usage.rows_since(database, 0)

    async def health(self) -> dict[str, Any]:
        return msgspec.json.decode((await self.ask("/health", key="")).body)

    def logged(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.log.getvalue().splitlines()]


def error_code(reply: HttpReply) -> tuple[int, str]:
    """(HTTP status, the error's code)."""
    return reply.status, msgspec.json.decode(reply.body)["error"]["code"]


def make_config(
    folder: Path, routers: list[FakeRouter], *, limits: Limits | None = None, sessions: int = 2, keys_stale_max_s: float = 2.0, **pool: Any
) -> GatewayConfig:
    members = tuple(
        Member(
            name=f"router-{number}",
            url=router.url,
            sessions=tuple(range(number * 10, number * 10 + sessions)),
            api_key=f"member-key-{number}",
        )
        for number, router in enumerate(routers, start=1)
    )
    return GatewayConfig(
        listen=Listen(port=0),
        models={MODEL: "pool-1"},
        pools={"pool-1": Pool(members=members, **pool)},
        limits=limits or Limits(),
        store=Store(
            keys_db=str(folder / "keys.db"),
            usage_db=str(folder / "usage.db"),
            spool_folder=str(folder / "spool-1"),
            slots_file=str(folder / "slots"),
            ship_every_s=0.02,
            keys_stale_max_s=keys_stale_max_s,
        ),
    )


def issue_key(folder: Path, **options: Any) -> str:
    database = keys.open_keys(folder / "keys.db")
    try:
        return keys.issue(database, environment="test", name="test", now=1.0, random_bytes=os.urandom, **options).key
    finally:
        database.close()


@asynccontextmanager
async def gateway(
    folder: Path, *, routers: int = 1, given: list[FakeRouter] | None = None, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Rig]:
    """`given`: routers that the test itself starts and ends, instead of `routers` that are always there."""
    async with AsyncExitStack() as stack:
        fakes = given or [await stack.enter_async_context(FakeRouter().listening()) for _ in range(routers)]
        config = make_config(folder, fakes, **options)
        key = issue_key(folder)
        out = io.BytesIO()
        used = clock or SystemClock()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        log = make_log("gateway", out, used)
        reload = Reload(Settings(path=folder / "gateway.json", config=config), log)
        task = asyncio.ensure_future(run(config, log, used, started=started, reload=reload))
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        http = HttpClient(clock=SystemClock())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        try:
            if task.done():
                task.result()
            found = Rig(
                folder=folder, port=started.result(), key=key, routers=fakes, http=http, config=config, log=out, reload=reload, stop=stop
            )
            yield found
        finally:
            await http.close()
            await stop()
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


def with_gateway(folder: Path, test: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    """Run `test` against a gateway of its own."""

    async def main() -> None:
        async with gateway(folder, **options) as rig:
            await test(rig)

    asyncio.run(main())
