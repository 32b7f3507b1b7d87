"""Talking with a started bootstrap: data in with back-pressure, lines out in order, nothing without a limit. Any target's pipes will do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cortops.targets.target import Line

LINE_MAX_KIB = 64  # of one line; the rest of a longer one is dropped
LINES_WAITING_MAX = 1_000  # not yet taken by the caller; then the program waits
LINES_MAX = 1_000_000  # of one run
DRAIN_S = 1.0  # how long a pipe may stay silent after the program's end, if something still holds it open
GRACE_S = 5.0  # after the deadline, until we stop believing that the other side ends itself

_CHUNK_BYTES = 65_536

Put = Callable[[Line], Awaitable[None]]


class Reader(Protocol):
    """What the other side writes; b"" at its end."""

    async def read(self, n: int, /) -> bytes: ...


class Writer(Protocol):
    """What the other side reads."""

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Pipes:
    """The three streams of a started program and its end; `exited` is set once it has ended."""

    stdin: Writer
    stdout: Reader
    stderr: Reader
    exited: asyncio.Event


class TooManyLines(Exception):
    """The program wrote more than LINES_MAX lines."""


@dataclass(slots=True)
class _Patience:
    """Reads may wait for ever while the program runs, and DRAIN_S after it has ended."""

    ended: bool = False
    waiting: set[asyncio.Timeout] = field(default_factory=set)

    def end(self) -> None:
        self.ended = True
        for limit in self.waiting:
            limit.reschedule(asyncio.get_running_loop().time() + DRAIN_S)

    async def read(self, reader: Reader) -> bytes:
        try:
            async with asyncio.timeout(DRAIN_S if self.ended else None) as limit:
                self.waiting.add(limit)
                try:
                    return await reader.read(_CHUNK_BYTES)
                finally:
                    self.waiting.discard(limit)
        except TimeoutError:
            return b""


async def converse(pipes: Pipes, opening: bytes, data: AsyncIterable[bytes], lines: asyncio.Queue[Line | None], deadline_s: float) -> None:
    """Feed `opening` and `data`, put every line on `lines`, and return when the program has ended and its output is read.

    Raises TimeoutError when it has not ended GRACE_S after its deadline, TooManyLines, and whatever `data` raises.
    """
    patience = _Patience()
    counted = _counted(lines)
    async with asyncio.TaskGroup() as group:
        feeder = group.create_task(_feed(pipes.stdin, opening, data))
        group.create_task(_pump(pipes.stdout, "out", patience, counted))
        group.create_task(_pump(pipes.stderr, "err", patience, counted))
        async with asyncio.timeout(deadline_s + GRACE_S):
            await pipes.exited.wait()
        patience.end()
        feeder.cancel()


async def talk(pipes: Pipes, opening: bytes, data: AsyncIterable[bytes], lines: asyncio.Queue[Line | None], deadline_s: float) -> str:
    """Converse to the end, then put None; the text says why the outcome is unknown, if it is. Raises whatever `data` raises."""
    try:
        await converse(pipes, opening, data, lines, deadline_s)
    except TimeoutError:
        return f"it did not end itself at its deadline of {deadline_s:g} s"
    except ExceptionGroup as group:
        if isinstance(group.exceptions[0], TooManyLines):
            return f"it wrote more than {LINES_MAX} lines"
        raise group.exceptions[0] from None
    finally:
        if not asyncio.current_task().cancelling():  # type: ignore[union-attr]  # inside a coroutine there is a task
            await lines.put(None)
    return ""


def _counted(lines: asyncio.Queue[Line | None]) -> Put:
    left = LINES_MAX

    async def put(line: Line) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManyLines
        await lines.put(line)

    return put


async def _feed(stdin: Writer, opening: bytes, data: AsyncIterable[bytes]) -> None:
    if not await _wrote(stdin, opening):
        return
    async for chunk in data:  # what it raises is the caller's, whatever it is
        if not await _wrote(stdin, chunk):
            return
    stdin.close()


async def _wrote(stdin: Writer, chunk: bytes) -> bool:
    try:
        stdin.write(chunk)
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return False  # the program ended without reading all: its exit status tells why
    return True


async def _pump(reader: Reader, stream: Literal["out", "err"], patience: _Patience, put: Put) -> None:
    cutter = LineCutter()
    while chunk := await patience.read(reader):
        for text in cutter.feed(chunk):
            await put(Line(stream, text))
    if rest := cutter.rest():
        await put(Line(stream, rest))


class LineCutter:
    """Bytes in, whole lines out; holds at most LINE_MAX_KIB of an unfinished line."""

    def __init__(self) -> None:
        self._open = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` completes, decoded as UTF-8 with replacement."""
        *whole, last = chunk.split(b"\n")
        if not whole:
            self._open = _cut(self._open + last)
            return []
        whole[0] = self._open + whole[0]
        self._open = _cut(last)
        return [_text(line) for line in whole]

    def rest(self) -> str:
        """The last line, if it had no line break."""
        return _text(self._open)


def _cut(line: bytes) -> bytes:
    return line[: LINE_MAX_KIB * 1024]


def _text(line: bytes) -> str:
    return _cut(line).decode("utf-8", "replace")
