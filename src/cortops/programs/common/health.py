"""`GET /health` of a program: 200 when it is well, 503 with the reasons when it is not; `GET /metrics`: the same as numbers."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiohttp import web

from cortops.programs.common.metrics import CONTENT_TYPE, Metrics, Reading
from cortops.words.errors import PortTaken

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a program is. `why` has one sentence a reason, empty when ok; `facts` are numbers and words beside it (head, in_flight, …).

    notes: what a person must know although it speaks not against the program; shown well or not. Each number among the facts is a
    metric, named in `measures`.
    """

    status: Literal["ok", "degraded"]
    why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def judge(cls, why: tuple[str, ...], **facts: object) -> Health:
        """ok when there is no reason against it."""
        return cls(status="degraded" if why else "ok", why=why, facts=facts)

    @property
    def http_status(self) -> int:
        return 200 if self.status == "ok" else 503

    def as_json(self) -> bytes:
        """`{"status", "why" (when degraded), "notes" (when there are any), fact…}`."""
        told = {name: words for name, words in (("why", self.why), ("notes", self.notes)) if words}
        return msgspec.json.encode({"status": self.status, **told, **self.facts})

    def reading(self) -> Reading:
        """The same for `/metrics`."""
        return self.status == "ok", {"notes": self.notes, **self.facts}


def health_handler(read: Callable[[], Health]) -> Handler:
    """An aiohttp handler for programs that already have a server."""

    async def handle(_request: web.Request) -> web.StreamResponse:
        health = read()
        return web.Response(status=health.http_status, body=health.as_json(), content_type="application/json")

    return handle


def metrics_handler(read: Callable[[], Health]) -> Handler:
    """An aiohttp handler of `/metrics`, with a registry of its own."""
    metrics = Metrics(lambda: read().reading())

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    return handle


@asynccontextmanager
async def serve_health(
    ips: Sequence[str], port: int, read: Callable[[], Health], routes: Sequence[web.RouteDef] = ()
) -> AsyncIterator[int]:
    """Serve `/health`, `/metrics` and `routes` on `port` of `ips` while inside; yields the port (a free one for 0). Raises PortTaken."""
    app = web.Application(client_max_size=1024)
    app.router.add_get("/health", health_handler(read))
    app.router.add_get("/metrics", metrics_handler(read))
    app.router.add_routes(routes)
    async with listening(app, ips, port) as bound:
        yield bound


@asynccontextmanager
async def listening(app: web.Application, ips: Sequence[str], port: int, *, handler_cancellation: bool = False) -> AsyncIterator[int]:
    """Serve `app` on `port` of every one of `ips` while inside; yields the port (a free one for 0). Raises PortTaken.

    handler_cancellation: a client that leaves cancels its handler.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, handler_cancellation=handler_cancellation)
    await runner.setup()
    try:
        for ip in ips:
            try:
                await web.TCPSite(runner, ip, port).start()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortTaken(f"port {port} on {ip} is taken by another program", where=f"{ip}:{port}") from error
                raise
            port = port or int(runner.addresses[0][1])
        yield port
    finally:
        await runner.cleanup()
