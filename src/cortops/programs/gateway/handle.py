"""Serving one request: the route, then the request machine's commands carried out."""

from __future__ import annotations

from collections import Counter
from urllib.parse import unquote

from cortops.programs.common.logs import Log
from cortops.programs.common.metrics import CONTENT_TYPE, Metrics, Reading
from cortops.programs.gateway.events import (
    NO_TOKENS,
    Acquire,
    Answer,
    BreakOff,
    Broken,
    ClientGone,
    Command,
    Ended,
    Event,
    Finish,
    Forward,
    Free,
    Head,
    Pause,
    Received,
    Record,
    Refuse,
    Relay,
    Rested,
    Turned,
    Whole,
)
from cortops.programs.gateway.health import health_page
from cortops.programs.gateway.incoming import Incoming
from cortops.programs.gateway.keycheck import KeyCheck
from cortops.programs.gateway.metrics import reading
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.request import Request, State, unknown_model
from cortops.programs.gateway.server import ClientConnection
from cortops.programs.gateway.ship import Ship
from cortops.programs.gateway.spool import Spool
from cortops.protocol.gateway import ASK_AGAIN, GatewayConfig
from cortops.protocol.http import HttpClient, HttpFailure, HttpStream
from cortops.protocol.openai import (
    DONE,
    ApiError,
    StreamBroken,
    StreamRewriter,
    model_page,
    models_page,
    read_chat,
    read_error,
    rewrite_reply,
)
from cortops.words.clock import Clock
from cortops.words.question import Silence

REPLY_MAX = 16 * 2**20  # bytes of a member's whole answer
ERROR_MAX = 64 * 1024  # bytes of a member's error
TAIL_WAIT_S = 1.0  # for the end of a member's stream after its [DONE]
NOT_FOUND = "not_found"
CLIENT_LEFT = 499  # counted, never sent: nginx's own number for it


class Gateway:
    """What all requests share; `handle` serves one."""

    def __init__(
        self, config: GatewayConfig, *, pools: Pools, keys: KeyCheck, spool: Spool, ship: Ship, http: HttpClient, clock: Clock, log: Log
    ) -> None:
        self.pools = pools
        self.http = http
        self.clock = clock
        self.config = config
        self.spool = spool
        self._keys = keys
        self._ship = ship
        self._log = log
        self._created = int(clock.now())
        self._answered: Counter[str] = Counter()  # status -> POST requests
        self._metrics = Metrics(self._reading)

    async def handle(self, incoming: Incoming, connection: ClientConnection) -> None:
        """The route of a request. Anything unknown is a 404 in the one error shape."""
        match incoming.method, incoming.path:
            case "POST", "/v1/chat/completions":
                try:
                    await self._chat(incoming, connection)
                finally:
                    self._answered[str(connection.status if connection.started else CLIENT_LEFT)] += 1
            case "GET", "/health":
                connection.reply(*self.health())
            case "GET", "/metrics":
                connection.reply(200, self._metrics.page(), content_type=CONTENT_TYPE)
            case "GET", "/v1/models":
                self._models(incoming, connection, "")
            case "GET", path if path.startswith("/v1/models/"):
                self._models(incoming, connection, unquote(path.removeprefix("/v1/models/")))
            case _:
                message = f"Invalid URL ({incoming.method} {incoming.path[:200]})"
                refuse(connection, ApiError(status=404, code=NOT_FOUND, message=message), incoming.shown_id)

    def health(self) -> tuple[int, bytes]:
        """(HTTP status, body) of GET /health: pools with their members, and every reason against us."""
        kept = (
            ("the key store", self._keys.trouble),
            ("the usage spool", self.spool.trouble),
            ("the usage store", self._ship.trouble),
            ("the slot file", self.pools.trouble),
        )
        troubles = tuple(f"{store} cannot be used; the log says why" for store, trouble in kept if trouble)
        queued = {name: self.pools.queued(name) for name in self.config.pools}
        return health_page(self.config.name, self.config.models, self.pools.views(), queued, troubles)

    def _reading(self) -> Reading:
        queued = {name: self.pools.queued(name) for name in self.config.pools}
        return reading(well=self.health()[0] == 200, views=self.pools.views(), queued=queued, requests=self._answered)

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> None:
        """What a request learned of its member."""
        if self.pools.report(pool, member, ok=ok, why=why):
            self._log.info("member_turned", pool=pool, member=member, state="ok" if ok else "down", why=why)

    def _models(self, incoming: Incoming, connection: ClientConnection, alias: str) -> None:
        key = self._keys.check(incoming.headers.get("authorization", ""))
        if isinstance(key, ApiError):
            refuse(connection, key, incoming.shown_id)
        elif not alias:
            connection.reply(200, models_page([alias for alias in self.config.models if key.allows_model(alias)], self._created))
        elif alias in self.config.models and key.allows_model(alias):
            connection.reply(200, model_page(alias, self._created))
        else:
            refuse(connection, unknown_model(alias), incoming.shown_id)

    async def _chat(self, incoming: Incoming, connection: ClientConnection) -> None:
        key = self._keys.check(incoming.headers.get("authorization", ""))
        ask = read_chat(incoming.body) if not isinstance(key, ApiError) else key
        pool = "" if isinstance(ask, ApiError) else self.config.models.get(ask.model, "")
        started_at = self.clock.now()
        request = Request(
            id=incoming.id,
            client_id=incoming.client_id,
            started_at=started_at,
            ends_at=started_at + self.config.limits.request_timeout_s,
            return_wait_s=self.config.pools[pool].return_wait_s if pool else 0.0,
        )
        exchange = Exchange(self, request, incoming, connection, pool)
        await exchange.run(Received(key=key, ask=ask, pool=pool, refusal=self._refusal()))

    def _refusal(self) -> ApiError | None:
        if not self.spool.trouble:
            return None
        return ApiError(status=503, code="usage_unavailable", message="usage cannot be recorded now", type="api_error", retry_after_s=5)


class Exchange:
    """One chat request: carries out the commands of its machine and tells it what happened."""

    def __init__(self, gateway: Gateway, request: Request, incoming: Incoming, connection: ClientConnection, pool: str) -> None:
        self._gateway = gateway
        self._request = request
        self._incoming = incoming
        self._connection = connection
        self._pool = pool
        self._ends_at = gateway.clock.monotonic() + gateway.config.limits.request_timeout_s
        self._upstream: HttpStream | None = None
        self._rewriter: StreamRewriter | None = None
        self._first_token_at: float | None = None
        self._held = b""  # the stream's last bytes, sent when usage is written

    async def run(self, event: Event | None) -> None:
        """To the end, whatever happens: the slot is freed and the row written even when this task is cancelled."""
        try:
            while event is not None:
                event = await self._perform(self._request.step(event))
        finally:
            if self._request.state is not State.FINISHED:
                why = "client_gone" if self._connection.gone.is_set() else "gateway_stopped"
                tokens = self._rewriter.tokens if self._rewriter else NO_TOKENS
                gone = ClientGone(at=self._gateway.clock.now(), tokens=tokens, first_token_at=self._first_token_at, why=why)
                await self._perform(self._request.step(gone))
            await self._let_go()

    async def _perform(self, commands: tuple[Command, ...]) -> Event | None:
        for command in commands:
            match command:
                case Forward():
                    return await self._forward(command)
                case Relay():
                    return await self._relay()
                case Acquire():
                    return await self._gateway.pools.acquire(command.pool, command.avoid)
                case Pause():
                    await self._let_go()
                    if command.ok is not None:
                        self._gateway.report(self._pool, command.slot.member, ok=command.ok, why=command.why)
                    await self._gateway.clock.sleep(command.seconds)
                    return Rested()
                case Free():
                    await self._let_go()  # first the connection, so that the next request on this session may use it
                    if command.ok is not None:
                        self._gateway.report(self._pool, command.slot.member, ok=command.ok, why=command.why)
                    self._gateway.pools.release(self._pool, command.slot)
                case Record():
                    await self._gateway.spool.add(command.row)
                case Answer():
                    self._connection.reply(200, command.body)
                case Finish():
                    self._end(self._held + DONE)
                case Refuse():
                    refuse(self._connection, command.error, self._incoming.shown_id)
                case BreakOff() if self._connection.started:
                    self._end(command.error.event(self._incoming.shown_id))
                case BreakOff():
                    refuse(self._connection, command.error, self._incoming.shown_id)
        return None

    async def _forward(self, command: Forward) -> Event:
        gateway = self._gateway
        member = gateway.pools.upstream(self._pool, command.slot.member)
        left_s = max(0.0, self._ends_at - gateway.clock.monotonic())
        upstream = gateway.http.stream(
            "POST",
            f"{member.url}/api/v1/chat/completions/{command.slot.session}",
            headers=(*member.headers, ("X-Request-ID", self._request.id)),
            body=command.ask.body,
            timeout_s=left_s,
            idle_timeout_s=left_s,
        )
        try:
            await upstream.__aenter__()
            self._upstream = upstream
            task = read_task(upstream.header("x-cortensor-task"))
            streams = upstream.header("content-type").startswith("text/event-stream")
            if upstream.status == 200 and streams and command.ask.stream:
                self._rewriter = StreamRewriter(
                    alias=command.ask.model, public_id=f"chatcmpl-{self._request.id}", wants_usage=command.ask.wants_usage
                )
                return Head(task=task)
            size_max = REPLY_MAX if upstream.status == 200 else ERROR_MAX
            body = await read_bounded(upstream, size_max)
        except HttpFailure as error:
            return Broken(at=gateway.clock.now(), silence=error.silence, sent=error.sent, why=error.what)
        if body is None:
            why = f"the answer is larger than {size_max} bytes"
            return Broken(at=gateway.clock.now(), silence=Silence.RESET, sent=True, why=why, malformed=True)
        return self._judge(command, upstream.status, task, body)

    def _judge(self, command: Forward, status: int, task: tuple[int, int] | None, body: bytes) -> Event:
        """A whole answer: a reply, or an error under whatever status."""
        at = self._gateway.clock.now()
        if status == 200 and not command.ask.stream:
            reply = rewrite_reply(body, alias=command.ask.model, public_id=f"chatcmpl-{self._request.id}")
            if reply is not None:
                return Whole(at=at, task=task, body=reply.body, tokens=reply.tokens)
        message, code = read_error(body)
        return Turned(at=at, status=502 if status < 400 else status, task=task, message=message, code=code)

    async def _relay(self) -> Event:
        """Pass the stream on, one write a read; the member is read no faster than the client reads."""
        upstream, rewriter, connection, clock = self._upstream, self._rewriter, self._connection, self._gateway.clock
        assert upstream is not None and rewriter is not None
        try:
            while data := await upstream.read():
                out = rewriter.feed(data)
                if self._first_token_at is None and rewriter.spoke:
                    self._first_token_at = clock.now()
                if rewriter.done:
                    self._held = out
                    await self._read_tail(upstream)
                    return Ended(at=clock.now(), tokens=rewriter.tokens, first_token_at=self._first_token_at)
                if out and connection.started:
                    connection.write(out)
                elif out:
                    connection.start(out)
                if rewriter.error is not None:
                    message, code = rewriter.error
                    status = 503 if code in ASK_AGAIN else 502
                    tokens, written = rewriter.tokens, connection.started
                    return Turned(at=clock.now(), status=status, task=None, message=message, code=code, tokens=tokens, written=written)
                if connection.is_full:
                    await connection.drain()
        except HttpFailure as error:
            return self._broken(rewriter, error.silence, error.what)
        except StreamBroken as error:
            return self._broken(rewriter, Silence.RESET, str(error), malformed=True)
        return self._broken(rewriter, Silence.RESET, "the stream ended without [DONE]", malformed=True)

    def _broken(self, rewriter: StreamRewriter, silence: Silence, why: str, *, malformed: bool = False) -> Broken:
        return Broken(
            at=self._gateway.clock.now(),
            silence=silence,
            sent=True,
            why=why,
            tokens=rewriter.tokens,
            first_token_at=self._first_token_at,
            written=self._connection.started,
            malformed=malformed,
        )

    async def _read_tail(self, upstream: HttpStream) -> None:
        """Read the framing after [DONE], so that the connection can be used again; not for long."""
        if upstream.ended:
            return
        try:
            async with self._gateway.http.deadlines.within(TAIL_WAIT_S):
                await upstream.read()
        except (HttpFailure, TimeoutError):
            return  # the answer is whole; the connection is closed with it

    def _end(self, last: bytes) -> None:
        if not self._connection.started:
            self._connection.start(b"")
        self._connection.end(last)

    async def _let_go(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            await upstream.__aexit__(None, None, None)


def refuse(connection: ClientConnection, error: ApiError, shown_id: str) -> None:
    """An error as the whole answer."""
    connection.reply(error.status, error.body(shown_id), retry_after_s=error.retry_after_s)


def read_task(header: str) -> tuple[int, int] | None:
    """`X-Cortensor-Task: <session>/<task>` -> (session, task); None if absent or wrong."""
    session, _, task = header.partition("/")
    return (int(session), int(task)) if session.isdecimal() and task.isdecimal() and len(header) <= 40 else None


async def read_bounded(upstream: HttpStream, size_max: int) -> bytes | None:
    """The rest of an answer; None if it is larger than `size_max` bytes. Raises HttpFailure."""
    parts: list[bytes] = []
    size = 0
    while chunk := await upstream.read():
        size += len(chunk)
        if size > size_max:
            return None
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)
