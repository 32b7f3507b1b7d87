"""The HTTP side: limits, framing, times, pipelining, whatever bytes come."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.gateway.__main__ import read_client_id
from cortops.programs.gateway.incoming import Incoming
from cortops.programs.gateway.server import ClientConnection, HttpServer
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import Limits
from cortops.testing.clock import VirtualClock, turn_until

LIMITS = Limits(body_max_mib=0.001, header_max_kib=2, header_timeout_s=10, idle_timeout_s=75, request_timeout_s=100, connections_max=3)
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


class Served:
    """An HttpServer that echoes, with everything it was given."""

    def __init__(self, handle: Callable[[Incoming, ClientConnection], Awaitable[None]] | None = None, limits: Limits = LIMITS) -> None:
        self.clock = VirtualClock()
        self.deadlines = Deadlines(self.clock)
        self.seen: list[Incoming] = []
        self.failures: list[BaseException] = []
        self.cancelled = 0
        self.port = 0
        numbers = iter(range(1, 10_000))
        self.server = HttpServer(
            handle or self.echo,
            limits,
            clock=self.clock,
            deadlines=self.deadlines,
            new_id=lambda: f"req_{next(numbers)}",
            read_client_id=read_client_id,
            failed=self.failures.append,
        )

    async def echo(self, incoming: Incoming, connection: ClientConnection) -> None:
        self.seen.append(incoming)
        if incoming.path == "/hold":
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.cancelled += 1
        if incoming.path == "/bug":
            raise KeyError("bug")
        if incoming.path == "/stream":
            connection.start(b"one")
            connection.write(b"two")
            connection.end(b"three")
            return
        connection.reply(200, incoming.body or incoming.path.encode())

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *parts: bytes) -> bytes:
        """Send and read until the server closes; ours is kept open so that only the server ends it."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        answer = b""
        try:
            answer = await asyncio.wait_for(reader.read(), 2)
        finally:
            writer.close()
        return answer


def serve(test: Callable[[Served], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        served = Served(**options)  # type: ignore[arg-type]
        served.port = await served.server.listen(("127.0.0.1",), 0)
        try:
            await test(served)
        finally:
            await served.server.stop(0)
            served.deadlines.close()
        assert not served.server.connections

    asyncio.run(main())


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


CLOSE = b"Connection: close\r\n"


def test_answers_have_date_id_and_length() -> None:
    async def test(served: Served) -> None:
        answer = await served.say(
            b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-Request-ID: my-1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        )
        assert answer == (
            b"HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\nContent-Type: application/json\r\nX-Request-ID: my-1\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"
        )
        (seen,) = served.seen
        assert (seen.method, seen.path, seen.client_id, seen.id, seen.body) == ("POST", "/a", "my-1", "req_1", b"hi")

    serve(test)


@pytest.mark.parametrize("header", ["x" * 65, "a b", "a\tb", "é", "a;b", ""])
def test_a_clients_own_id_must_be_short_and_harmless(header: str) -> None:
    assert read_client_id(header) == ""


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(served: Served) -> None:
        parts = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(40))
        answer = await served.say(parts + b"GET /last HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n")
        assert statuses(answer) == [200] * 41
        assert [seen.path for seen in served.seen] == [f"/{number}" for number in range(40)] + ["/last"]

    serve(test)


def test_streams_are_chunked_or_for_http_1_0_end_with_the_connection() -> None:
    async def test(served: Served) -> None:
        answer = await served.say(b"GET /stream HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n")
        assert answer.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n") and b"Transfer-Encoding: chunked" in answer
        old = await served.say(b"GET /stream HTTP/1.0\r\n\r\n")
        assert old.endswith(b"Connection: close\r\n\r\nonetwothree") and b"chunked" not in old

    serve(test)


BAD: list[tuple[bytes, int, str]] = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_http"),
    (b"GET /a HTTP/1.1\r\n\r\n", 400, "host_missing"),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "repeated_header"),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nauthorization: Bearer y\r\n\r\n", 400, "repeated_header"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "invalid_http"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    (b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400, "invalid_http"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, "invalid_http"),
    (b"GET /a\r\n\r\n", 400, "invalid_http"),
    (b"GET /a HTTP/1.1\r\nHost : h\r\n\r\n", 400, "invalid_http"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400, "invalid_http"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400, "invalid_http"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 3000 + b"\r\n\r\n", 431, "header_too_large"),
    (b"GET /a HTTP/1.1\r\nX: " + b"a" * 5000, 431, "header_too_large"),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431, "header_too_large"),
    (b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 500 + b"Y: z\r\n\r\n", 431, "header_too_large"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n", 413, "body_too_large"),
    (b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"a" * 2000 + b"\r\n0\r\n\r\n", 413, "body_too_large"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_no_request_is_refused_once_and_the_connection_ends(number: int) -> None:
    sent, status, code = BAD[number]

    async def test(served: Served) -> None:
        answer = await served.say(sent + GET)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert statuses(answer) == [status]
        assert b"Connection: close" in head and b"X-Request-ID: req_" in head
        assert msgspec.json.decode(body)["error"]["code"] == code
        assert not served.seen

    serve(test)


def test_a_body_that_is_too_large_gets_its_answer_though_the_client_still_sends() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open()
        writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(30):
            writer.write(b"x" * 100_000)
            await writer.drain()
        assert statuses(await reader.read()) == [413]
        writer.close()

    serve(test)


def test_expect_continue_and_upgrade() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open()
        writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" + CLOSE + b"\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert statuses(await reader.read()) == [200]
        writer.close()
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        assert statuses(await served.say(b"GET /a HTTP/1.1\r\nHost: h\r\n" + upgrade + b"\r\nrest")) == [200]
        body = await served.say(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n" + upgrade + b"\r\nhi")
        assert statuses(body) == [400] and b"upgrade_not_supported" in body
        assert statuses(await served.say(b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n")) == [200]

    serve(test)


def test_slow_heads_slow_bodies_and_idle_connections_end() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open()
        await turn_until(lambda: served.server.connections)
        for byte in (b"G", b"E", b"T"):  # a byte now and then does not buy more time
            writer.write(byte)
            await served.clock.advance(3)
        assert not reader.at_eof()
        await served.clock.advance(3)
        assert statuses(await reader.read()) == [408]
        writer.close()

        reader, writer = await served.open()
        writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
        await asyncio.sleep(0.01)
        await served.clock.advance(76)
        assert statuses(await reader.read()) == [408]
        writer.close()

        reader, writer = await served.open()
        writer.write(GET)
        assert statuses(await reader.readuntil(b"\r\n\r\n/a")) == [200]
        await served.clock.advance(70)
        writer.write(GET)
        assert statuses(await reader.readuntil(b"\r\n\r\n/a")) == [200]
        await served.clock.advance(80)
        assert await reader.read() == b""
        writer.close()

    serve(test)


def test_a_handler_that_does_not_end_is_ended() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open()
        writer.write(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        await turn_until(lambda: served.seen)
        await served.clock.advance(100)
        assert not served.cancelled
        await served.clock.advance(20)
        await turn_until(lambda: served.cancelled)
        with pytest.raises(ConnectionError):
            assert await reader.read() == b""
            raise ConnectionResetError
        writer.close()

    serve(test)


def test_a_client_that_leaves_cancels_its_request() -> None:
    async def test(served: Served) -> None:
        _, writer = await served.open()
        writer.write(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        await turn_until(lambda: served.seen)
        writer.close()
        await turn_until(lambda: served.cancelled)

    serve(test)


def test_connections_are_bounded() -> None:
    async def test(served: Served) -> None:
        held = [await served.open() for _ in range(3)]
        await turn_until(lambda: len(served.server.connections) == 3)
        assert statuses(await served.say(GET)) == [503]
        for _, writer in held:
            writer.close()
        await turn_until(lambda: not served.server.connections)
        assert statuses(await served.say(GET[:-2] + CLOSE + b"\r\n")) == [200]

    serve(test)


def test_a_bug_ends_its_connection_only_and_is_told() -> None:
    async def test(served: Served) -> None:
        with pytest.raises(ConnectionError):
            assert await served.say(b"GET /bug HTTP/1.1\r\nHost: h\r\n\r\n") == b""
            raise ConnectionResetError
        assert [type(error) for error in served.failures] == [KeyError]
        assert statuses(await served.say(GET[:-2] + CLOSE + b"\r\n")) == [200]

    serve(test)


@given(cuts=st.lists(st.integers(1, 400), max_size=20))
@settings(max_examples=15, deadline=None)
def test_random_cuts_of_the_same_bytes_are_the_same_requests(cuts: list[int]) -> None:
    whole = (
        b"POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
        b"POST /two HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n"
        b"GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})

    async def test(served: Served) -> None:
        answer = await served.say(*(whole[a:b] for a, b in itertools.pairwise(edges)))
        assert statuses(answer) == [200, 200, 200]
        assert [(seen.path, seen.body) for seen in served.seen] == [("/one", b"hello"), ("/two", b"abcdefg"), ("/three", b"")]

    serve(test)


def test_noise_is_a_4xx_or_silence_and_never_a_failure() -> None:
    chance = random.Random(7)
    pieces = [
        GET,
        b"\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: h\r\n",
        b"zz\r\n",
        b"0\r\n\r\n",
    ]

    async def test(served: Served) -> None:
        for _ in range(150):
            sent = b"".join(chance.choice([chance.choice(pieces), chance.randbytes(5)]) for _ in range(chance.randint(1, 8)))
            reader, writer = await served.open()
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            assert all(status == 200 or 400 <= status < 500 for status in statuses(answer)), sent
            writer.close()
        assert not served.failures

    serve(test)
