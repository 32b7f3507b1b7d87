"""A stub of an OpenAI-compatible engine with scripted replies: what it says, how slowly, and how it breaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

REQUESTS_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One scripted reply.

    pieces: the text, one piece a chunk. pause_s: before each chunk. tool_calls: given as one delta after the pieces.
    break_at: after so many chunks the reply breaks as `how` says: the connection is cut, an error is sent, or nothing more comes.
    status: other than 200 refuses the request with an OpenAI error.
    """

    pieces: tuple[str, ...] = ("Hello", " there", ".")
    pause_s: float = 0.0
    finish_reason: str = "stop"
    tool_calls: tuple[dict[str, Any], ...] = ()
    break_at: int | None = None
    how: Literal["cut", "error", "hang"] = "cut"
    status: int = 200

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True, kw_only=True)
class ScriptedEngine:
    """Answers with `script` in order, then with `default`. `requests` are the bodies it got, `url` where it listens.

    held: while set, no chunk is sent (tests let it go with `release`).
    """

    default: Say = field(default_factory=Say)
    script: deque[Say] = field(default_factory=deque)
    requests: deque[tuple[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT_MAX))
    url: str = ""
    running: int = 0
    open_gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open_gate.set()

    def hold(self) -> None:
        """Send nothing until `release`."""
        self.open_gate.clear()

    def release(self) -> None:
        self.open_gate.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        chat = request.path.endswith("/chat/completions")
        body: dict[str, Any] = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self.requests.append((request.path, body))
        say = self.script.popleft() if self.script else self.default
        if say.status != 200:
            error = {"error": {"message": "scripted refusal", "type": "server_error", "code": "scripted", "param": None}}
            return web.json_response(error, status=say.status)
        self.running += 1
        try:
            return await (self._stream if body.get("stream") else self._whole)(request, body, say, chat)
        finally:
            self.running -= 1

    async def _whole(self, _request: web.Request, body: dict[str, Any], say: Say, chat: bool) -> web.StreamResponse:
        await self.open_gate.wait()
        await asyncio.sleep(say.pause_s * len(say.pieces))
        message: dict[str, Any] = {"role": "assistant", "content": say.text}
        if say.tool_calls:
            message["tool_calls"] = list(say.tool_calls)
        choice = {"index": 0, "finish_reason": say.finish_reason, **({"message": message} if chat else {"text": say.text})}
        return web.json_response({**_head(body, chat, stream=False), "choices": [choice], "usage": usage_of(body, say)})

    async def _stream(self, request: web.Request, body: dict[str, Any], say: Say, chat: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        head = _head(body, chat, stream=True)
        for at, choice in enumerate(_choices(say, chat)):
            if at == say.break_at:
                return await self._break(request, response, say)
            await self.open_gate.wait()
            await asyncio.sleep(say.pause_s)
            await response.write(b"data: " + msgspec.json.encode({**head, "choices": [choice]}) + b"\n\n")
        if (body.get("stream_options") or {}).get("include_usage"):
            await response.write(b"data: " + msgspec.json.encode({**head, "choices": [], "usage": usage_of(body, say)}) + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _break(self, request: web.Request, response: web.StreamResponse, say: Say) -> web.StreamResponse:
        match say.how:
            case "error":
                await response.write(b'data: {"error":{"message":"scripted failure","code":500}}\n\n')
            case "hang":
                await asyncio.Event().wait()
            case "cut":
                assert request.transport is not None
                request.transport.abort()
        return response


def usage_of(body: dict[str, Any], say: Say) -> dict[str, int]:
    """Words in, pieces out."""
    prompt = sum(len(str(message.get("content") or "").split()) for message in body.get("messages", ())) or len(
        str(body.get("prompt", "")).split()
    )
    return {"prompt_tokens": prompt, "completion_tokens": len(say.pieces), "total_tokens": prompt + len(say.pieces)}


def _head(body: dict[str, Any], chat: bool, *, stream: bool) -> dict[str, Any]:
    kind = ("chat.completion.chunk" if stream else "chat.completion") if chat else "text_completion"
    return {"id": "scripted", "object": kind, "created": 1, "model": body.get("model", "")}


def _choices(say: Say, chat: bool) -> Sequence[dict[str, Any]]:
    if not chat:
        return [{"index": 0, "text": piece, "finish_reason": None} for piece in say.pieces] + [
            {"index": 0, "text": "", "finish_reason": say.finish_reason}
        ]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}, *({"content": piece} for piece in say.pieces)]
    if say.tool_calls:
        deltas.append({"tool_calls": [{"index": at, **call} for at, call in enumerate(say.tool_calls)]})
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    return [*choices, {"index": 0, "delta": {}, "finish_reason": say.finish_reason}]


@asynccontextmanager
async def scripted_engine(*script: Say, default: Say | None = None, ip: str = "127.0.0.1") -> AsyncIterator[ScriptedEngine]:
    """A ScriptedEngine on `ip` and a free port while inside; `engine.url` is what LLM_URL takes."""
    engine = ScriptedEngine(default=default or Say(), script=deque(script))
    app = web.Application(client_max_size=8 * 2**20)

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app.router.add_post("/v1/chat/completions", engine.handle)
    app.router.add_post("/v1/completions", engine.handle)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, ip, 0)
    await site.start()
    engine.url = f"http://{ip}:{runner.addresses[0][1]}"
    try:
        yield engine
    finally:
        await runner.cleanup()
