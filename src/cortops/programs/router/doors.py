"""Ways into the router. A door judges by itself who may come in, and asks `Offers` like everybody; what doors of HTTP share is here too."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from aiohttp import web

from cortops.programs.router.offers import Answered
from cortops.protocol.routes import TIMEOUT_HEADER, read_object, read_timeout

ID = r"\d{1,18}"


class Door(Protocol):
    """Given to the server by the composition root where it is declared."""

    @property
    def open_paths(self) -> frozenset[str]:
        """Paths, as they are registered, at which no bearer key is asked for."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Its routes."""


async def read_body(request: web.Request) -> dict[str, Any]:
    """A JSON object; BadInput for anything else."""
    return read_object(await request.read())


def header_timeout_s(request: web.Request) -> float | None:
    """How long the client waits, if it says so."""
    return read_timeout(request.headers.get(TIMEOUT_HEADER, ""))


async def send(request: web.Request, answered: Answered) -> web.StreamResponse:
    """As one body, or its events one by one. A client that is gone ends it quietly."""
    if answered.events is None:
        body = msgspec.json.encode(answered.body)
        return web.Response(status=answered.status, body=body, content_type="application/json", headers=dict(answered.headers))
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", **answered.headers}
    response = web.StreamResponse(status=answered.status, headers=headers)
    async with aclosing(answered.events) as events:
        try:
            await response.prepare(request)
            async for part in events:
                await response.write(part)
        except ConnectionError:
            return response
    return response
