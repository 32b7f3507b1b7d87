"""The router's REST port: keys, limits and errors; what is asked goes to `Offers`."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from aiohttp import web
from aiohttp.typedefs import Middleware

from cortops.programs.common.health import Handler, Health, health_handler, metrics_handler
from cortops.programs.router.doors import ID, Door, header_timeout_s, read_body, send
from cortops.programs.router.families import checked_reference
from cortops.programs.router.offers import VERSIONS, Asked, Family, Offers
from cortops.programs.router.reads import Reads
from cortops.programs.router.refusals import Refuse, error_response, refusal_answered
from cortops.programs.router.replies import ChatForm
from cortops.programs.router.tasks import Tasks
from cortops.protocol.routes import REQUEST_ID_HEADER, chat_task, read_chat
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError

BODY_MAX_MIB = 4
OPEN_ROUTES = frozenset({"/api/v1/ping", "/api/v1/status", "/api/v1/about", "/openapi.json", "/health", "/metrics"})
CLIENT_LEFT = 499  # as nginx counts those that did not wait for an answer

_READS: tuple[tuple[str, Family], ...] = (
    ("ping", Family.PING),
    ("status", Family.STATUS),
    ("info", Family.INFO),
    ("about", Family.ABOUT),
    ("miners", Family.MINERS),
    ("sessions", Family.SESSIONS),
    (f"sessions/{{sid:{ID}}}", Family.SESSIONS),
    (f"tasks/{{sid:{ID}}}", Family.TASKS),
    (f"tasks/{{sid:{ID}}}/{{tid:{ID}}}", Family.TASKS),
)


def _asks() -> tuple[tuple[str, Family, int], ...]:
    """Every POST route of the families that run tasks (facts A.3)."""
    found: list[tuple[str, Family, int]] = [
        ("/api/v1/create", Family.CREATE, 1),
        ("/api/v1/factcheck", Family.FACTCHECK, 1),
        ("/api/v1/fact-check", Family.FACTCHECK, 1),
    ]
    for version in VERSIONS[Family.COMPLETIONS]:
        found += [(f"/api/v{version}/completions{sid}", Family.COMPLETIONS, version) for sid in ("", f"/{{sid:{ID}}}")]
        found += [(f"/api/v{version}/{family}", family, version) for family in (Family.DELEGATE, Family.VALIDATE)]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """new_reference: makes a request id for a client that sent none. answered: POST requests by HTTP status."""

    settings: RouterSettings
    offers: Offers
    tasks: Tasks
    reads: Reads
    clock: Clock
    new_reference: Callable[[], str]
    doors: Sequence[Door] = ()
    answered: Counter[str] = field(default_factory=Counter)

    def application(self) -> web.Application:
        """The aiohttp application of the REST port."""
        app = web.Application(client_max_size=BODY_MAX_MIB * 2**20, middlewares=[self._count(), self._guard()])
        for path, family in _READS:
            app.router.add_get(f"/api/v1/{path}", self._read(family))
        for path, family, version in _asks():
            app.router.add_post(path, self._ask(family, version))
        app.router.add_post(f"/api/v1/chat/completions/{{sid:{ID}}}", self.chat)
        for door in self.doors:
            app.router.add_routes(door.routes())
        app.router.add_get("/openapi.json", _openapi)
        app.router.add_get("/health", health_handler(self.reads.health))
        app.router.add_get("/metrics", metrics_handler(self._measured))
        return app

    def _measured(self) -> Health:
        """Sessions are summed: their ids are no business of who reads metrics."""
        health, desk = self.reads.health(), self.tasks.desk
        in_flight = sum(desk.in_flight(session) for session in self.settings.sessions) if self.settings.sessions else None
        return replace(health, facts={**health.facts, "in_flight": in_flight, "requests": self.answered})

    def _count(self) -> Middleware:
        """POST requests by what became of them."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            status = 500
            try:
                response = await handler(request)
                status = response.status
                return response
            except asyncio.CancelledError:
                status = CLIENT_LEFT
                raise
            finally:
                if request.method == "POST":
                    self.answered[str(status)] += 1

        return count

    def _guard(self) -> Middleware:
        """Key first, and one error shape for everything that goes wrong."""
        expected = f"Bearer {self.settings.api_key}".encode()
        opened = OPEN_ROUTES.union(*(door.open_paths for door in self.doors))

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            resource = request.match_info.route.resource
            asked = resource.canonical if resource is not None else ""
            if asked not in opened and not hmac.compare_digest(given, expected):
                return error_response(401, "invalid_api_key", "a key is needed: Authorization: Bearer KEY")
            try:
                return await handler(request)
            except Refuse as refusal:
                return await send(request, refusal.answered)
            except CortopsError as error:
                return await send(request, refusal_answered(error))
            except web.HTTPRequestEntityTooLarge:
                return error_response(413, "body_too_large", f"a body may have {BODY_MAX_MIB} MiB")
            except web.HTTPException as error:
                code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "http_error")
                return error_response(error.status, code, error.reason)

        return guard

    def _read(self, family: Family) -> Handler:
        """GET: ids from the path, the rest from the query."""

        async def read(request: web.Request) -> web.StreamResponse:
            ids = {"session_id": request.match_info.get("sid"), "task_id": request.match_info.get("tid")}
            asked = Asked(family=family, body={"before": request.query.get("before"), **ids})
            return await send(request, await self.offers.answer(asked))

        return read

    def _ask(self, family: Family, version: int) -> Handler:
        """POST: a JSON object; a session in the path is the one that counts."""

        async def ask(request: web.Request) -> web.StreamResponse:
            named = request.match_info.get("sid")
            asked = Asked(
                family=family,
                version=version,
                session=int(named) if named is not None else None,
                body=await read_body(request),
                reference=request.headers.get(REQUEST_ID_HEADER, ""),
                timeout_s=header_timeout_s(request),
            )
            return await send(request, await self.offers.answer(asked))

        return ask

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/chat/completions/{sid}: what our gateway asks; no family of the public surface, so not among the offers."""
        chat, body = read_chat(await request.read())
        session = int(request.match_info["sid"])
        reference = checked_reference(request.headers.get(REQUEST_ID_HEADER, "") or self.new_reference())
        timeout_s = self.tasks.timeout_s(header_timeout_s(request))
        task = chat_task(chat, body, session, reference, self.tasks.precommit_s(timeout_s))
        stream, with_tools = bool(chat.stream), bool(chat.tools)
        await self.tasks.admit(task, stream=stream)
        form = ChatForm(
            model=chat.model or f"session-{session}",
            created=int(self.clock.now()),
            with_tools=with_tools,
            include_usage=chat.stream_options is not None and chat.stream_options.include_usage,
        )
        return await send(request, await self.tasks.answer(task, form, stream=stream, with_tools=with_tools, timeout_s=timeout_s))


async def _openapi(_request: web.Request) -> web.StreamResponse:
    from cortops.protocol.openapi_router import document  # only where somebody asks for it

    return web.Response(body=document(), content_type="application/json")
