"""`console(view, clock)`: the web application. It reads, shows, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cortops.console.board import STREAMS_MAX, Board
from cortops.console.explorer import Explorer
from cortops.console.guard import Guard, refusal
from cortops.console.metrics import CONTENT_TYPE, metrics_text, registry_of
from cortops.console.pages import HERE, Pages
from cortops.console.status import health, status_document
from cortops.console.stream import EventStream
from cortops.console.view import TASK_DIGITS_MAX, View
from cortops.protocol.site import Static
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import CortopsError, Refused, UnknownName

RETRY_AFTER_S = 10
CONSOLE = "console"  # what a hostname leads to that is ours


def console(view: View, clock: Clock, nodes: Callable[[], Mapping[str, object]] | None = None) -> Starlette:
    """The application over a view. `app.state.board` is what `serving.serve` needs in order to stop it.

    nodes: what /nodes.json answers, where installed nodes are looked at.
    """
    board = Board(view, clock)
    handlers = _Handlers(board)
    explorer = Explorer(board, handlers.pages, handlers.error)
    hostnames = [hostname for hostname, route in view.environment.proxy.items() if route.to == CONSOLE]
    app = Starlette(
        routes=[
            Route("/", handlers.overview),
            Route("/events", handlers.events),
            Route("/status.json", handlers.status),
            Route("/health", handlers.health),
            *([Route("/nodes.json", lambda _request: _json(200, nodes()))] if nodes is not None else []),
            Route("/metrics", handlers.metrics),
            Route("/entities/{kind}/{name:path}", handlers.entity),
            Route("/tasks/{session}/{task}", handlers.task),
            *explorer.routes(),
            Route("/static/{name}", handlers.static),
        ],
        middleware=[Middleware(Guard, hostnames=hostnames)],
        exception_handlers={HTTPException: handlers.failed},
    )
    app.state.board = board
    return app


class _Handlers:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._static = Static(HERE / "static", "/static")
        self.pages = Pages(board, self._static)
        self._registry = registry_of(board)

    async def overview(self, _request: Request) -> Response:
        return HTMLResponse(self.pages.overview(await self._board.tasks()))

    async def entity(self, request: Request) -> Response:
        kind, name = request.path_params["kind"], request.path_params["name"]
        page = self.pages.entity(Entity(kind, name))
        return HTMLResponse(page) if page is not None else self.error(404, UnknownName(f"there is no {kind}/{name} in this environment"))

    async def task(self, request: Request) -> Response:
        numbers = [request.path_params["session"], request.path_params["task"]]
        if not all(number.isascii() and number.isdigit() and len(number) <= TASK_DIGITS_MAX for number in numbers):
            return self.error(404, UnknownName("a task is named SESSION/TASK, two numbers"))
        found = await self._board.view.task(*(int(number) for number in numbers))
        if isinstance(found, CortopsError):
            return self.error(404 if isinstance(found, UnknownName) else 502, found)
        return HTMLResponse(self.pages.task(found))

    async def events(self, request: Request) -> Response | EventStream:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._board.streams >= STREAMS_MAX:
            error = Refused(f"{STREAMS_MAX} pages are being looked at already", next="close one of them; this page tries again by itself")
            return refusal(503, error, {"retry-after": str(RETRY_AFTER_S)})
        return EventStream(self._board, request.headers.get("last-event-id") or request.query_params.get("after", ""))

    async def status(self, _request: Request) -> Response:
        return _json(200, status_document(self._board.view, self._board.clock.now()))

    async def health(self, _request: Request) -> Response:
        return _json(*health(self._board.view.picture(), self._board.streams, self._board.clock.now()))

    async def metrics(self, _request: Request) -> Response:
        return Response(metrics_text(self._registry), headers={"content-type": CONTENT_TYPE})

    async def static(self, request: Request) -> Response:
        found = self._static.files.get(request.path_params["name"])
        if found is None:
            return self.error(404, UnknownName("there is no such file"))
        return Response(found[1], headers={"content-type": found[0], "cache-control": "public, max-age=31536000, immutable"})

    async def failed(self, _request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self.error(status, UnknownName("there is no such page", next="Begin at the first page."))

    def error(self, status: int, error: CortopsError) -> Response:
        """What went wrong, as a page."""
        return HTMLResponse(self.pages.error(error), status_code=status)


def _json(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
