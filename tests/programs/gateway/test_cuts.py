"""The same bytes in whatever pieces, from the client and from the member, are the same answer."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_rig import CHAT, MODEL, gateway

ROUNDS = 12
ASKS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {**CHAT, "stream": True},
    "/v1/messages": {**CHAT, "max_tokens": 9, "stream": True},
    "/v1/completions": {"model": MODEL, "prompt": "Hi", "stream": True},
}


@dataclass(slots=True)
class Cutter:
    """A router whose stream comes in pieces of chance."""

    chance: random.Random
    body: bytes
    url: str = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Cutter]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        if head.startswith(b"GET"):
            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        else:
            chunks = b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(self.chance, self.body)])
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            answer += chunks + b"0\r\n\r\n"
        await trickle(self.chance, writer, answer)
        writer.close()


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    """`data`, cut at up to 40 places."""
    edges = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.randint(0, 40)))})
    return [data[start:end] for start, end in pairwise(edges)]


async def trickle(chance: random.Random, writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write in pieces, each by itself."""
    for piece in pieces(chance, data):
        writer.write(piece)
        await asyncio.sleep(0)


def member_stream(route: str) -> bytes:
    """Text with characters of several bytes, a comment, tool calls, a usage, line ends of both kinds."""
    if route == "/v1/completions":
        choices = [{"index": 0, "text": text, "finish_reason": None} for text in ("naïve ", "日本語 ", "🙂", "data: {}\n\n")]
    else:
        choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in ("naïve ", "日本語 ", "🙂", "data: {}\n\n")]
        calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":'}}, {"index": 0, "function": {"arguments": "1}"}}]
        choices += [{"index": 0, "delta": {"tool_calls": [call]}} for call in calls]
    choices.append({"index": 0, "text": "", "delta": {}, "finish_reason": "stop"})
    base = {"id": "own", "object": "o", "created": 1, "model": "own"}
    events = [b"data: " + msgspec.json.encode({**base, "choices": [choice]}) for choice in choices]
    events.append(b"data: " + msgspec.json.encode({**base, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}))
    return b"\r\n\r\n".join([*events[:2], b": wait", *events[2:]]) + b"\n\ndata: [DONE]\n\n"


async def ask(chance: random.Random, port: int, text: bytes) -> bytes:
    """What the client gets, out of its chunks, without the request's own id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await trickle(chance, writer, text)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    writer.close()
    return re.sub(rb"req_[0-9a-f]{24}", b"ID", body)


@pytest.mark.parametrize("route", ASKS)
def test_cuts_change_nothing(tmp_path: Path, route: str) -> None:
    async def main() -> None:
        chance = random.Random(route)
        async with Cutter(chance, member_stream(route)).listening() as router, gateway(tmp_path, given=[router]) as rig:  # type: ignore[list-item]
            body = msgspec.json.encode(ASKS[route])
            head = f"POST {route} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {rig.key}\r\nContent-Length: {len(body)}\r\n\r\n"
            answers = [await ask(chance, rig.port, head.encode() + body) for _ in range(ROUNDS)]
            assert len(set(answers)) == 1 and "日本語" in answers[0].decode()
            rows = await rig.rows()
            assert [(row.status, row.prompt_tokens, row.completion_tokens) for row in rows] == [("ok", 5, 3)] * ROUNDS

    asyncio.run(main())
