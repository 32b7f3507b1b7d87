"""The router's MCP server: tools over streamable HTTP, on a port of its own (facts A.1, H), by the official library.

Stateless: every POST stands for itself, so any member of a pool may answer it, and nothing is kept of clients that do not come back.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

import cortops
from cortops.programs.common.health import listening
from cortops.programs.router import asgi
from cortops.programs.router.mcp_advert import advertisement, public_base
from cortops.programs.router.mcp_tools import NO_SESSIONS, Access, Tool, asked_of, payment_of, tools_of
from cortops.programs.router.offers import Answered, Asked, Family, Offers
from cortops.programs.router.refusals import error_response, refusal_answered, refused
from cortops.programs.router.trial import Trial
from cortops.programs.router.x402 import Payments
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

BODY_MAX_MIB = 1
SESSION_HEADER = "Mcp-Session-Id"
RECEIPT = "x402/payment-response"
PATHS = ("/mcp", "/mcp/messages")
_REST_PATHS: Mapping[Family, str] = {family: f"/api/v{{}}/x402/{family}" for family in Family}

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the tools do. payments, trial: None where none are declared."""

    settings: RouterSettings
    offers: Offers
    payments: Payments | None
    trial: Trial | None

    @property
    def offered(self) -> Mapping[str, Tool]:
        return tools_of(self.settings, trial=self.trial is not None)

    async def list(self, _context: Context, _params: Any) -> types.ListToolsResult:
        """tools/list."""
        paid = self.payments is not None
        shown = [types.Tool(name=tool.name, description=tool.about, input_schema=tool.schema(paid=paid)) for tool in self.offered.values()]
        return types.ListToolsResult(tools=shown)

    async def call(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """tools/call. Every refusal is a result with `is_error`, in the one error shape."""
        arguments = params.arguments or {}
        payment = payment_of(arguments, dict(context.meta or {}))
        return _result(await self._answer(params.name, arguments, payment, context.request))

    async def _answer(self, name: str, arguments: Mapping[str, Any], payment: str, request: Any) -> Answered:
        if name == NO_SESSIONS:
            return refused(403, "not_offered", "MCP creates no sessions: they cost their owner money. Use the ones that are declared")
        tool = self.offered.get(name)
        if tool is None:
            return refused(404, "unknown_tool", f"there is no tool {name[:64]!r}: tools/list names them")
        try:
            asked = asked_of(tool, arguments, self.settings)
        except BadInput as error:
            return refusal_answered(error)
        return await self._admitted(tool, asked, payment, request)

    async def _admitted(self, tool: Tool, asked: Asked, payment: str, request: Any) -> Answered:
        """By key, by payment, within the free window, or not at all."""
        if tool.access is Access.OPEN:
            return await self.offers.answer(asked)
        if tool.access is Access.TRIAL and self.trial is not None:
            return await self.trial.answer(asked, request.scope[asgi.REQUEST])
        has_key = hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {self.settings.api_key}".encode())
        must_pay = self.settings.mcp_force_x402 or self.settings.mcp_stream_force_x402
        if tool.access is Access.PAID and self.payments is not None and (payment or must_pay or not has_key):
            return await self.payments.answer(asked, payment, _REST_PATHS[asked.family].format(asked.version))
        if payment and tool.access is Access.PAID:
            return refused(400, "payments_not_taken", "this router takes no payments")
        if not has_key or (must_pay and tool.access is Access.PAID):
            return refused(401, "invalid_api_key", "a key is needed: Authorization: Bearer KEY")
        return await self.offers.answer(asked)


def _result(answered: Answered) -> types.CallToolResult:
    text = msgspec.json.encode(answered.body).decode()
    receipt = answered.headers.get("X-PAYMENT-RESPONSE")
    meta = {RECEIPT: receipt} if receipt else None
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=not answered.fine, _meta=meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSite:
    """The HTTP side of it."""

    settings: RouterSettings
    tools: Tools
    sessions: StreamableHTTPSessionManager
    session_id: Callable[[], str]

    def application(self) -> web.Application:
        """The aiohttp application of the MCP port."""
        app = web.Application(client_max_size=BODY_MAX_MIB * 2**20, middlewares=[self._guard])
        for path in PATHS:
            app.router.add_post(path, self._post)
            app.router.add_delete(path, self._delete)
        app.router.add_get("/mcp/messages", self._advertised)
        app.router.add_get("/about", self._about)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """A page of another site may not ask through a visitor's browser (MCP, Streamable HTTP, security warning)."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != public_base(self.settings):
            return error_response(403, "origin_not_allowed", "pages of other sites may not ask here")
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except web.HTTPRequestEntityTooLarge:
            return error_response(413, "body_too_large", f"a body may have {BODY_MAX_MIB} MiB")
        except web.HTTPException as error:
            code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "http_error")
            return error_response(error.status, code, error.reason)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        return await asgi.answer(self.sessions.handle_request, request, headers=self._session_header(request))

    def _session_header(self, request: web.Request) -> Mapping[str, str]:
        """Clients of older builds want a session id from `initialize` and send it ever after: they get one, and it means nothing."""
        return {} if SESSION_HEADER in request.headers else {SESSION_HEADER: self.session_id()}

    async def _delete(self, _request: web.Request) -> web.StreamResponse:
        """A client that ends its session: there was none."""
        return web.Response(status=204)

    async def _advertised(self, _request: web.Request) -> web.StreamResponse:
        if not self.settings.mcp_advertised:
            raise web.HTTPNotFound
        return _json(advertisement(self.settings, self.tools.offered, cortops.__version__))

    async def _about(self, _request: web.Request) -> web.StreamResponse:
        answered = await self.tools.offers.answer(Asked(family=Family.ABOUT))
        return _json(answered.body, answered.status)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


@asynccontextmanager
async def serving(tools: Tools, session_id: Callable[[], str]) -> AsyncIterator[int]:
    """Serve MCP on its port while inside; yields the port. Raises PortTaken, and BadInput for an advertisement that cannot be made.

    session_id: makes one for clients that want one.
    """
    settings = tools.settings
    advertisement(settings, tools.offered, cortops.__version__)
    server: Server[Any] = Server(settings.name, version=cortops.__version__, on_list_tools=tools.list, on_call_tool=tools.call)
    sessions = StreamableHTTPSessionManager(server, json_response=True, stateless=True, max_request_body_size=BODY_MAX_MIB * 2**20)
    site = McpSite(settings=settings, tools=tools, sessions=sessions, session_id=session_id)
    async with sessions.run(), listening(site.application(), settings.mcp_bind_ips, settings.mcp_port, handler_cancellation=True) as port:
        yield port
