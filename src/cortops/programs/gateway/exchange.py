"""Carrying out the commands of one request's machine: the member asked, its answer passed on, the row written, the slot freed."""

from __future__ import annotations

from typing import Protocol

from cortops.programs.gateway.events import (
    NO_TOKENS,
    Acquire,
    Admit,
    Admitted,
    Answer,
    BreakOff,
    Broken,
    ClientGone,
    Ended,
    Event,
    Finish,
    Forward,
    Free,
    Head,
    Pause,
    Record,
    Refuse,
    Relay,
    Rested,
    Turned,
    Whole,
)
from cortops.programs.gateway.limits import Admission, Limits
from cortops.programs.gateway.metrics import Refusals
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.request import FINISHED, Request
from cortops.programs.gateway.server import ClientConnection
from cortops.programs.gateway.spool import Spool
from cortops.protocol.dialect import Dialect, Names
from cortops.protocol.gateway import ASK_AGAIN, GatewayConfig
from cortops.protocol.http import HttpClient, HttpFailure, HttpStream
from cortops.protocol.openai import ApiError, MemberStream, StreamBroken, read_error
from cortops.protocol.routes import REQUEST_ID_HEADER, TIMEOUT_HEADER
from cortops.protocol.usage import UsageRow
from cortops.words.clock import Clock
from cortops.words.question import Silence

REPLY_MAX = 16 * 2**20  # bytes of a member's whole answer
ERROR_MAX = 64 * 1024  # bytes of a member's error
TAIL_WAIT_S = 1.0  # for the end of a member's stream after its [DONE]


class Shared(Protocol):
    """What all requests share."""

    pools: Pools
    http: HttpClient
    clock: Clock
    config: GatewayConfig
    spool: Spool
    limits: Limits
    refusals: Refusals

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> None:
        """What a request learned of its member."""


class Exchange:
    """One request for a model: carries out the commands of its machine and tells it what happened."""

    def __init__(
        self, gateway: Shared, request: Request, connection: ClientConnection, dialect: Dialect, names: Names, *, timeout_s: float
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._connection = connection
        self._dialect = dialect
        self._names = names
        self._pool = names.pool
        self._ends_at = gateway.clock.monotonic() + timeout_s
        self._upstream: HttpStream | None = None
        self._stream: MemberStream | None = None
        self._first_token_at: float | None = None
        self._admission: Admission | None = None  # to be settled
        self._held = b""  # the stream's last bytes, sent when usage is written

    async def run(self, event: Event) -> None:
        """To the end, whatever happens: the slot is freed and the row written even when this task is cancelled."""
        try:
            await self._follow(event)
        finally:
            if self._request.state is not FINISHED:
                why = "client_gone" if self._connection.gone.is_set() else "gateway_stopped"
                tokens = self._stream.tokens if self._stream else NO_TOKENS
                await self._follow(ClientGone(at=self._gateway.clock.now(), tokens=tokens, first_token_at=self._first_token_at, why=why))
            self._let_go()

    async def _follow(self, event: Event | None) -> None:
        """What is to be done after `event`, and after the events that this brings; who brings one is the last of its commands."""
        gateway = self._gateway
        while event is not None:
            commands, event = self._request.step(event), None
            for command in commands:
                match command:
                    case Forward():
                        event = await self._forward(command)
                    case Acquire():
                        event = await gateway.pools.acquire(command.pool, command.avoid, within_s=self._left_s())
                    case Free():
                        self._let_go()  # first the connection, so that the next request on this session may use it
                        self._report(command)
                        gateway.pools.release(self._pool, command.slot)
                    case Record():
                        self._settle(command.row)
                        await gateway.spool.add(command.row)
                    case Answer():
                        self._connection.reply(200, command.body)
                    case Admit():
                        admission = self._admission = await gateway.limits.admit(command.key, command.ask)
                        self._connection.also += admission.head
                        event = Admitted(at=gateway.clock.now(), refusal=admission.refusal)
                    case Relay():
                        event = await self._relay()
                    case Finish():
                        self._end(self._held + self._last())
                    case Pause():
                        self._let_go()
                        self._report(command)
                        await gateway.clock.sleep(command.seconds)
                        event = Rested()
                    case Refuse():
                        self._refuse(command.error)
                    case BreakOff():
                        self._break_off(command.error)

    def _report(self, command: Free | Pause) -> None:
        if command.ok is not None:
            self._gateway.report(self._pool, command.slot.member, ok=command.ok, why=command.why)

    def _settle(self, row: UsageRow) -> None:
        """Before the client has its last byte, so that what it does next finds its stream's place free."""
        if self._admission is not None:
            self._gateway.limits.settle(self._admission, row)

    async def _forward(self, command: Forward) -> Event:
        gateway = self._gateway
        left_s = self._left_s()
        upstream = gateway.http.post(
            gateway.pools.site(self._pool, command.slot.member),
            f"{self._dialect.member_route}/{command.slot.session}",
            headers=((REQUEST_ID_HEADER, self._request.id), (TIMEOUT_HEADER, f"{left_s:.3f}")),
            body=command.ask.body,
            timeout_s=left_s,
        )
        try:
            await upstream.__aenter__()
            self._upstream = upstream
            task = read_task(upstream.header("x-cortensor-task"))
            streams = upstream.header("content-type").startswith("text/event-stream")
            if upstream.status == 200 and streams and command.ask.stream:
                self._stream = self._dialect.stream(command.ask, self._names)
                return Head(task=task)
            size_max = REPLY_MAX if upstream.status == 200 else ERROR_MAX
            body = await upstream.rest(size_max)
        except HttpFailure as error:
            return Broken(at=gateway.clock.now(), silence=error.silence, sent=error.sent, why=error.silence.value)
        if body is None:
            why = f"the answer is larger than {size_max} bytes"
            return Broken(at=gateway.clock.now(), silence=Silence.RESET, sent=True, why=why, malformed=True)
        return self._judge(command, upstream.status, task, body)

    def _left_s(self) -> float:
        return max(0.0, self._ends_at - self._gateway.clock.monotonic())

    def _judge(self, command: Forward, status: int, task: tuple[int, int] | None, body: bytes) -> Event:
        """A whole answer: a reply, or an error under whatever status."""
        at = self._gateway.clock.now()
        if status == 200 and not command.ask.stream:
            try:
                reply = self._dialect.reply(body, self._names)
            except (StreamBroken, RecursionError) as error:
                return Broken(at=at, silence=Silence.RESET, sent=True, why=str(error), malformed=True)
            if reply is not None:
                return Whole(at=at, task=task, body=reply.body, tokens=reply.tokens)
        message, code = read_error(body)
        malformed, status = status < 400, 502 if status < 400 else status
        return Turned(at=at, status=status, task=task, message=message, code=code, malformed=malformed)

    async def _relay(self) -> Event:
        """Pass the stream on, one write a read; the member is read no faster than the client reads."""
        upstream, stream, connection, clock = self._upstream, self._stream, self._connection, self._gateway.clock
        assert upstream is not None and stream is not None
        try:
            while await upstream.pass_on(self._pass):
                if stream.done:
                    await self._read_tail(upstream)
                    return Ended(at=clock.now(), tokens=stream.tokens, first_token_at=self._first_token_at)
                if stream.error is not None:
                    message, code = stream.error
                    status = 503 if code in ASK_AGAIN else 502
                    tokens, written = stream.tokens, connection.started
                    return Turned(at=clock.now(), status=status, task=None, message=message, code=code, tokens=tokens, written=written)
                await connection.drain()
        except HttpFailure as error:
            return self._broken(stream, error.silence, error.silence.value)
        except StreamBroken as error:
            return self._broken(stream, Silence.RESET, str(error), malformed=True)
        return self._broken(stream, Silence.RESET, "the stream ended without [DONE]", malformed=True)

    def _pass(self, data: bytes) -> bool:
        """Pass a part of the stream on; False when something is to be done before the next one. Raises StreamBroken."""
        stream, connection = self._stream, self._connection
        assert stream is not None
        out = stream.feed(data)
        if self._first_token_at is None and stream.spoke:
            self._first_token_at = self._gateway.clock.now()
        if stream.done:
            self._held = out
            return False
        if out:
            (connection.write if connection.started else connection.start)(out)
        return stream.error is None and connection.room is None

    def _broken(self, stream: MemberStream, silence: Silence, why: str, *, malformed: bool = False) -> Broken:
        return Broken(
            at=self._gateway.clock.now(),
            silence=silence,
            sent=True,
            why=why,
            tokens=stream.tokens,
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

    def _refuse(self, error: ApiError) -> None:
        self._gateway.refusals.add(error.code)
        self._connection.reply(error.status, self._dialect.error(error, self._names), retry_after_s=error.retry_after_s)

    def _break_off(self, error: ApiError) -> None:
        if not self._connection.started:
            self._refuse(error)
            return
        self._gateway.refusals.add(error.code)
        self._end(self._dialect.error_event(error, self._names))

    def _last(self) -> bytes:
        assert self._stream is not None
        return self._stream.last()

    def _end(self, last: bytes) -> None:
        if not self._connection.started:
            self._connection.start(b"")
        self._connection.end(last)

    def _let_go(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()


def read_task(header: str) -> tuple[int, int] | None:
    """`X-Cortensor-Task: <session>/<task>` -> (session, task); None if absent or wrong."""
    session, _, task = header.partition("/")
    return (int(session), int(task)) if session.isdecimal() and task.isdecimal() and len(header) <= 40 else None
