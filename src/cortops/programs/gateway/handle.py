"""Serving one request: the route, then the request machine's commands carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from urllib.parse import unquote

from cortops.programs.common.logs import Log
from cortops.programs.common.metrics import CONTENT_TYPE, Metrics, Reading
from cortops.programs.gateway.events import Received
from cortops.programs.gateway.exchange import Exchange
from cortops.programs.gateway.health import health_page
from cortops.programs.gateway.incoming import Incoming
from cortops.programs.gateway.keycheck import KeyCheck
from cortops.programs.gateway.limits import Limits
from cortops.programs.gateway.metrics import Refusals, reading
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.reload import Reload
from cortops.programs.gateway.request import Request, unknown_model
from cortops.programs.gateway.server import ClientConnection
from cortops.programs.gateway.ship import Ship
from cortops.programs.gateway.spool import Spool
from cortops.protocol.anthropic import AnthropicMessages
from cortops.protocol.dialect import Dialect, Names, OpenAiChat
from cortops.protocol.gateway import GatewayConfig
from cortops.protocol.http import HttpClient
from cortops.protocol.keys import KeyRow
from cortops.protocol.native import NativeCompletions
from cortops.protocol.openai import ApiError, model_page, models_page
from cortops.protocol.openapi import document
from cortops.protocol.routes import read_timeout
from cortops.words.clock import Clock

CLIENT_LEFT = 499  # counted, never sent: nginx's own number for it
PAGES = frozenset({"/health", "/metrics", "/openapi.json", "/v1/models"})
CHAT = OpenAiChat()
DIALECTS: dict[str, Dialect] = {dialect.route: dialect for dialect in (CHAT, AnthropicMessages(), NativeCompletions())}


class Gateway:
    """What all requests share; `handle` serves one."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        pools: Pools,
        keys: KeyCheck,
        spool: Spool,
        ship: Ship,
        http: HttpClient,
        clock: Clock,
        log: Log,
        reload: Reload,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.pools = pools
        self.http = http
        self.clock = clock
        self.config = config
        self.spool = spool
        self._keys = keys
        self._ship = ship
        self._log = log
        self._reload = reload
        self._created = int(clock.now())
        self.refusals = Refusals()
        self._answered: Counter[str] = Counter()  # status -> POST requests
        self._metrics = Metrics(self._reading)

    def handle(self, incoming: Incoming, connection: ClientConnection) -> Awaitable[None] | None:
        """The route of a request; None where it is answered at once."""
        if incoming.method == "POST" and (dialect := DIALECTS.get(incoming.path)) is not None:
            return self._serve(dialect, incoming, connection)
        match "GET" if incoming.method == "HEAD" else incoming.method, incoming.path:
            case "GET", "/health":
                connection.reply(*self.health())
            case "GET", "/metrics":
                connection.reply(200, self._metrics.page(), content_type=CONTENT_TYPE)
            case "GET", "/openapi.json":
                connection.reply(200, document())
            case "GET", "/v1/models":
                self._models(incoming, connection, "")
            case "GET", path if path.startswith("/v1/models/"):
                self._models(incoming, connection, unquote(path.removeprefix("/v1/models/")))
            case _:
                self._no_route(incoming, connection)
        return None

    def error_body(self, incoming: Incoming) -> bytes:
        """What is wrong with a request that is none, in the shape of the route it was meant for."""
        assert incoming.error is not None
        self.refusals.add(incoming.error.code)
        return dialect_of(incoming.path).error(incoming.error, Names(id=incoming.id, shown_id=incoming.shown_id))

    def _no_route(self, incoming: Incoming, connection: ClientConnection) -> None:
        """RFC 9110, 15.5.5 and 15.5.6."""
        allowed = allowed_methods(incoming.path)
        if allowed:
            connection.also = f"Allow: {allowed}\r\n"
            message = f"{incoming.method} is not possible here; {allowed} is"
            self._refuse(connection, ApiError(status=405, code="method_not_allowed", message=message), incoming)
        else:
            message = f"Invalid URL ({incoming.method} {incoming.path[:200]})"
            self._refuse(connection, ApiError(status=404, code="not_found", message=message), incoming)

    def health(self) -> tuple[int, bytes]:
        """(HTTP status, body) of GET /health: pools with their members, and every reason against us."""
        kept = (
            ("the key store", self._keys.trouble),
            ("the usage spool", self.spool.trouble),
            ("the usage store", self._ship.trouble),
            ("the slot file", self.pools.trouble),
            ("the limits' store", self.limits.trouble),
            ("the new configuration", self._reload.trouble),
        )
        troubles = tuple(f"{store} cannot be used; the log says why" for store, trouble in kept if trouble)
        queued = {name: self.pools.queued(name) for name in self.config.pools}
        return health_page(self.config.name, self.config.models, self.pools.views(), queued, troubles)

    def take(self, config: GatewayConfig) -> None:
        """Another configuration, for requests that come from now on."""
        self.config = config
        self.pools.configure(config)

    def _reading(self) -> Reading:
        queued = {name: self.pools.queued(name) for name in self.config.pools}
        counted = {"requests": self._answered, "refusals": self.refusals.by_code}
        return reading(well=self.health()[0] == 200, views=self.pools.views(), queued=queued, **counted)

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> None:
        """What a request learned of its member."""
        if self.pools.observe(pool, member, ok=ok, why=why):
            self._log.info("member_turned", pool=pool, member=member, state="down", why=why)

    def _models(self, incoming: Incoming, connection: ClientConnection, alias: str) -> None:
        key = self._keys.check(incoming.headers.get("authorization", ""))
        if isinstance(key, ApiError):
            self._refuse(connection, key, incoming)
        elif not alias:
            connection.reply(200, models_page([alias for alias in self.config.models if key.allows_model(alias)], self._created))
        elif alias in self.config.models and key.allows_model(alias):
            connection.reply(200, model_page(alias, self._created))
        else:
            self._refuse(connection, unknown_model(alias), incoming)

    def _refuse(self, connection: ClientConnection, error: ApiError, incoming: Incoming) -> None:
        """An error as the whole answer, in the shape of its route."""
        self.refusals.add(error.code)
        dialect = dialect_of(incoming.path)
        connection.also += dialect.head(incoming.shown_id)
        body = dialect.error(error, Names(id=incoming.id, shown_id=incoming.shown_id))
        connection.reply(error.status, body, retry_after_s=error.retry_after_s)

    async def _serve(self, dialect: Dialect, incoming: Incoming, connection: ClientConnection) -> None:
        try:
            exchange, received = self._received(dialect, incoming, connection)
            await exchange.run(received)
        finally:
            self._answered[str(connection.status if connection.started else CLIENT_LEFT)] += 1

    def _received(self, dialect: Dialect, incoming: Incoming, connection: ClientConnection) -> tuple[Exchange, Received]:
        """A request for a model, and the first that its machine hears."""
        key = self._keys.check(dialect.credential(incoming.headers))
        shown_id = incoming.shown_id
        connection.also = dialect.head(shown_id)
        ask = dialect.read(incoming.body) if not isinstance(key, ApiError) else key
        model = "" if isinstance(ask, ApiError) else ask.model
        pool = self.config.models.get(model, "")
        started_at = self.clock.now()
        timeout_s = self.config.limits.request_timeout_s
        if (header := incoming.headers.get("x-request-timeout")) and (wanted_s := read_timeout(header)) is not None:
            timeout_s = min(timeout_s, wanted_s)
        request = Request(
            id=incoming.id,
            client_id=incoming.client_id,
            started_at=started_at,
            ends_at=started_at + timeout_s,
            return_wait_s=self.config.pools[pool].return_wait_s if pool else 0.0,
        )
        names = Names(id=incoming.id, shown_id=shown_id, model=model, pool=pool)
        exchange = Exchange(self, request, connection, dialect, names, timeout_s=timeout_s)
        counted = isinstance(key, KeyRow) and self.limits.counts(key)
        return exchange, Received(key=key, ask=ask, pool=pool, family=dialect.family, refusal=self._refusal(), counted=counted)

    def _refusal(self) -> ApiError | None:
        if not self.spool.trouble:
            return None
        return ApiError(status=503, code="usage_unavailable", message="usage cannot be recorded now", type="api_error", retry_after_s=5)


def dialect_of(path: str) -> Dialect:
    """How errors at a path are told: OpenAI's way wherever nobody else lives."""
    return next((dialect for route, dialect in DIALECTS.items() if path == route or path.startswith(f"{route}/")), CHAT)


def allowed_methods(path: str) -> str:
    """The Allow header of a path, "" for one that is none."""
    if path in DIALECTS:
        return "POST"
    return "GET, HEAD" if path in PAGES or path.startswith("/v1/models/") else ""
