"""Questions to real sockets on loopback: what comes back when the other side answers, refuses, breaks off, keeps silent or lies."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from cortops.deploy import authority
from cortops.probes.ask import AT_ONCE_MAX, ask
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock
from cortops.words.question import REFUSED, REVERTED, Answer, Http, NoAnswer, Question, Reply, Rpc, Shell, Silence, Tls

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


async def speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 this is plain HTTP\r\n\r\n")


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    cast("asyncio.Transport", writer.transport).abort()


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


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    async def run() -> None:
        async with serving(says(200, b"x" * (2 << 20))) as port:
            found = (await asked(Http(id="q", url=f"http://127.0.0.1:{port}/")))["q"]
            assert isinstance(found, NoAnswer) and found.silence is Silence.RESET and "larger than 1 MiB" in found.why

    asyncio.run(run())


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_silence_of_our_own(text: str | None, tmp_path: Path) -> None:
    """As when nothing was ever applied here: `status` asks all the same."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    found = asyncio.run(
        asked(
            Http(id="route", url="https://a.localhost:1/", connect_to=("127.0.0.1", 1), ca_file=str(path)),
            Tls(id="tls", host="127.0.0.1", port=1, server_name="a.localhost", ca_file=str(path)),
        )
    )
    for reply in found.values():
        assert isinstance(reply, NoAnswer) and reply.silence is Silence.LOST and f"the CA file {path} cannot be read" in reply.why


REFUSAL = {"code": -32005, "message": "too many requests"}
REVERT = {"code": 3, "message": "execution reverted", "data": None}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"id": 0, "result": "0x7"}, {"id": 1, "error": REFUSAL}], [(0, '"0x7"'), (REFUSED, "eth_b was refused: too many requests")]),
        ([{"id": 1, "error": REVERT}, {"id": 0, "result": None}], [(0, "null"), (REVERTED, "the contract refused: execution reverted")]),
        ({"id": None, "error": REFUSAL}, [(REFUSED, "request was refused: too many requests")] * 2),
        ([{"id": 0, "result": "0x7"}], [(None, "answered 1 of 2 calls")] * 2),
        ("<html>", [(None, "without JSON-RPC")] * 2),
    ],
    ids=["refused", "reverted", "refused as a whole", "half", "no JSON-RPC"],
)
def test_what_a_node_may_say_to_a_batch(body: object, expected: list[tuple[int | None, str]]) -> None:
    async def run() -> None:
        async with serving(says(200, json.dumps(body).encode())) as port:
            url = f"http://127.0.0.1:{port}"
            found = await asked(Rpc(id="a", url=url, method="eth_a"), Rpc(id="b", url=url, method="eth_b"))
        for reply, (status, text) in zip((found["a"], found["b"]), expected, strict=True):
            if status is None:
                assert isinstance(reply, NoAnswer) and reply.silence is Silence.LOST and text in reply.why
            else:
                assert isinstance(reply, Answer) and (reply.status, reply.text) == (status, text)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("handler", "silence"),
    [(None, Silence.REFUSED), (resets, Silence.RESET), (speaks_no_tls, Silence.RESET), (keeps_silent, Silence.TIMEOUT)],
)
def test_a_handshake_that_does_not_come_about_says_why(handler: Handler | None, silence: Silence) -> None:
    async def run() -> NoAnswer | Answer:
        async with serving(handler or keeps_silent) as port:
            question = Tls(id="q", host="127.0.0.1", port=port, server_name="a.localhost", timeout_s=0.05 if handler is keeps_silent else 5)
            if handler is not None:
                return (await asked(question))["q"]
        return (await asked(question))["q"]  # nobody listens there any more

    found = asyncio.run(run())
    assert isinstance(found, NoAnswer) and found.silence is silence and found.why


def test_a_certificate_whose_time_is_over_is_not_trusted(tmp_path: Path) -> None:
    async def run() -> None:
        context, ca = _server_tls(tmp_path, ["a.localhost"], SystemClock().now() - 12 * 365 * 86_400)
        async with serving(keeps_silent, context) as port:
            found = (await asked(Tls(id="q", host="127.0.0.1", port=port, server_name="a.localhost", ca_file=ca)))["q"]
        assert isinstance(found, NoAnswer) and found.silence is Silence.UNTRUSTED and "expired" in found.why

    asyncio.run(run())


def test_no_more_than_so_many_fetches_are_under_way_together() -> None:
    under_way, most = 0, 0

    async def ask_slowly(target: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await no_shell(target, questions)

    async def run() -> dict[str, Reply]:
        clock = SystemClock()
        client = HttpClient(clock=clock)
        try:
            return await ask([Shell(id=str(n), target=f"h{n}", script="x") for n in range(150)], client, ask_slowly, clock)
        finally:
            await client.close()

    assert len(asyncio.run(run())) == 150
    assert most == AT_ONCE_MAX


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
