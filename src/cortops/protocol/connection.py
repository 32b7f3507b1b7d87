"""One HTTP/1.1 connection as the asking side sees it: bytes out, a parsed answer in, back-pressure, a deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum
from typing import cast

import httptools

from cortops.words.clock import Clock

BUFFER_MAX = 64 * 1024  # body bytes held for a slow reader before the socket is no longer read


class State(Enum):
    """Where the connection is in its exchange."""

    IDLE = "idle"
    HEAD = "head"  # request sent, answer's head not complete
    BODY = "body"
    DONE = "done"
    CLOSED = "closed"


IDLE, HEAD, BODY, DONE, CLOSED = State  # a member of an Enum costs more to reach than a name


Sink = Callable[[bytes], bool]  # takes a part of a body; False: no more of it for now


class Connection(asyncio.Protocol):
    """One exchange at a time: `send`, `head`, `read` until b"" or `pass_on`, `rest`. Failures are OSErrors (TimeoutError: out of time)."""

    def __init__(self, clock: Clock, header_max: int, lost: Callable[[Connection], None]) -> None:
        self.state = IDLE
        self.deadline = math.inf
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.answered = False  # a byte of the present answer has come
        self.gone = asyncio.Event()
        self._clock = clock
        self._header_max = header_max
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._stopped = False  # the sink wants no more
        self._failure: OSError | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._fields: list[tuple[bytes, bytes]] = []  # of the head, as they came
        self._paused = False
        self._keep = False
        self._bodiless = False
        self._ends_at = math.inf
        self._idle_timeout_s = math.inf

    # The asking side.

    @property
    def is_free(self) -> bool:
        """Open, and waiting for a request."""
        return self.state is IDLE and self._transport is not None and not self._transport.is_closing()

    def send(self, payload: bytes, *, ends_at: float, idle_timeout_s: float, bodiless: bool) -> None:
        """Send a request; its answer must end before `ends_at` and never pause longer than `idle_timeout_s`."""
        assert self.state is IDLE and self._transport is not None, "one request at a time"
        self.state = HEAD
        self._fields, self._head_size, self.answered = [], 0, False
        self._keep, self._bodiless = False, bodiless
        self.deadline = self._ends_at = ends_at
        self._idle_timeout_s = idle_timeout_s
        if idle_timeout_s < math.inf:
            self._alive()
        self._transport.write(payload)

    async def head(self) -> None:
        """Return when `status` and `headers` are there."""
        while self.state is HEAD:
            await self._more()
        if self._failure is not None and not self._parts:
            raise self._failure

    async def read(self) -> bytes:
        """The body that came since the last call, b"" at the end. What came before a failure is given before it is raised."""
        while not self._parts:
            if self.state is DONE:
                return b""
            if self._failure is not None:
                raise self._failure
            await self._more()
        return self.take()

    async def pass_on(self, sink: Sink) -> bool:
        """Give the body to `sink` the moment it comes, with no turn of the loop between; True when it answered False, False at the end.

        Fails as `read` does, and with what `sink` raises.
        """
        while True:
            if self._parts:
                if not sink(self.take()):
                    return True
            elif self.state is DONE:
                return False
            else:
                self._sink, self._stopped = sink, False
                try:
                    await self._more()
                finally:
                    self._sink = None
                if self._stopped:
                    return True

    def take(self) -> bytes:
        """The body that came since the last call."""
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size = [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
            self._alive()
        return data

    def _push(self, sink: Sink) -> None:
        """Give what is there to whoever passes it on, and wake him only where that is over."""
        try:
            self._stopped = not sink(self.take())
        except Exception as error:  # belongs to the one who waits
            self._sink = None
            waiter, self._waiter = self._waiter, None
            if waiter is None or waiter.done():
                raise
            waiter.set_exception(error)
            return
        if self._stopped:
            self._sink = None
        if self._stopped or self.state is not BODY:
            self._wake()

    def rest(self, idle_s: float) -> bool:
        """Ready for another request? Then wait for it, `idle_s` at most."""
        if self.state is not DONE or not self._keep or self._parts or self._transport is None or self._transport.is_closing():
            return False
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self.state = IDLE
        self.deadline = self._clock.monotonic() + idle_s
        return True

    def abort(self) -> None:
        """Close at once; whoever waits gets ConnectionAbortedError."""
        self._fail(ConnectionAbortedError("the connection was closed"))

    def expire(self) -> None:
        """Deadlines: the time is over."""
        self._fail(TimeoutError("no answer in time"))

    def _more(self) -> asyncio.Future[None]:
        """To be awaited: there is more, or the end, or a failure."""
        if self._failure is not None:
            raise self._failure
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _alive(self) -> None:
        self.deadline = min(self._ends_at, self._clock.monotonic() + self._idle_timeout_s)

    def _fail(self, error: OSError) -> None:
        """The exchange ends here, with `error` unless its answer is complete. The first reason counts."""
        if self.state is not DONE and self._failure is None:
            self._failure = error
        if self.state is not DONE:
            self.state = CLOSED
        self._keep = False
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        before = self.state
        if before is not BODY:
            if before is not HEAD:
                self._fail(ConnectionResetError("the peer sent bytes that nobody asked for"))
                return
            self.answered = True
            self._head_size += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ConnectionResetError("the peer switched protocols unasked"))
        except httptools.HttpParserError as error:
            self._fail(ConnectionResetError(f"the answer is not HTTP/1.1: {error}"))
        if before is HEAD and self.state is HEAD and self._head_size > self._header_max:
            self._fail(self._head_too_long())
        if self._idle_timeout_s < math.inf and (self.state is HEAD or self.state is BODY):
            self._alive()
        if self._sink is not None and self._parts and self._failure is None:
            self._push(self._sink)
        elif self._sink is None or self.state is not BODY:
            self._wake()
        if self._size > BUFFER_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            self.deadline = self._ends_at  # the silence is ours now

    def eof_received(self) -> bool:
        if self.state is BODY and not self._is_framed():
            self.state = DONE  # RFC 9112 6.3, rule 8: the body ends with the connection
            self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self.state is BODY and error is None and not self._is_framed():
            self.state = DONE
        broken = error if isinstance(error, OSError) else ConnectionResetError("the peer closed the connection before the answer's end")
        self._fail(broken)
        self._parser = None  # parser and protocol hold each other
        self._transport = None
        self._lost(self)
        self.gone.set()

    def _is_framed(self) -> bool:
        return any(name == "content-length" or name == "transfer-encoding" for name, _ in self.headers)

    # httptools' side.

    def on_message_begin(self) -> None:
        if self.state is DONE:  # a second answer to one request: nothing after it can be trusted
            self._fail(ConnectionResetError("the peer answered twice"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state is HEAD:  # trailers are not wanted
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self.state is not HEAD:
            return
        status = self._parser.get_status_code()
        fields, self._fields = self._fields, []
        if status < 200 and status != 101:
            return
        if self._head_size > self._header_max and sum([len(name) + len(value) + 4 for name, value in fields]) > self._header_max:
            self._fail(self._head_too_long())
            return
        self.headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields]
        self.status = status
        self.state = DONE if self._bodiless else BODY

    def _head_too_long(self) -> ConnectionResetError:
        return ConnectionResetError(f"the answer's head is larger than {self._header_max // 1024} KiB")

    def on_body(self, data: bytes) -> None:
        if self.state is BODY:
            self._parts.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        if self.state is BODY:
            self.state = DONE
            assert self._parser is not None
            self._keep = self._parser.should_keep_alive()  # true only in here
