"""HTTP/1.1 as the serving side sees it: limits on what may come in, answers and streams out, back-pressure both ways.

One task serves a connection's requests one after the other. Parsing is httptools'; framing it refuses (two lengths, length and
chunked together) is refused with 400 and a closed connection. RFC 9112.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from email.utils import formatdate
from enum import Enum
from typing import cast

import httptools

from cortops.programs.gateway import outgoing
from cortops.programs.gateway.incoming import Incoming, bad_request, body_too_long, error_body, head_error, head_too_long
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import Limits
from cortops.protocol.openai import ApiError
from cortops.words.clock import Clock

BACKLOG = 1024  # connections that wait in the kernel until we take them
PIPELINE_MAX = 8  # requests read ahead of the one being served
WRITE_BUFFER_MAX = 64 * 1024  # bytes held for a slow client before the member is no longer read
LINGER_S = 2.0  # after an error, reading on for a client that still sends: a reset would take the answer from it
ANSWER_GRACE_S = 15.0  # past request_timeout_s, for the answer that says so
ONCE = frozenset({"host", "authorization", "x-api-key", "x-request-id", "content-type"})  # twice is an attempt to confuse


Handler = Callable[[Incoming, "ClientConnection"], Awaitable[None] | None]  # None: it has answered already


class Phase(Enum):
    """What is read from a connection next."""

    WAITING = "waiting"  # for a request's first byte
    HEAD = "head"
    BODY = "body"
    BROKEN = "broken"  # nothing more is read


WAITING, HEAD, BODY, BROKEN = Phase  # a member of an Enum costs more to reach than a name


class HttpServer:
    """Listens and keeps the connections. `handle` serves one request and must answer it.

    `new_id` gives a request id; `read_client_id` turns the client's X-Request-ID into what is used of it ("" for none); `error_body`
    says what is wrong with a request that is none.
    """

    def __init__(
        self,
        handle: Handler,
        limits: Limits,
        *,
        clock: Clock,
        deadlines: Deadlines,
        new_id: Callable[[], str],
        read_client_id: Callable[[str], str],
        failed: Callable[[BaseException], None],
        error_body: Callable[[Incoming], bytes] = error_body,
    ) -> None:
        self.handle = handle
        self.error_body = error_body
        self.limit(limits)
        self.deadlines = deadlines
        self.clock = clock
        self.new_id = new_id
        self.read_client_id = read_client_id
        self.connections: set[ClientConnection] = set()
        self.stopping = False
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._date = (-1, "")

    def limit(self, limits: Limits) -> None:
        """Take other limits, for what comes from now on."""
        self.limits, self.header_max = limits, limits.header_max_kib * 1024
        self.body_max = int(limits.body_max_mib * 2**20)

    async def listen(self, ips: Sequence[str], port: int) -> int:
        """Start on every one of `ips`; the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ClientConnection(self), ips, port, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Take no more, let what is under way end within `grace_s`, then break it off."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in [connection for connection in self.connections if connection.is_idle]:
            connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.abort()
            await connection.gone.wait()
        if self._server is not None:
            await self._server.wait_closed()

    def spawn(self, work: Coroutine[None, None, None], connection: ClientConnection) -> asyncio.Task[None]:
        """A task that is kept until it ends, and whose failure ends its connection and is told."""
        task = asyncio.get_running_loop().create_task(work)

        def over(_task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                connection.abort()
            elif (error := task.exception()) is not None:
                connection.abort()
                self._failed(error)

        self._tasks.add(task)
        task.add_done_callback(over)
        return task

    def date(self) -> str:
        """The Date header's line, made once a second (RFC 9110 6.6.1)."""
        now = int(self.clock.now())
        if self._date[0] != now:
            self._date = now, f"Date: {formatdate(now, usegmt=True)}\r\n"
        return self._date[1]


class ClientConnection(asyncio.Protocol):
    """One client. The handler answers with `reply`, or with `start`, `write` (and `drain` while `room` is set) and `end`."""

    def __init__(self, server: HttpServer) -> None:
        self.deadline = math.inf
        self.started = False  # the present answer's head is sent
        self.status = 0  # and what it said
        self.room: asyncio.Future[None] | None = None  # set while the client reads too slowly: `drain` before the next write
        self.also = ""  # head lines of this answer beside the usual ones, each with CR LF
        self.gone = asyncio.Event()
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = None
        self._task: asyncio.Task[None] | None = None  # serves this connection's requests; one for all of them
        self._next: asyncio.Future[None] | None = None  # set while it waits for one
        self._queue: deque[Incoming] = deque()
        self._phase = WAITING
        self._reading = True
        self._current: Incoming | None = None
        self._keep = self._chunked = True
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._fields: list[tuple[bytes, bytes]] = []  # of the head, as they came
        self._parts: list[bytes] = []
        self._size = 0
        self._wrong: ApiError | None = None
        self._version = ""

    # The handler's side.

    @property
    def is_idle(self) -> bool:
        """No request is here, and none is being served."""
        return self._current is None and not self._queue

    async def drain(self) -> None:
        """Return when the client has read enough."""
        if self.room is not None:
            await asyncio.shield(self.room)

    def reply(self, status: int, body: bytes, *, content_type: str = outgoing.JSON, retry_after_s: int | None = None) -> None:
        """The whole answer, in one write."""
        extra = "" if retry_after_s is None else f"Retry-After: {retry_after_s}\r\n"
        head = self._head(status, content_type, f"Content-Length: {len(body)}\r\n{extra}")
        self._send(head + body if self._current is None or self._current.method != "HEAD" else head)

    def start(self, first: bytes) -> None:
        """A stream's head and its first bytes, in one write."""
        assert self._current is not None
        self._chunked = self._current.version != "1.0"
        if not self._chunked:
            self._keep = False  # RFC 9112 6.3: the body ends with the connection
        framing = "Transfer-Encoding: chunked\r\n" if self._chunked else ""
        # nginx passes a stream on unbuffered when told so
        head = self._head(200, outgoing.EVENTS, f"{framing}Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n")
        self._send(head + self._frame(first))

    def write(self, data: bytes) -> None:
        """A part of the stream, not empty, in a write of its own."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end(self, last: bytes) -> None:
        """The stream's last bytes and its end, in one write."""
        self._send(self._frame(last) + (outgoing.END if self._chunked else b""))

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _frame(self, data: bytes) -> bytes:
        return outgoing.chunk(data) if self._chunked else data

    def _head(self, status: int, content_type: str, rest: str) -> bytes:
        assert self._current is not None and not self.started, "one answer a request"
        self.started, self.status = True, status
        self._keep = self._keep and self._current.keep_alive and not self._server.stopping
        return outgoing.head(status, self._server.date(), content_type, self._current.shown_id, self.also + rest, keep=self._keep)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def _serve(self) -> None:
        """Serve what comes, one after the other, until the connection is done."""
        server = self._server
        while self._transport is not None:
            if not self._queue:
                self._set_deadline()
                self._next = asyncio.get_running_loop().create_future()
                await self._next
            current = self._current = self._queue.popleft()
            self.started, self._chunked, self.also = False, True, ""
            self.deadline = server.clock.monotonic() + server.limits.request_timeout_s + ANSWER_GRACE_S
            if (error := current.error) is not None:
                self.reply(error.status, server.error_body(current), retry_after_s=error.retry_after_s)
            elif (answering := server.handle(current, self)) is not None:
                await answering
            assert self.started, "the handler answers every request"
            if not self._keep:
                self.close(linger=error is not None)
                return
            self._current = None
            if not self._reading and len(self._queue) < PIPELINE_MAX and self._transport is not None:
                self._reading = True
                self._transport.resume_reading()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX)
        self._server.connections.add(self)
        self._server.deadlines.watch(self)
        self._parser = httptools.HttpRequestParser(self)
        self.deadline = self._server.clock.monotonic() + self._server.limits.header_timeout_s
        if len(self._server.connections) > self._server.limits.connections_max or self._server.stopping:
            self._fail(ApiError(status=503, code="too_many_connections", message="too many connections", type="api_error", retry_after_s=2))

    def data_received(self, data: bytes) -> None:
        if self._phase is BROKEN or self._parser is None:
            return
        before = self._phase
        if before is not BODY:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # RFC 9110 7.8: a server may ignore the wish; what follows is not ours to read
            if self._wrong is None:
                self._phase, self._keep = BROKEN, False
        except httptools.HttpParserError:
            self._fail(self._wrong or bad_request(400, "invalid_http", "the request is not valid HTTP/1.1"))
        if self._wrong is not None:
            self._fail(self._wrong)
        elif self._phase is HEAD and self._head_size > self._server.header_max:
            self._fail(head_too_long(self._server.limits))
        if self._phase is not before:  # most requests come as a whole, and it is not
            self._set_deadline()
        if len(self._queue) >= PIPELINE_MAX and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        if self.room is None:
            self.room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self.room is not None:
            self.room.set_result(None)
            self.room = None

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._phase = None, BROKEN
        self._parser = None  # parser and protocol hold each other
        self._server.connections.discard(self)
        self._server.deadlines.forget(self)
        self.gone.set()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.resume_writing()

    def close(self, *, linger: bool = False) -> None:
        """Close when all is sent, or when the client has not read it in time."""
        self._phase = BROKEN
        if self._transport is None or self._transport.is_closing():
            return
        self.deadline = self._server.clock.monotonic() + (LINGER_S if linger else self._server.limits.header_timeout_s)
        end = self._transport.write_eof if linger else self._transport.close
        end()

    def expire(self) -> None:
        if self._phase in (HEAD, BODY) and self.is_idle:
            self._server.deadlines.watch(self)  # the answer may need its time too
            self._fail(bad_request(408, "request_timeout", "the request did not arrive in time"))
        else:
            self.abort()

    def _fail(self, error: ApiError) -> None:
        """No more is read; the answer comes after those of earlier requests."""
        if self._phase is BROKEN:
            return
        self._phase = BROKEN
        self._parts, self._fields, self._headers = [], [], {}
        self._enqueue(Incoming(id=self._server.new_id(), path=self._url.partition(b"?")[0].decode("latin-1"), error=error))

    def _enqueue(self, incoming: Incoming) -> None:
        self._queue.append(incoming)
        waiter, self._next = self._next, None
        if self._task is None:
            self._task = self._server.spawn(self._serve(), self)
        elif waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _set_deadline(self) -> None:
        """What the client owes us next, and until when; nothing while it waits for us."""
        if self.is_idle:
            wait_s = self._server.limits.header_timeout_s if self._phase is HEAD else self._server.limits.idle_timeout_s
            self.deadline = self._server.clock.monotonic() + wait_s

    # httptools' side.

    def on_message_begin(self) -> None:
        if self._wrong is not None:  # what follows a request we could not take is not read
            return
        head_size = self._head_size if self._phase is WAITING else 0
        self._reset()
        self._head_size = head_size
        if self._phase is not BROKEN:
            self._phase = HEAD

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is HEAD:  # trailers are not wanted
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self._phase is not HEAD:
            return
        assert self._parser is not None
        headers, self._version, size = self._headers, self._parser.get_http_version(), len(self._url) + 4 * len(self._fields)
        for name, value in self._fields:
            size += len(name) + len(value)
            key = name.decode("latin-1").lower()
            if key in headers and key in ONCE:
                self._wrong = self._wrong or bad_request(400, "repeated_header", f"the header {key} is there twice")
            headers[key] = value.decode("latin-1")
        wrong = head_error(headers, self._version, size, upgrade=self._parser.should_upgrade(), limits=self._server.limits)
        self._fields, self._wrong = [], self._wrong or wrong
        if self._wrong is None and "expect" in headers and headers["expect"].lower() == "100-continue" and self.is_idle:
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._phase = BODY

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._server.body_max:
            self._wrong, self._parts = self._wrong or body_too_long(self._server.limits), []
        elif self._wrong is None:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._phase is not BODY or self._parser is None or self._wrong is not None:
            return
        self._phase, self._head_size = WAITING, 0
        headers = self._headers
        self._enqueue(
            Incoming(
                id=self._server.new_id(),
                client_id=self._server.read_client_id(headers["x-request-id"]) if "x-request-id" in headers else "",
                method=self._parser.get_method().decode("latin-1"),
                path=self._url.partition(b"?")[0].decode("latin-1"),
                headers=headers,
                body=self._parts[0] if len(self._parts) == 1 else b"".join(self._parts),
                keep_alive=self._parser.should_keep_alive(),  # true only in here
                version=self._version,
            )
        )
