"""A pool member that costs next to nothing: status page, whole replies, and streams as slow as the request asks for.

`python -m benchmarks.traffic.upstream PORT...` listens on loopback. What a request gets stands in its body: `"stream":true` a stream, and
`"user":"EVENTS-PAUSE_MS"` how many events it has and how long it rests after each; without pause, each event is a write of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys

import uvloop

EVENTS, PAUSE_MS = 50, 0.0  # unless the request says otherwise
SHAPE = re.compile(rb'"user":\s*"(\d+)-(\d+)"')
STREAM = re.compile(rb'"stream":\s*true')
STATUS = b'{"status":"ok"}'
USAGE = b'"usage":{"prompt_tokens":21,"completion_tokens":50,"total_tokens":71}'
REPLY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"SmolLM2-135M-Instruct","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"' + b"The sky is blue because air scatters short waves more than long ones. " * 4 + b'"},'
    b'"finish_reason":"stop"}],' + USAGE + b"}"
)
BEGINNING = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"SmolLM2-135M-Instruct","choices":['
EVENT = BEGINNING + b'{"index":0,"delta":{"content":" scatters"},"finish_reason":null}],"usage":null}\n\n'
STOP = BEGINNING + b'{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
LAST = STOP + BEGINNING + b"]," + USAGE + b"}\n\ndata: [DONE]\n\n"
tasks = itertools.count(1)


def framed(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(body: bytes, extra: bytes = b"") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (extra, len(body), body)


ANSWER, STATUS_ANSWER = whole(REPLY, b"X-Cortensor-Task: 7/1\r\n"), whole(STATUS)
EVENT_CHUNK = framed(EVENT)
LAST_CHUNK = framed(LAST) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._pause_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if len(body) < (int(length[1]) if length else 0):
            return
        self._buffer = b""
        assert self._transport is not None
        if head.startswith(b"GET"):
            self._transport.write(STATUS_ANSWER)
        elif STREAM.search(body):
            shape = SHAPE.search(body)
            self._left, pause_ms = (int(shape[1]), float(shape[2])) if shape else (EVENTS, PAUSE_MS)
            self._pause_s = pause_ms / 1000
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Cortensor-Task: 7/%d\r\n\r\n"
            self._send(head % next(tasks))
        else:
            self._transport.write(ANSWER)

    def _send(self, before: bytes = b"") -> None:
        if self._transport is None:
            return
        self._left -= 1
        if self._left < 0:
            self._transport.write(before + LAST_CHUNK)
            return
        self._transport.write(before + EVENT_CHUNK)
        if self._pause_s:
            self._loop.call_later(self._pause_s, self._send)
        else:
            self._loop.call_soon(self._send)


async def serve(ports: list[int]) -> None:
    """Until the process ends."""
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(Upstream, "127.0.0.1", port, backlog=4096)
    print("listening", flush=True)
    await loop.create_future()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve([int(port) for port in sys.argv[1:]]))
