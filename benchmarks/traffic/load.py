"""Requests as fast as they are answered, from so many connections, counted and timed, at little cost of its own.

`python -m benchmarks.traffic.load` reads one Load as JSON from standard input, says `open` when all connections have the first bytes of
an answer, and ends with one Outcome as JSON. An answer that is not whole and 200 ends it with an error.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time

import msgspec
import uvloop

END = b"0\r\n\r\n"
CONNECT_PAUSE_S = 0.005  # between two connections: else the listening socket's queue is what is measured


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`requests`, all alike, from `connections` over `ports` in turn. headers: beside those that every client sends."""

    ports: tuple[int, ...]
    connections: int
    requests: int
    path: str
    key: str
    body: str
    headers: dict[str, str] = {}

    @property
    def payload(self) -> bytes:
        """One request, as clients of today send it."""
        lines = (
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.ports[0]}",
            f"Authorization: Bearer {self.key}",
            "Content-Type: application/json",
            "Accept: application/json",
            "User-Agent: benchmark",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        )
        return ("\r\n".join(lines) + "\r\n\r\n" + self.body).encode()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. p50_ms: from a request to its answer's last byte; first_p50_ms: to its first one; gap_max_ms: the longest silence
    inside an answer.
    """

    requests: int
    seconds: float
    p50_ms: float
    first_p50_ms: float
    gap_max_ms: float
    bytes: int


class Run:
    """One load under way."""

    def __init__(self, load: Load) -> None:
        self.payload = load.payload
        self.left = load.requests
        self.open = load.connections
        self.speaking = 0
        self.times: list[float] = []
        self.firsts: list[float] = []
        self.gap_max = 0.0
        self.bytes = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def spoke(self) -> None:
        self.speaking += 1
        if self.speaking == self.open:
            print("open", flush=True)

    def fail(self, why: str) -> None:
        if not self.over.done():
            self.over.set_exception(RuntimeError(why))

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.over.done():
            self.over.set_result(None)


class Client(asyncio.Protocol):
    """One connection: the next request when the last one is answered."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._awaited = -1  # bytes that are missing; -1: before the head, -2: chunked
        self._buffer = b""
        self._asked_at = self._heard_at = 0.0
        self._served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        if self._run.left == 0:
            self._transport.close()
            self._transport = None
            self._run.closed()
            return
        self._run.left -= 1
        self._buffer, self._awaited, self._heard_at = b"", -1, 0.0
        self._asked_at = time.perf_counter()
        self._transport.write(self._run.payload)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._run.fail(f"a connection closed after {self._served} answers ({error}): {self._buffer[:300]!r}")

    def data_received(self, data: bytes) -> None:
        run, now = self._run, time.perf_counter()
        run.bytes += len(data)
        if not self._heard_at:
            run.firsts.append(now - self._asked_at)
            if self._served == 0:
                run.spoke()
        elif now - self._heard_at > run.gap_max:
            run.gap_max = now - self._heard_at
        self._heard_at = now
        if self._awaited == -1:
            data = self._buffer + data
            head, found, rest = data.partition(b"\r\n\r\n")
            self._buffer = data
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                run.fail(f"not answered well: {data[:500]!r}")
                return
            _, length, value = head.lower().partition(b"\r\ncontent-length: ")
            self._awaited = int(value.partition(b"\r\n")[0]) if length else -2
            data = rest
        if self._awaited == -2:
            self._buffer = data if len(data) > len(END) + 20 else self._buffer[-40:] + data
            if self._buffer.endswith(END):
                if b"[DONE]" not in self._buffer:
                    run.fail(f"a stream without an end: {self._buffer[-200:]!r}")
                self._done(now)
            return
        self._awaited -= len(data)
        if self._awaited == 0:
            self._done(now)

    def _done(self, now: float) -> None:
        self._served += 1
        self._run.times.append(now - self._asked_at)
        self._ask()


async def carry_out(load: Load) -> Outcome:
    """The whole load. RuntimeError where an answer is missing or is not what it should be."""
    run, loop = Run(load), asyncio.get_running_loop()
    begun = time.perf_counter()
    ports = itertools.cycle(load.ports)
    for number in range(load.connections):
        await loop.create_connection(lambda: Client(run), "127.0.0.1", next(ports))
        if number % 16 == 15:
            await asyncio.sleep(CONNECT_PAUSE_S)
    await run.over
    return Outcome(
        requests=len(run.times),
        seconds=time.perf_counter() - begun,
        p50_ms=statistics.median(run.times) * 1000,
        first_p50_ms=statistics.median(run.firsts) * 1000,
        gap_max_ms=run.gap_max * 1000,
        bytes=run.bytes,
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(carry_out(asked))).decode(), flush=True)
