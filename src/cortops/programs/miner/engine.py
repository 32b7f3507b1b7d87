"""A task on an OpenAI-compatible engine: the body it is asked with, and its stream as chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from cortops.contracts.keccak import keccak_hex
from cortops.programs.common.progress import Progress
from cortops.protocol.chat import PROMPT_CHAT, PROMPT_GUIDED, PROMPT_RAW, EngineChunk, body_of, prompt_of
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.routes import sampling_of
from cortops.words.errors import BadInput, StepFailed
from cortops.words.question import Silence

LINE_KIB_MAX = 256
PROBE_TIMEOUT_S = 3.0
REFUSAL_MIB_MAX = 0.1

_chunks = msgspec.json.Decoder(EngineChunk)


class EngineLines:
    """Cuts a stream of server-sent events into their data, whatever the borders of the reads."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that are complete now. StepFailed for a line over LINE_KIB_MAX."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_KIB_MAX * 1024:
            raise StepFailed(f"the engine sent a line of more than {LINE_KIB_MAX} KiB")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


def engine_request(task: Progress, model: str) -> tuple[str, dict[str, Any]]:
    """A task -> path and body. BadInput for a prompt type we do not know, or a chat text that is none.

    Unless the client chose a seed, all miners of a task take the same one: answers that chance alone makes differ cannot be compared.
    """
    if task.prompt_type == PROMPT_CHAT:
        path, body = "/v1/chat/completions", dict(body_of(task.text))
    elif task.prompt_type in (PROMPT_GUIDED, PROMPT_RAW):
        prompt = prompt_of(task.prompt_type, task.text, task.template)
        path, body = "/v1/completions", {"prompt": prompt, **sampling_of(task.llm_params)}
    else:
        raise BadInput(f"prompt type {task.prompt_type} is not one of 0, 1, 2")
    if body.get("seed") is None:
        body["seed"] = seed_of(task)
    return path, body | {"model": model, "stream": True, "stream_options": {"include_usage": True}}


def seed_of(task: Progress) -> int:
    """From the transaction that submitted it: 31 bits, as engines take them; another task with the same prompt has another."""
    return int(keccak_hex(task.identity.encode())[2:10], 16) & 0x7FFF_FFFF


async def run(http: HttpClient, url: str, task: Progress, model: str, timeout_s: float) -> AsyncGenerator[EngineChunk, None]:
    """The engine's chunks up to its [DONE]. Raises HttpFailure, BadInput, or StepFailed when it refuses, fails or breaks off."""
    path, body = engine_request(task, model)
    payload = msgspec.json.encode(body)
    for attempt in (1, 2):
        begun = False
        try:
            async with aclosing(_ask(http, url.rstrip("/") + path, payload, timeout_s)) as chunks:
                async for chunk in chunks:
                    begun = True
                    yield chunk
            return
        except HttpFailure as error:
            # An engine keeps nothing of a request, so one that met a connection it had just closed may be asked again.
            if begun or attempt == 2 or error.silence is not Silence.RESET:
                raise


async def _ask(http: HttpClient, url: str, payload: bytes, timeout_s: float) -> AsyncGenerator[EngineChunk, None]:
    headers = (("content-type", "application/json"), ("accept", "text/event-stream"))
    async with http.stream("POST", url, headers=headers, body=payload, timeout_s=timeout_s, idle_timeout_s=timeout_s) as stream:
        if stream.status != 200:
            raise StepFailed(f"the engine answered HTTP {stream.status}")
        lines = EngineLines()
        async for data in stream.chunks():
            for event in lines.feed(data):
                if event == b"[DONE]":
                    return
                yield _chunk(event)
        raise StepFailed("the engine broke off before its end")


def _chunk(event: bytes) -> EngineChunk:
    try:
        chunk = _chunks.decode(event)
    except msgspec.DecodeError as error:
        raise StepFailed("the engine sent a chunk that is none", why=str(error)) from error
    if chunk.error is not None:
        raise StepFailed("the engine reported an error inside its stream")
    return chunk


async def is_reachable(http: HttpClient, url: str) -> bool:
    """Whether the engine lists its models now."""
    try:
        reply = await http.request("GET", url.rstrip("/") + "/v1/models", timeout_s=PROBE_TIMEOUT_S, body_max_mib=1)
    except HttpFailure:
        return False
    return reply.status == 200
