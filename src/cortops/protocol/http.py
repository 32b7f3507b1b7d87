"""One HTTP/1.1 client for everything that is asked over HTTP: keep-alive pool, limits, deadlines, failures as one value.

Parsing is httptools'. RFC 9112 (messages, persistence), RFC 9110 (9.2.2: which methods may be repeated).
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

from cortops.protocol.connection import DONE, Connection, Sink
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.request_text import Headers, encoded, request_head, split_url
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError
from cortops.words.question import Silence

POOL_IDLE_S = 15.0  # shorter than what servers keep (nginx, aiohttp: 75), so that a pooled connection is rarely a dead one
REPEATABLE = frozenset({"GET", "HEAD"})

Way = Callable[[str, int], Awaitable[tuple[str, int]]]  # (host, port) -> where to connect instead: the same, or a socket's path and 0


class HttpFailure(CortopsError):
    """Look at the other side: is it up, reachable and speaking HTTP there?"""

    code = "http_failure"

    def __init__(self, what: str, *, silence: Silence, sent: bool, where: str = "") -> None:
        """`silence`: the kind of failure; `sent`: a byte of the request may have arrived, so the peer may have acted."""
        super().__init__(what, where=where)
        self.silence = silence
        self.sent = sent


def first_value(headers: Headers, name: str, default: str = "") -> str:
    """The first value of header `name` (lower case) among parsed headers."""
    for key, value in headers:
        if key == name:
            return value
    return default


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A whole answer; header names in lower case, in the order they came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str, default: str = "") -> str:
        """The first value of header `name` (lower case)."""
        return first_value(self.headers, name, default)


class Origin(NamedTuple):
    """Where connections lead: only requests with an equal origin share them."""

    host: str
    port: int
    connect_to: tuple[str, int]
    tls: ssl.SSLContext | None


class Site(NamedTuple):
    """A server that is asked often: what of each request follows from its base URL and the headers that all of them carry."""

    url: str
    secure: bool
    origin: Origin  # without TLS, which is the client's
    path: str  # what every target begins with
    lines: str  # Host and the headers, each ended by CR LF
    line_count: int

    def __repr__(self) -> str:  # headers hold a key
        return f"Site({self.url!r})"

    @classmethod
    def of(cls, url: str, headers: Headers = ()) -> Site:
        """Raises BadInput."""
        secure, name, port, host, path = split_url(url)
        request_head("POST", path, host, headers, 0)  # says what is wrong with them
        lines = "".join([f"Host: {host}\r\n", *[f"{name}: {value}\r\n" for name, value in headers]])
        return cls(url.rstrip("/"), secure, Origin(name, port, (name, port), None), path.rstrip("/"), lines, len(headers) + 1)


class HttpClient:
    """A keep-alive pool of HTTP/1.1 connections; made once in a composition root, `close`d at its end.

    `idle_max_per_origin`: connections kept open without a request. A request on a kept connection that the peer had closed is
    repeated once on a fresh one if it is a GET or HEAD, else it fails with `sent`. Failures are HttpFailure, a wrong URL BadInput.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        idle_max_per_origin: int = 32,
        connect_timeout_s: float = 5.0,
        header_max_kib: int = 64,
        way: Way | None = None,
    ) -> None:
        """way: asked before each connection; raises OSError where there is none."""
        self.clock = clock
        self._way = way
        self.deadlines = Deadlines(clock)
        self._idle_max = idle_max_per_origin
        self._connect_timeout_s = connect_timeout_s
        self._header_max = header_max_kib * 1024
        self._idle: dict[Origin, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._default_tls: ssl.SSLContext | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        timeout_s: float,
        body_max_mib: float = 16,
        connect_to: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> HttpReply:
        """Ask and read the whole answer within `timeout_s`; a body over `body_max_mib` is a failure."""
        sent = self.stream(method, url, headers=headers, body=body, timeout_s=timeout_s, connect_to=connect_to, tls=tls)
        async with sent as stream:
            whole = await stream.rest(body_max_mib * 2**20)
            if whole is None:
                raise stream.failure(f"the answer is larger than {body_max_mib:g} MiB", Silence.RESET)
            return HttpReply(status=stream.status, headers=stream.headers, body=whole)

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        timeout_s: float,
        idle_timeout_s: float = math.inf,
        connect_to: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> HttpStream:
        """Ask and read the answer as it comes: all within `timeout_s`, with no silence longer than `idle_timeout_s`.

        Leaving the context before the end closes the connection, which is how a server learns that nobody reads any more.
        """
        secure, name, port, host, target = split_url(url)
        length = len(body) if body or method in ("POST", "PUT", "PATCH") else None
        payload = request_head(method, target, host, headers, length) + body
        origin = Origin(name, port, connect_to or (name, port), (tls or self._own_tls()) if secure else None)
        return HttpStream(self, method, url, origin, payload, timeout_s, idle_timeout_s)

    def post(self, site: Site, path: str, *, headers: Headers, body: bytes, timeout_s: float) -> HttpStream:
        """POST to a path of `site` as `stream` does; `headers` beside those of the site. Raises BadInput."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"POST {site.path}{path} HTTP/1.1\r\n{site.lines}{lines}Content-Length: {len(body)}\r\n\r\n"
        payload = encoded(head, site.line_count + len(headers) + 3) + body
        origin = site.origin._replace(tls=self._own_tls()) if site.secure else site.origin
        return HttpStream(self, "POST", site.url + path, origin, payload, timeout_s, math.inf)

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        self.deadlines.close()
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
        for connection in list(self._open):  # the transports report their end in the next turns of the loop
            await connection.gone.wait()

    def _own_tls(self) -> ssl.SSLContext:
        if self._default_tls is None:
            self._default_tls = ssl.create_default_context()
        return self._default_tls

    def kept(self, origin: Origin) -> Connection | None:
        """A kept connection, the youngest first: it is the least likely to be closed."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_free:
                return connection
        return None

    async def place(self, host: str, port: int) -> tuple[str, int]:
        """Where a connection to `host`:`port` goes. A host that begins with / is the path of a socket. Raises OSError."""
        return (host, port) if self._way is None else await self._way(host, port)

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """A fresh connection; OSError (TimeoutError included) when there is none."""
        if self._closed:
            raise ConnectionAbortedError("this client is closed")
        loop = asyncio.get_running_loop()
        async with self.deadlines.within(min(timeout_s, self._connect_timeout_s)):
            host, port = await self.place(*origin.connect_to)
            if host.startswith("/"):
                return await self._connect_path(origin, host)
            found = [info[4][0] for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)] if not _is_ip(host) else [host]
            error: OSError | None = None
            for address in dict.fromkeys(str(address) for address in found):
                try:
                    _, connection = await loop.create_connection(
                        lambda: self._made(origin), address, port, ssl=origin.tls, server_hostname=origin.host if origin.tls else None
                    )
                except OSError as cause:
                    error = error or cause
                    continue
                return self._begun(connection)
            raise error or OSError(f"{host} has no address")

    async def _connect_path(self, origin: Origin, path: str) -> Connection:
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: self._made(origin), path, ssl=origin.tls, server_hostname=origin.host if origin.tls else None
        )
        return self._begun(connection)

    def _made(self, origin: Origin) -> Connection:
        return Connection(self.clock, self._header_max, lambda lost: self._lost(origin, lost))

    def _begun(self, connection: Connection) -> Connection:
        self._open.add(connection)
        self.deadlines.watch(connection)
        return connection

    def release(self, origin: Origin, connection: Connection) -> None:
        """Keep the connection for the next request, or close it when its answer was not read to the end."""
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        if self._closed or not connection.rest(POOL_IDLE_S) or len(idle) >= self._idle_max:
            connection.abort()
            return
        idle.append(connection)

    def _lost(self, origin: Origin, connection: Connection) -> None:
        self._open.discard(connection)
        self.deadlines.forget(connection)
        idle = self._idle.get(origin)
        if idle and connection in idle:
            idle.remove(connection)


class HttpStream:
    """An async context manager: one request and its answer as it comes; `status` and `headers`, then the body by `chunks()` or `read()`."""

    def __init__(
        self,
        client: HttpClient,
        method: str,
        url: str,
        origin: Origin,
        payload: bytes,
        timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self._payload = payload
        self._client = client
        self._method = method
        self._url = url
        self._origin = origin
        self._ends_at = client.clock.monotonic() + timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._connection: Connection | None = None
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    async def __aenter__(self) -> HttpStream:
        connection = kept = self._client.kept(self._origin)
        while True:
            if connection is None:
                connection = await self._connect()
            connection.send(self._payload, ends_at=self._ends_at, idle_timeout_s=self._idle_timeout_s, bodiless=self._method == "HEAD")
            try:
                await connection.head()
            except OSError as error:
                connection.abort()
                dead = connection is kept and not connection.answered and not isinstance(error, TimeoutError)
                if not dead or self._method not in REPEATABLE:
                    raise self._failed(error, sent=True) from error
                connection = None  # once more, on a fresh one
            except asyncio.CancelledError:
                connection.abort()
                raise
            else:
                self._connection = connection
                self.status, self.headers = connection.status, connection.headers
                return self

    async def __aexit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave: the connection is kept for another request, or closed when the answer is not at its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.release(self._origin, connection)

    def header(self, name: str, default: str = "") -> str:
        """The first value of header `name` (lower case)."""
        return first_value(self.headers, name, default)

    @property
    def ended(self) -> bool:
        """The answer has come to its end, whether or not all of it was read."""
        return self._connection is not None and self._connection.state is DONE

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, what one read of the socket brought at a time. Raises HttpFailure when it breaks off."""
        while chunk := await self.read():
            yield chunk

    async def read(self) -> bytes:
        """The next part of the body, b"" at its end."""
        assert self._connection is not None, "read inside the context only"
        try:
            return await self._connection.read()
        except OSError as error:
            raise self._failed(error, sent=True) from error

    async def pass_on(self, sink: Sink) -> bool:
        """Give every part of the body to `sink` the moment it comes; True when it answered False, False at the end. Raises HttpFailure."""
        assert self._connection is not None, "read inside the context only"
        try:
            return await self._connection.pass_on(sink)
        except OSError as error:
            raise self._failed(error, sent=True) from error

    async def rest(self, size_max: float) -> bytes | None:
        """All of the body that is still to come; None if it is larger than `size_max` bytes. Raises HttpFailure."""
        parts: list[bytes] = []
        size = 0
        connection = self._connection
        assert connection is not None, "read inside the context only"
        while chunk := connection.take() if connection.state is DONE else await self.read():
            size += len(chunk)
            if size > size_max:
                return None
            if connection.state is DONE and not parts:
                return chunk
            parts.append(chunk)
        return b"".join(parts)

    @property
    def _where(self) -> str:
        return self._url.partition("?")[0]

    def failure(self, why: str, silence: Silence) -> HttpFailure:
        return HttpFailure(f"{self._method} {self._where}: {why}", silence=silence, sent=True, where=self._where)

    async def _connect(self) -> Connection:
        try:
            return await self._client.connect(self._origin, self._ends_at - self._client.clock.monotonic())
        except OSError as error:
            raise self._failed(error, sent=False) from error

    def _failed(self, error: OSError, *, sent: bool) -> HttpFailure:
        why = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
        return HttpFailure(f"{self._method} {self._where}: {why}", silence=silence_of(error), sent=sent, where=self._where)


def silence_of(error: OSError) -> Silence:
    """Which kind of silence an error of a socket means."""
    if isinstance(error, ConnectionRefusedError):
        return Silence.REFUSED
    if isinstance(error, ssl.SSLCertVerificationError):
        return Silence.UNTRUSTED
    if isinstance(error, ConnectionError | ssl.SSLError):
        return Silence.RESET
    if isinstance(error, TimeoutError):
        return Silence.TIMEOUT
    return Silence.UNRESOLVED if isinstance(error, socket.gaierror) else Silence.LOST


def _is_ip(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
