"""Asks a hostname as a client would, over connections of its own, and writes down what is seen on the way. No retries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from cortops.protocol.http import HttpClient
from cortops.words.clock import Clock

HEAD_MAX_KIB = 64
BODY_KEPT_KIB = 64
STREAM_PARTS_MAX = 10_000
HEAD_TIMEOUT_S = 10.0
HOLD_TIMEOUT_S = 20.0
OUTWAIT_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 120.0
CONTINUE = 100
FAILURES = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back. status 0: nothing did, and `why`. headers: names in lower case. after_s: until the head came.

    parts: how often bytes of a stream's body came; first_s, last_s: when the first and the last did, from the request on.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    after_s: float = 0.0
    parts: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One hostname: where it is asked, by which name, and whom we trust."""

    hostname: str
    host: str
    port: int
    tls: ssl.SSLContext
    client: HttpClient
    clock: Clock

    def head(self, method: str, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
        """The request's head; the connection closes after the answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.hostname}:{self.port}", "Connection: close", "User-Agent: cortops-proxy-test"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")

    async def ask(self, head: bytes, body: bytes = b"", *, whole: bool = False) -> Heard:
        """Send both, read the head and a short body that says its length; `whole`: all of a stream, part by part."""
        begun = self.clock.monotonic()
        try:
            async with asyncio.timeout(STREAM_TIMEOUT_S if whole else HEAD_TIMEOUT_S), self._connected() as (reader, writer):
                writer.write(head + body)
                return await self._heard(reader, begun, whole=whole)
        except FAILURES as error:
            return Heard(why=_told(error), after_s=self.clock.monotonic() - begun)

    async def outwait(self, data: bytes) -> Heard:
        """Send what is no whole request, and then nothing: what is answered, or status 0 when the connection is closed, and after_s."""
        begun = self.clock.monotonic()
        try:
            async with asyncio.timeout(OUTWAIT_TIMEOUT_S), self._connected() as (reader, writer):
                writer.write(data)
                return await self._heard(reader, begun, whole=False)
        except FAILURES as error:
            return Heard(why=_told(error), after_s=self.clock.monotonic() - begun)

    async def hold(self, heads: Sequence[bytes]) -> tuple[int, Heard]:
        """Send heads of requests that wait to be bidden to send their bodies (`Expect: 100-continue`), and keep all of them so until one
        is answered: how many were sent, and the last answer.
        """
        begun, number, heard = self.clock.monotonic(), 0, Heard()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(HOLD_TIMEOUT_S):
                    for head in heads:
                        number += 1
                        reader, writer = await stack.enter_async_context(self._connected())
                        writer.write(head)
                        heard = await self._heard(reader, begun, whole=False)
                        if heard.status != CONTINUE:
                            break
            except FAILURES as error:
                heard = Heard(why=_told(error), after_s=self.clock.monotonic() - begun)
        return number, heard

    async def flood(self, heads: Sequence[bytes], until: int, enough: Callable[[int, float], bool]) -> tuple[int, Heard]:
        """Ask one after the other until the status is `until`, or `enough` of (so many, in so many seconds): how many, the last answer."""
        heard, begun = Heard(), self.clock.monotonic()
        for number, head in enumerate(heads, 1):
            heard = await self.ask(head)
            if heard.status == until or not heard.status or enough(number, self.clock.monotonic() - begun):
                return number, heard
        return len(heads), heard

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = await self.client.place(self.host, self.port)
        limit = HEAD_MAX_KIB * 1024
        if host.startswith("/"):
            return await asyncio.open_unix_connection(host, ssl=self.tls, server_hostname=self.hostname, limit=limit)
        return await asyncio.open_connection(host, port, ssl=self.tls, server_hostname=self.hostname, limit=limit)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await self._connect()
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _heard(self, reader: asyncio.StreamReader, begun: float, *, whole: bool) -> Heard:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        after_s = self.clock.monotonic() - begun
        status = int(lines[0].split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        if whole:
            parts, first_s, last_s = await self._parts(reader, begun)
            return Heard(status=status, headers=headers, after_s=after_s, parts=parts, first_s=first_s, last_s=last_s)
        length = headers.get("content-length", "0")
        body = await reader.read(min(int(length) if length.isdigit() else 0, BODY_KEPT_KIB * 1024))
        return Heard(status=status, headers=headers, body=body, after_s=after_s)

    async def _parts(self, reader: asyncio.StreamReader, begun: float) -> tuple[int, float, float]:
        parts, first_s, last_s = 0, 0.0, 0.0
        while parts < STREAM_PARTS_MAX and await reader.read(HEAD_MAX_KIB * 1024):
            last_s = self.clock.monotonic() - begun
            first_s = first_s or last_s
            parts += 1
        return parts, first_s, last_s


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not hold: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", "") or error) or type(error).__name__
