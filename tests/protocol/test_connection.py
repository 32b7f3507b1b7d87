"""Connection.pass_on: parts go to the sink in the very call that brought them, and whoever waits hears of the end, a stop or a failure."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from cortops.protocol.connection import BUFFER_MAX, Connection
from cortops.testing.clock import VirtualClock

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Transport(asyncio.Transport):
    """Notes whether reading is paused, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = self.closed = False

    def write(self, _data: object) -> None:
        return None

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def part(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def play(test: Callable[[Connection, Transport], Awaitable[None]]) -> None:
    """With an answer's head read."""

    async def main() -> None:
        connection, transport = Connection(VirtualClock(), 4096, lambda _lost: None), Transport()
        connection.connection_made(transport)
        connection.send(b"", ends_at=math.inf, idle_timeout_s=math.inf, bodiless=False)
        connection.data_received(HEAD)
        await connection.head()
        await test(connection, transport)

    asyncio.run(main())


class Heard:
    """A sink that says False after `stop_after` parts, and fails on `bad`."""

    def __init__(self, stop_after: int = 1000, bad: bytes = b"\0") -> None:
        self.parts: list[bytes] = []
        self._stop_after, self._bad = stop_after, bad

    def __call__(self, data: bytes) -> bool:
        if data == self._bad:
            raise ValueError("bad part")
        self.parts.append(data)
        return len(self.parts) != self._stop_after


def test_parts_are_heard_without_a_turn_of_the_loop() -> None:
    async def test(connection: Connection, _transport: Transport) -> None:
        connection.data_received(part(b"before"))
        heard = Heard()
        passing = asyncio.ensure_future(connection.pass_on(heard))
        await asyncio.sleep(0)
        connection.data_received(part(b"a") + part(b"b"))
        connection.data_received(part(b"c"))
        assert heard.parts == [b"before", b"ab", b"c"]
        assert not passing.done()
        connection.data_received(part(b"d") + END)
        assert await passing is False
        assert heard.parts[-1] == b"d" and connection.rest(1.0)

    play(test)


def test_a_sink_that_has_enough_gets_no_more_and_the_socket_is_paused() -> None:
    async def test(connection: Connection, transport: Transport) -> None:
        heard = Heard(stop_after=1)
        passing = asyncio.ensure_future(connection.pass_on(heard))
        await asyncio.sleep(0)
        connection.data_received(part(b"a"))
        connection.data_received(part(b"x" * (BUFFER_MAX + 1)))
        assert await passing is True
        assert heard.parts == [b"a"] and transport.paused
        connection.data_received(END)
        assert await connection.pass_on(heard) is False
        assert heard.parts[1:] == [b"x" * (BUFFER_MAX + 1)] and not transport.paused

    play(test)


def test_what_the_sink_raises_is_raised_where_it_is_awaited() -> None:
    async def test(connection: Connection, _transport: Transport) -> None:
        passing = asyncio.ensure_future(connection.pass_on(Heard(bad=b"bad")))
        await asyncio.sleep(0)
        connection.data_received(part(b"bad"))
        with pytest.raises(ValueError, match="bad part"):
            await passing
        connection.data_received(part(b"later"))
        assert await connection.read() == b"later"

    play(test)


def test_a_failure_comes_after_the_parts_before_it() -> None:
    async def test(connection: Connection, transport: Transport) -> None:
        heard = Heard()
        passing = asyncio.ensure_future(connection.pass_on(heard))
        await asyncio.sleep(0)
        connection.data_received(part(b"good") + b"no chunk\r\n")
        with pytest.raises(ConnectionResetError, match=r"not HTTP/1\.1"):
            await passing
        assert heard.parts == [b"good"] and transport.closed

    play(test)


def test_whoever_leaves_hears_no_more() -> None:
    async def test(connection: Connection, _transport: Transport) -> None:
        heard = Heard()
        passing = asyncio.ensure_future(connection.pass_on(heard))
        await asyncio.sleep(0)
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        connection.data_received(part(b"unheard"))
        assert heard.parts == [] and await connection.read() == b"unheard"

    play(test)
