"""HttpClient against a scripted server: keep-alive, framing, limits, deadlines, what a failure says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.protocol.http import HttpClient, HttpFailure, HttpReply, Site
from cortops.protocol.request_text import request_head, split_url
from cortops.testing.clock import VirtualClock, turn_until
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput
from cortops.words.question import Silence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Step = bytes | str  # bytes are sent; "read" waits for a request, "close" ends the connection, "hold" does nothing any more


class Scripted:
    """Plays one list of steps a connection; the last script repeats for later ones."""

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.scripts = list(scripts)
        self.connections = 0
        self.requests: list[bytes] = []
        self.left = asyncio.Event()  # a client has gone while a connection was held
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        try:
            for step in script:
                if step == "read":
                    self.requests.append(await read_request(reader))
                elif step == "hold":
                    await reader.read()
                    self.left.set()
                elif isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                else:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@asynccontextmanager
async def scripted(*scripts: Sequence[Step]) -> AsyncIterator[Scripted]:
    server = Scripted(scripts)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def play(
    scripts: Sequence[Sequence[Step]], ask: Callable[[HttpClient, str, Scripted], Awaitable[None]], clock: VirtualClock | None = None
) -> None:
    async def main() -> None:
        async with scripted(*scripts) as server:
            client = HttpClient(clock=clock or SystemClock())
            try:
                await ask(client, f"http://127.0.0.1:{server.port}/", server)
            finally:
                await client.close()

    asyncio.run(main())


def get(reply: bytes, **options: float) -> HttpReply:
    """The parsed answer to one GET, when the server says `reply` and closes."""
    replies: list[HttpReply] = []

    async def ask(client: HttpClient, url: str, _server: Scripted) -> None:
        replies.append(await client.request("GET", url, timeout_s=2, **options))

    play([["read", reply, "close"]], ask)
    return replies[0]


def test_reads_length_chunked_and_until_close() -> None:
    assert get(OK).body == b"ok"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    reply = get(chunked)
    assert (reply.status, reply.body, reply.header("x-a")) == (200, b"abcde", "1")
    assert reply.headers == [("transfer-encoding", "chunked"), ("x-a", "1"), ("x-a", "2")]
    assert get(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").body == b"until the end"
    assert get(b"HTTP/1.1 204 No Content\r\n\r\n").status == 204
    assert get(b"HTTP/1.1 100 Continue\r\n\r\n" + OK).body == b"ok"


@given(
    cuts=st.lists(st.integers(1, 200), max_size=12),
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=10),
)
@settings(max_examples=30, deadline=None)
def test_random_cuts_of_the_same_bytes_read_alike(cuts: list[int], body: bytes, sizes: list[int]) -> None:
    encoded, rest = b"", body
    for size in sizes * 20:
        part, rest = rest[:size], rest[size:]
        if part:
            encoded += b"%x\r\n%s\r\n" % (len(part), part)
    if rest:
        encoded += b"%x\r\n%s\r\n" % (len(rest), rest)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Id: 7\r\n\r\n" + encoded + b"0\r\n\r\n"
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    script: list[Step] = ["read", *(whole[a:b] for a, b in itertools.pairwise(edges)), "read", OK, "hold"]

    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        reply = await client.request("GET", url, timeout_s=2)
        assert (reply.status, reply.header("x-id"), reply.body) == (200, "7", body)
        assert (await client.request("GET", url, timeout_s=2)).body == b"ok"
        assert server.connections == 1

    play([script], ask)


def test_one_connection_serves_many_requests_and_posts_carry_their_body() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        for number in range(20):
            await client.request("POST", url + "x?q=1", body=b"%d" % number, headers=[("X-Request-ID", "r1")], timeout_s=2)
        assert server.connections == 1
        host = url[7:-1].encode()
        assert server.requests[7] == b"POST /x?q=1 HTTP/1.1\r\nHost: " + host + b"\r\nX-Request-ID: r1\r\nContent-Length: 1\r\n\r\n7"

    play([["read", OK] * 20 + ["hold"]], ask)


def test_what_posts_to_one_site_have_in_common_is_worked_out_once() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        site = Site.of(url + "base/", (("Authorization", "Bearer secret"),))
        for number in range(3):
            async with client.post(site, f"/x/{number}", headers=(("X-Request-ID", "r1"),), body=b"hi", timeout_s=2) as stream:
                assert (stream.status, await stream.rest(2)) == (200, b"ok")
        assert server.connections == 1 and "secret" not in repr(site)
        lines = b"\r\nHost: " + url[7:-1].encode() + b"\r\nAuthorization: Bearer secret\r\nX-Request-ID: r1\r\nContent-Length: 2\r\n\r\nhi"
        assert server.requests[2] == b"POST /base/x/2 HTTP/1.1" + lines
        with pytest.raises(BadInput):
            client.post(site, "/", headers=(("X-A", "a\r\nX-Evil: 1"),), body=b"", timeout_s=2)

    play([["read", OK] * 3 + ["hold"]], ask)


def test_connection_close_is_obeyed_and_the_pool_is_bounded() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        await client.request("GET", url, timeout_s=2)
        await client.request("GET", url, timeout_s=2)
        assert server.connections == 2

    play([["read", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "hold"]], ask)

    async def many() -> None:
        async with scripted(["read", OK, "hold"]) as server:
            client = HttpClient(clock=SystemClock(), idle_max_per_origin=2)
            url = f"http://127.0.0.1:{server.port}/"
            await asyncio.gather(*(client.request("GET", url, timeout_s=2) for _ in range(6)))
            assert sum(len(idle) for idle in client._idle.values()) == 2
            await client.close()
            assert not client._open

    asyncio.run(many())


def test_a_dead_kept_connection_is_replaced_for_get_only() -> None:
    scripts: list[list[Step]] = [["read", OK, "read", "close"], ["read", OK, "hold"]]

    async def again(client: HttpClient, url: str, server: Scripted) -> None:
        await client.request("GET", url, timeout_s=2)
        assert (await client.request("GET", url, timeout_s=2)).body == b"ok"
        assert server.connections == 2

    play(scripts, again)

    async def never(client: HttpClient, url: str, server: Scripted) -> None:
        await client.request("POST", url, timeout_s=2)
        with pytest.raises(HttpFailure) as caught:
            await client.request("POST", url, timeout_s=2)
        assert caught.value.sent and caught.value.silence is Silence.RESET
        assert server.connections == 1

    play(scripts, never)


def test_a_kept_connection_that_the_peer_closed_meanwhile_is_not_used() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        await client.request("POST", url, timeout_s=2)
        await turn_until(lambda: not client._open)
        await client.request("POST", url, timeout_s=2)
        assert server.connections == 2

    play([["read", OK, "close"]], ask)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 70_000, "head is larger"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: aaaaaaaaaaaaaaaa\r\n" * 4000 + b"\r\n", "head is larger"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2100000\r\n\r\n" + b"a" * 2_100_000, "larger than 1 MiB"),
    ],
)
def test_a_broken_answer_is_a_reset_that_says_why(reply: bytes, words: str) -> None:
    with pytest.raises(HttpFailure) as caught:
        get(reply, body_max_mib=1)
    assert caught.value.silence is Silence.RESET and caught.value.sent
    assert words in caught.value.what


def test_refused_and_unresolved_are_not_sent() -> None:
    async def ask(client: HttpClient, url: str, _server: Scripted) -> None:
        with pytest.raises(HttpFailure) as refused:
            await client.request("POST", url, timeout_s=2, connect_to=("127.0.0.1", 1))
        assert (refused.value.silence, refused.value.sent) == (Silence.REFUSED, False)
        with pytest.raises(HttpFailure) as unresolved:
            await client.request("POST", url, timeout_s=2, connect_to=("name.invalid", 1))
        assert (unresolved.value.silence, unresolved.value.sent) == (Silence.UNRESOLVED, False)

    play([["hold"]], ask)


def test_silence_times_out_and_closes_the_connection() -> None:
    clock = VirtualClock()

    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        asking = asyncio.ensure_future(client.request("GET", url, timeout_s=400))
        await turn_until(lambda: server.requests)
        await clock.advance(399)
        assert not asking.done()
        await clock.advance(2)
        with pytest.raises(HttpFailure) as caught:
            await asking
        assert (caught.value.silence, caught.value.sent) == (Silence.TIMEOUT, True)
        await server.left.wait()

    play([["read", "hold"]], ask, clock)


def test_a_stream_ends_by_idle_time_but_not_while_it_speaks() -> None:
    clock = VirtualClock()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def main() -> None:
        released: asyncio.Queue[bytes] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(head)
            while part := await released.get():
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await reader.read()
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = HttpClient(clock=clock)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with client.stream("POST", url, timeout_s=500, idle_timeout_s=10) as stream:
            for number in range(5):
                released.put_nowait(b"%d" % number)
                assert await stream.read() == b"%d" % number
                await clock.advance(8)
            released.put_nowait(b"")
            reading = asyncio.ensure_future(stream.read())
            await clock.advance(11)
            with pytest.raises(HttpFailure) as caught:
                await reading
            assert caught.value.silence is Silence.TIMEOUT
        await client.close()
        listening.close()
        await listening.wait_closed()

    asyncio.run(main())


def test_leaving_a_stream_closes_its_connection() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        async with client.stream("GET", url, timeout_s=5, idle_timeout_s=5) as stream:
            assert [chunk async for chunk in one(stream.chunks())] == [b"ab"]
        await asyncio.wait_for(server.left.wait(), 2)

    async def one(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield await anext(chunks)

    play([["read", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "hold"]], ask)


def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
            while sent < 33_554_432:
                writer.write(b"x" * 65_536)
                sent += 65_536
                await writer.drain()
            await reader.read()
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = HttpClient(clock=SystemClock())
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with client.stream("GET", url, timeout_s=20, idle_timeout_s=20) as stream:
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.01)
            assert sent < 16 * 2**20, "the kernel's buffers may fill, ours not"
            total = 0
            async for chunk in stream.chunks():
                total += len(chunk)
            assert total == 33_554_432
        await client.close()
        listening.close()
        await listening.wait_closed()

    asyncio.run(main())


def test_cancelling_a_request_closes_its_connection() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        asking = asyncio.ensure_future(client.request("GET", url, timeout_s=5))
        await turn_until(lambda: server.requests)
        asking.cancel()
        await asyncio.wait_for(server.left.wait(), 2)
        assert asking.cancelled()

    play([["read", "hold"]], ask)


def test_flood_after_the_answer_ends_the_connection_but_not_the_answer() -> None:
    async def ask(client: HttpClient, url: str, server: Scripted) -> None:
        assert (await client.request("GET", url, timeout_s=2)).body == b"ok"
        await turn_until(lambda: not client._open)
        assert (await client.request("GET", url, timeout_s=2)).body == b"ok"
        assert server.connections == 2

    play([["read", OK + OK, "hold"]], ask)


def test_head_has_no_body() -> None:
    async def ask(client: HttpClient, url: str, _server: Scripted) -> None:
        reply = await client.request("HEAD", url, timeout_s=2)
        assert (reply.status, reply.header("content-length"), reply.body) == (200, "99", b"")

    play([["read", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "hold"]], ask)


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "http://h:x/", "http://h/a b", "http://h/\r\nX: y", "http://h:99999/", "//h/"])
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(BadInput):
        split_url(url)


def test_urls_are_split() -> None:
    assert split_url("https://user@h.example:8443/a?b=c#d") == (True, "h.example", 8443, "h.example:8443", "/a?b=c")
    assert split_url("http://[::1]") == (False, "::1", 80, "[::1]", "/")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "\u2028"])
def test_a_header_cannot_bring_another(value: str) -> None:
    with pytest.raises(BadInput):
        request_head("GET", "/", "h", [("X-A", value)], None)
