"""An ASGI application of a library behind a route of ours: one server and one set of limits. Source: ASGI 3, HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from aiohttp import web

REQUEST = "cortops.request"  # where an application finds the request of ours that it answers

NO_HEADERS: Mapping[str, str] = {}

Message = MutableMapping[str, Any]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class _Exchange:
    """One request and its answer. A body is read whole before: routes have a limit for it."""

    def __init__(self, request: web.Request, body: bytes, headers: Mapping[str, str]) -> None:
        self._request = request
        self._headers = headers
        self._body: bytes | None = body
        self.response: web.StreamResponse | None = None
        self._gone = asyncio.Event()

    @property
    def scope(self) -> dict[str, Any]:
        request = self._request
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.rel_url.raw_path.encode(),
            "query_string": request.rel_url.raw_query_string.encode(),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": None,
            "server": None,
            REQUEST: request,
        }

    async def receive(self) -> Message:
        """The body, then nothing until the answer is whole: a client that leaves cancels the whole handler."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass on the head, then each part as it comes."""
        if message["type"] == "http.response.start":
            self.response = web.StreamResponse(status=message["status"])
            self.response.headers.update(self._headers)
            for name, value in message.get("headers", ()):
                if name.lower() not in (b"connection", b"transfer-encoding"):
                    self.response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
            return
        if self.response is None:
            raise RuntimeError("an ASGI application sent a body before its head")
        if not self.response.prepared:
            await self.response.prepare(self._request)
        if message.get("body"):
            await self.response.write(message["body"])
        if not message.get("more_body", False):
            await self.response.write_eof()
            self._gone.set()


async def answer(app: App, request: web.Request, headers: Mapping[str, str] = NO_HEADERS) -> web.StreamResponse:
    """What `app` answers to this request, with `headers` beside its own. Raises what reading the body raises."""
    exchange = _Exchange(request, await request.read(), headers)
    await app(exchange.scope, exchange.receive, exchange.send)
    if exchange.response is None:
        raise RuntimeError("an ASGI application ended without an answer")
    return exchange.response
