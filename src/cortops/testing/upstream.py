"""A router that is none: answers chat requests as told, well or badly, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec

from cortops.testing.clock import turn_until
from cortops.words.clock import Clock, SystemClock

COMPLETION_ID = "router-own-id"
MODEL = "router-own-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How it behaves. Every wait is a time of its clock.

    `status` other than 200: an error with `code`; `task` False: without a task, so before submission. `hold`: accept, never answer.
    `error_body`: 200 with an error inside. `reset_after`: stream that many events, then cut the connection; 0 cuts before the head.
    `head_only`: a stream's head comes, and nothing after it. `raw`: these bytes as the whole answer, then the connection ends.
    `calls`: (name, parts of the arguments) of each tool call after the text. `lie`: announce more bytes than come. `no_done`: a stream
    without [DONE]. `flood_bytes`: a stream of that many, as fast as read.
    """

    text: tuple[str, ...] = ("Hello", ", ", "world")
    calls: tuple[tuple[str, tuple[str, ...]], ...] = ()
    delay_s: float = 0.0  # before the head
    event_every_s: float = 0.0
    status: int = 200
    code: str = ""
    task: bool = True
    hold: bool = False
    error_body: bool = False
    error_event: bool = False
    reset_after: int | None = None
    lie: bool = False
    no_done: bool = False
    head_only: bool = False
    raw: bytes = b""
    flood_bytes: int = 0
    well: bool = True  # the status page


@dataclass(slots=True, kw_only=True)
class Asked:
    """One chat request as it arrived."""

    session: int
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])


class FakeRouter:
    """The gateway-router seam on a port of its own. Change `manner` at any time; read `asked`, `connections`, `in_flight_max`, `left`."""

    def __init__(self, manner: Manner | None = None, clock: Clock | None = None) -> None:
        self.manner = manner or Manner()
        self.asked: list[Asked] = []
        self.connections = 0
        self.in_flight: Counter[int] = Counter()
        self.in_flight_max: Counter[int] = Counter()
        self.left = 0  # connections that ended in the middle of an answer of ours
        self.sent_bytes = 0
        self.port = 0
        self._clock = clock or SystemClock()
        self._tasks = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def behave(self, **changes: object) -> None:
        """Change the manner for the requests that come."""
        self.manner = replace(Manner(), **changes)  # type: ignore[arg-type]

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[FakeRouter]:
        """Serve while inside."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Leavable(asyncio.StreamReader(), self._serve), "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await server.wait_closed()
            await turn_until(lambda: not self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False ends the connection."""
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        _, path, _ = start.split(" ")
        if path == "/api/v1/status":
            page = {"status": "ok"} if self.manner.well else {"status": "degraded", "why": ["told to be"]}
            writer.write(_reply(200 if self.manner.well else 503, page))
            return True
        asked = Asked(session=int(path.rpartition("/")[2]), path=path, headers=headers, body=body)
        self.asked.append(asked)
        self.in_flight[asked.session] += 1
        self.in_flight_max[asked.session] = max(self.in_flight_max[asked.session], self.in_flight[asked.session])
        watch = asyncio.ensure_future(_left(writer))
        work = asyncio.ensure_future(self._answer(asked, writer))
        try:
            await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() or isinstance(work.exception(), ConnectionError):
                self.left += 1
                return False
            return work.result()
        finally:
            self.in_flight[asked.session] -= 1
            for task in (watch, work):
                task.cancel()
            await asyncio.gather(watch, work, return_exceptions=True)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        manner = self.manner
        if manner.hold:
            await asyncio.get_running_loop().create_future()
        if manner.delay_s:
            await self._clock.sleep(manner.delay_s)
        if manner.reset_after == 0:
            writer.transport.abort()
            return False
        if manner.raw:
            writer.write(manner.raw)
            await writer.drain()
            return False
        extra = ""
        if manner.task:
            self._tasks += 1
            extra = f"X-Cortensor-Task: {asked.session}/{self._tasks}\r\n"
        if manner.status != 200 or manner.error_body:
            error = {"error": {"message": "as told", "type": "api_error", "code": manner.code or None, "param": None}}
            writer.write(_reply(manner.status, error, extra))
            return True
        if asked.json.get("stream"):
            return await self._stream(manner, asked, writer, extra)
        reply = _reply(200, _whole(manner, asked), extra)
        writer.write(reply[:-5] if manner.lie else reply)
        await writer.drain()
        return not manner.lie

    async def _stream(self, manner: Manner, asked: Asked, writer: asyncio.StreamWriter, extra: str) -> bool:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{extra}Transfer-Encoding: chunked\r\n\r\n".encode())
        if manner.head_only:
            await asyncio.get_running_loop().create_future()
        left = manner.flood_bytes
        while left > 0:
            event = _event({**_object("chat.completion.chunk"), "choices": [_delta("x" * 8000)]})
            writer.write(event)
            left -= len(event)
            self.sent_bytes += len(event)
            await writer.drain()
        for number, word in enumerate(manner.text):
            if manner.reset_after == number:
                await writer.drain()
                writer.transport.abort()
                return False
            writer.write(_event(_word(asked, word)))
            await writer.drain()
            if manner.event_every_s:
                await self._clock.sleep(manner.event_every_s)
        if manner.error_event:
            writer.write(_event({"error": {"message": "as told", "code": manner.code or None}}) + b"0\r\n\r\n")
            return True
        for chunk in _ending(manner, asked):
            writer.write(_event(chunk))
        writer.write((b"" if manner.no_done else _frame(b"data: [DONE]\n\n")) + b"0\r\n\r\n")
        await writer.drain()
        return True


class _Leavable(asyncio.StreamReaderProtocol):
    """A connection that ends when its client leaves, also in the middle of an answer."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _left(writer: asyncio.StreamWriter) -> None:
    await asyncio.shield(writer.wait_closed())


def _object(kind: str) -> dict[str, object]:
    return {"id": COMPLETION_ID, "object": kind, "created": 1_800_000_000, "model": MODEL}


def _usage(manner: Manner) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": len(manner.text), "total_tokens": 5 + len(manner.text)}


def _delta(text: str) -> dict[str, object]:
    return {"index": 0, "delta": {"content": text}, "finish_reason": None}


def _is_native(asked: Asked) -> bool:
    return not asked.path.startswith("/api/v1/chat/")


def _whole(manner: Manner, asked: Asked) -> dict[str, object]:
    words = "".join(manner.text)
    if _is_native(asked):
        choice: dict[str, object] = {"index": 0, "text": words, "logprobs": None, "finish_reason": "stop"}
        return {**_object("text_completion"), "task_id": 1, "choices": [choice], "usage": _usage(manner)}
    message: dict[str, object] = {"role": "assistant", "content": words or None}
    if manner.calls:
        message["tool_calls"] = [_call(number, name, "".join(parts)) for number, (name, parts) in enumerate(manner.calls)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(manner)}
    return {**_object("chat.completion"), "choices": [choice], "usage": _usage(manner)}


def _word(asked: Asked, word: str) -> dict[str, object]:
    if _is_native(asked):
        return {**_object("text_completion"), "task_id": 1, "choices": [{"index": 0, "text": word, "finish_reason": None}], "usage": None}
    return {**_object("chat.completion.chunk"), "choices": [_delta(word)]}


def _ending(manner: Manner, asked: Asked) -> list[dict[str, object]]:
    """What follows the words: tool calls in parts, the finish reason, the usage."""
    if _is_native(asked):
        choice = {"index": 0, "text": "", "finish_reason": "stop"}
        return [{**_object("text_completion"), "task_id": 1, "choices": [choice], "usage": _usage(manner)}]
    deltas: list[dict[str, object]] = []
    for number, (name, parts) in enumerate(manner.calls):
        deltas.append({"tool_calls": [_call(number, name, "")]})
        deltas += [{"tool_calls": [{"index": number, "function": {"arguments": part}}]} for part in parts]
    choices: list[dict[str, object]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": _finish(manner)})
    events: list[dict[str, object]] = [{**_object("chat.completion.chunk"), "choices": [choice]} for choice in choices]
    return [*events, {**_object("chat.completion.chunk"), "choices": [], "usage": _usage(manner)}]


def _call(number: int, name: str, arguments: str) -> dict[str, object]:
    return {"index": number, "id": f"call-{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _finish(manner: Manner) -> str:
    return "tool_calls" if manner.calls else "stop"


def _event(chunk: dict[str, object]) -> bytes:
    return _frame(b"data: " + msgspec.json.encode(chunk) + b"\n\n")


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _reply(status: int, body: object, extra: str = "") -> bytes:
    text = msgspec.json.encode(body)
    head = f"HTTP/1.1 {status} As-Told\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{extra}\r\n"
    return head.encode() + text
