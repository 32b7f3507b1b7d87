"""The router's REST routes: keys, bodies, limits and errors; everything else is the desk's."""

from __future__ import annotations

import asyncio
import hmac
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from aiohttp import web
from aiohttp.typedefs import Middleware

from cortops.programs.common.health import Handler, Health, health_handler, metrics_handler
from cortops.programs.router.desk import Client, Desk
from cortops.programs.router.reads import Reads
from cortops.programs.router.refusals import error_body, error_response
from cortops.programs.router.replies import ChatForm, Form, NativeForm
from cortops.programs.router.request import Answer, Fail, Open, Write
from cortops.protocol.routes import (
    REFERENCE_CHARS_MAX,
    REQUEST_ID_HEADER,
    TASK_HEADER,
    TIMEOUT_HEADER,
    TaskRequest,
    chat_task,
    native_task,
    over_bound,
    read_chat,
    read_native,
    read_timeout,
    sse,
)  # fmt: skip
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, CallReverted, ChainError

BODY_MAX_MIB = 4
OPEN_ROUTES = frozenset({"/api/v1/ping", "/api/v1/status", "/api/v1/about", "/health", "/metrics"})
CLIENT_LEFT = 499  # as nginx counts those that did not wait for an answer
ID = r"\d{1,18}"
_REFERENCE = re.compile(rf"[!-~]{{1,{REFERENCE_CHARS_MAX}}}")
_PLACE = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)


class _Refuse(Exception):
    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.response = error_response(status, code, message, param)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """new_reference: makes a request id for a client that sent none. answered: POST requests by HTTP status."""

    settings: RouterSettings
    desk: Desk
    reads: Reads
    clock: Clock
    new_reference: Callable[[], str]
    answered: Counter[str] = field(default_factory=Counter)

    def application(self) -> web.Application:
        """The aiohttp application of the REST port."""
        app = web.Application(client_max_size=BODY_MAX_MIB * 2**20, middlewares=[self._count(), self._guard()])
        reads = self.reads
        for path, handler in (
            ("ping", reads.ping),
            ("status", reads.status),
            ("info", reads.info),
            ("about", reads.about),
            ("miners", reads.miners),
            ("sessions", reads.sessions),
            (f"sessions/{{sid:{ID}}}", reads.session),
            (f"tasks/{{sid:{ID}}}", reads.tasks),
            (f"tasks/{{sid:{ID}}}/{{tid:{ID}}}", reads.task),
        ):
            app.router.add_get(f"/api/v1/{path}", handler)
        app.router.add_post("/api/v1/completions", self.native)
        app.router.add_post(f"/api/v1/completions/{{sid:{ID}}}", self.native)
        app.router.add_post(f"/api/v1/chat/completions/{{sid:{ID}}}", self.chat)
        app.router.add_get("/health", health_handler(reads.health))
        app.router.add_get("/metrics", metrics_handler(self._measured))
        return app

    def _measured(self) -> Health:
        """Sessions are summed: their ids are no business of who reads metrics."""
        health = self.reads.health()
        in_flight = sum(self.desk.in_flight(session) for session in self.settings.sessions) if self.settings.sessions else None
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

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if request.path not in OPEN_ROUTES and not hmac.compare_digest(given, expected):
                return error_response(401, "invalid_api_key", "a key is needed: Authorization: Bearer KEY")
            try:
                return await handler(request)
            except _Refuse as refused:
                return refused.response
            except BadInput as error:
                return _bad_input(error)
            except CallReverted as error:
                return error_response(404, "not_found", error.why)
            except ChainError as error:
                return error_response(503, "chain_unreachable", error.what)
            except web.HTTPRequestEntityTooLarge:
                return error_response(413, "body_too_large", f"a body may have {BODY_MAX_MIB} MiB")
            except web.HTTPException as error:
                code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "http_error")
                return error_response(error.status, code, error.reason)

        return guard

    async def native(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/completions[/{sid}] (facts A.4)."""
        body = read_native(await request.read())
        named = request.match_info.get("sid")
        if named is None and body.session_id is None:
            raise BadInput("session_id is needed, in the body or in the path - at `$.session_id`")
        session = int(named) if named is not None else int(body.session_id or 0)
        reference = self._reference(body.client_reference or request.headers.get(REQUEST_ID_HEADER, ""))
        timeout_s = self._timeout_s(request, body.timeout)
        task = native_task(body, session, reference, self._precommit_s(timeout_s))
        self._check(task)
        client = self.desk.ask(task, stream=body.stream, with_tools=False, timeout_s=timeout_s)
        form = NativeForm(model=f"session-{session}", created=int(self.clock.now()))
        return await self._answer(request, task, client, form, stream=body.stream)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/chat/completions/{sid}: what our gateway asks."""
        chat, body = read_chat(await request.read())
        session = int(request.match_info["sid"])
        reference = self._reference(request.headers.get(REQUEST_ID_HEADER, ""))
        timeout_s = self._timeout_s(request)
        task = chat_task(chat, body, session, reference, self._precommit_s(timeout_s))
        self._check(task)
        stream, with_tools = bool(chat.stream), bool(chat.tools)
        client = self.desk.ask(task, stream=stream, with_tools=with_tools, timeout_s=timeout_s)
        form = ChatForm(
            model=chat.model or f"session-{session}",
            created=int(self.clock.now()),
            with_tools=with_tools,
            include_usage=chat.stream_options is not None and chat.stream_options.include_usage,
        )
        return await self._answer(request, task, client, form, stream=stream)

    def _timeout_s(self, request: web.Request, wanted_s: float | None = None) -> float:
        """The shortest of what the client waits, what it wants, and our own limit."""
        left_s = read_timeout(request.headers.get(TIMEOUT_HEADER, ""))
        return min(limit for limit in (self.settings.request_timeout_s, left_s, wanted_s) if limit is not None)

    def _precommit_s(self, timeout_s: float) -> int:
        """What the miners get: no longer than somebody waits for them."""
        return min(self.settings.precommit_timeout_s, max(1, math.ceil(timeout_s)))

    def _reference(self, given: str) -> str:
        reference = given or self.new_reference()
        if not _REFERENCE.fullmatch(reference):
            raise BadInput(f"a client reference has 1 to {REFERENCE_CHARS_MAX} visible ASCII characters - at `$.client_reference`")
        return reference

    def _check(self, task: TaskRequest) -> None:
        if self.settings.sessions and task.session not in self.settings.sessions:
            raise _Refuse(404, "session_not_found", f"this router does not serve session {task.session}", "session_id")
        if why := over_bound(task):
            raise _Refuse(400, "context_length_exceeded", why, "messages")
        if not self.desk.ready:
            raise _Refuse(503, "starting", "the router has not read the chain yet; ask again with the same request id")

    async def _answer(self, request: web.Request, task: TaskRequest, client: Client, form: Form, *, stream: bool) -> web.StreamResponse:
        try:
            return await (_stream if stream else _plain)(request, task.session, client, form)
        finally:
            self.desk.leave(task, client)


async def _plain(_request: web.Request, session: int, client: Client, form: Form) -> web.StreamResponse:
    name = ""
    async for outputs in client.outputs():
        for output in outputs:
            match output:
                case Open(task=task):
                    name = f"{session}/{task}"
                case Answer():
                    return web.Response(body=form.whole(name, output), content_type="application/json", headers={TASK_HEADER: name})
                case Fail(status=status, code=code, message=message):
                    return error_response(status, code, message, task=name)
    raise AssertionError("outputs end with an Answer or a Fail")


async def _stream(request: web.Request, session: int, client: Client, form: Form) -> web.StreamResponse:
    """Head when the task is on chain, then one write for all that is there. A client that is gone ends it quietly."""
    response, name = web.StreamResponse(), ""
    try:
        async for outputs in client.outputs():
            parts: list[bytes] = []
            for output in outputs:
                match output:
                    case Open(task=task) if not name:
                        name = f"{session}/{task}"
                        response.headers.update({"Content-Type": "text/event-stream", "Cache-Control": "no-store", TASK_HEADER: name})
                        await response.prepare(request)
                    case Write(delta=delta):
                        parts.append(form.delta(name, delta))
                    case Answer():
                        parts.append(form.end(name, output))
                    case Fail(status=status, code=code, message=message):
                        if not name:
                            return error_response(status, code, message)
                        parts.append(sse({"error": error_body(status, code, message)}))
            await response.write(b"".join(parts))
    except ConnectionError:
        return response
    return response


def _bad_input(error: BadInput) -> web.Response:
    """msgspec's sentence, with the place as OpenAI's `param`."""
    found = _PLACE.match(error.what)
    message, param = (found[1], found[2]) if found else (error.what, None)
    return error_response(400, "invalid_request", message, param)
