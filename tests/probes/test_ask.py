"""Questions to real sockets on loopback: what comes back when the other side answers, refuses, breaks off, keeps silent or lies."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cortops.deploy import authority
from cortops.probes.ask import ask
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, Http, NoAnswer, Question, Reply, Rpc, Shell, Silence, Tls

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NOW = 1_700_000_000.0


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def says(status: int, body: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()

    return handle


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf")


async def keeps_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def no_shell(target: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
    return {item.id: Answer(question=item.id, at=0, elapsed_s=0, status=0, body=target.encode()) for item in questions}


async def asked(*questions: Question) -> dict[str, Reply]:
    clock = SystemClock()
    client = HttpClient(clock=clock)
    try:
        return await ask(questions, client, no_shell, clock)
    finally:
        await client.close()


def test_an_answer_has_its_status_and_body() -> None:
    async def run() -> None:
        async with serving(says(503, b'{"status":"degraded"}')) as port:
            found = (await asked(Http(id="q", url=f"http://127.0.0.1:{port}/health")))["q"]
            assert isinstance(found, Answer)
            assert (found.status, found.text) == (503, '{"status":"degraded"}')

    asyncio.run(run())


@pytest.mark.parametrize(("handler", "silence"), [(None, Silence.REFUSED), (breaks_off, Silence.RESET), (keeps_silent, Silence.TIMEOUT)])
def test_silence_says_which_silence_it_is(handler: Handler | None, silence: Silence) -> None:
    async def run() -> None:
        async with serving(handler or keeps_silent) as port:
            if handler is not None:
                found = (await asked(Http(id="q", url=f"http://127.0.0.1:{port}/", timeout_s=0.15)))["q"]
        if handler is None:  # nobody listens there any more
            found = (await asked(Http(id="q", url=f"http://127.0.0.1:{port}/")))["q"]
        assert isinstance(found, NoAnswer) and found.silence is silence and found.why

    asyncio.run(run())


def test_rpc_questions_of_one_endpoint_go_as_one_batch_and_an_error_is_an_answer() -> None:
    bodies: list[list[dict[str, object]]] = []

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(next(line for line in head.decode().lower().split("\r\n") if line.startswith("content-length")).split(":")[1])
        bodies.append(json.loads(await reader.readexactly(length)))
        answers = [
            {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}},
            {"jsonrpc": "2.0", "id": 0, "result": "0x7"},
        ]
        body = json.dumps(answers).encode()
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async def run() -> None:
        async with serving(node) as port:
            url = f"http://127.0.0.1:{port}"
            found = await asked(Rpc(id="a", url=url, method="eth_chainId"), Rpc(id="b", url=url, method="nonsense"))
            first, second = found["a"], found["b"]
            assert isinstance(first, Answer) and (first.status, first.text) == (0, '"0x7"')
            assert isinstance(second, Answer) and second.status == 1 and "no such method" in second.text
            assert [call["method"] for call in bodies[0]] == ["eth_chainId", "nonsense"] and len(bodies) == 1
        gone = await asked(Rpc(id="a", url=url, method="eth_chainId"), Rpc(id="b", url=url, method="eth_chainId"))
        assert {reply.silence for reply in gone.values() if isinstance(reply, NoAnswer)} == {Silence.REFUSED}

    asyncio.run(run())


def _server_tls(folder: Path, names: list[str], now: float) -> tuple[ssl.SSLContext, str]:
    random = bytes.fromhex("11" * 32)
    made = authority.make_authority("test", now, lambda count: random[:count])
    issued = authority.issue(made, names, now, lambda count: bytes.fromhex("22" * 32)[:count])
    (folder / "ca.pem").write_text(made.certificate)
    (folder / "server.pem").write_text(issued.certificate)
    (folder / "server.key").write_text(issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, str(folder / "ca.pem")


def test_a_certificate_is_read_and_a_wrong_name_or_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    async def run() -> None:
        context, ca = _server_tls(tmp_path, ["a.localhost"], SystemClock().now())
        async with serving(keeps_silent, context) as port:
            found = await asked(
                Tls(id="good", host="127.0.0.1", port=port, server_name="a.localhost", ca_file=ca),
                Tls(id="name", host="127.0.0.1", port=port, server_name="b.localhost", ca_file=ca),
                Tls(id="stranger", host="127.0.0.1", port=port, server_name="a.localhost"),
            )
        good = found["good"]
        assert isinstance(good, Answer)
        read = json.loads(good.body)
        assert "a.localhost" in read["names"] and read["not_after"] > SystemClock().now() + 390 * 86_400
        for name in ("name", "stranger"):
            reply = found[name]
            assert isinstance(reply, NoAnswer) and reply.silence is Silence.UNTRUSTED and reply.why

    asyncio.run(run())


def test_shell_questions_go_to_their_target_together() -> None:
    found = asyncio.run(asked(Shell(id="a", target="h1", script="x"), Shell(id="b", target="h2", script="x")))
    assert {name: reply.text for name, reply in found.items() if isinstance(reply, Answer)} == {"a": "h1", "b": "h2"}
