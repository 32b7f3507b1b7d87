"""A chat's answer as Anthropic tells it: the blocks of a message, and the typed events of its stream.

What a chat does not say stays unsaid: a stop sequence that was met shows as `end_turn`, reasoning is not shown, and tokens are counted
at the end only.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from cortops.protocol.openai import MemberStream, StreamBroken, Tokens

STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "refusal"}


class Function(Struct, frozen=True):
    """Of a call, whole or in parts."""

    name: str | None = None
    arguments: str | None = None


class Call(Struct, frozen=True):
    """A tool call, or a part of the one with this index."""

    index: int = 0
    id: str | None = None
    function: Function | None = None


class Said(Struct, frozen=True):
    """A message, or what a chunk adds to it."""

    content: str | None = None
    tool_calls: list[Call] | None = None


class Choice(Struct, frozen=True):
    """One of an answer's; there is one."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None


class Answered(Struct, frozen=True):
    """What is read of a chat.completion or of a chunk."""

    choices: list[Choice]
    usage: Any = None


def stop_reason(finish_reason: str | None) -> str:
    """OpenAI's word -> Anthropic's."""
    return STOP_REASONS.get(finish_reason or "", "end_turn")


def message(public_id: str, alias: str, tokens: Tokens) -> dict[str, Any]:
    """A message without content."""
    return {
        "id": public_id,
        "type": "message",
        "role": "assistant",
        "model": alias,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(tokens),
    }


def usage(tokens: Tokens) -> dict[str, int]:
    """Tokens under Anthropic's names."""
    return {"input_tokens": tokens.prompt_tokens, "output_tokens": tokens.completion_tokens}


def content_of(said: Said, *, cut: bool) -> list[dict[str, Any]]:
    """A whole message's blocks. cut: at the token limit, so that a call's arguments may be half; raises StreamBroken for others."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": said.content}] if said.content else []
    for number, call in enumerate(said.tool_calls or ()):
        name, written = (call.function.name, call.function.arguments) if call.function else (None, None)
        if not name:
            raise StreamBroken("a tool call has no name")
        try:
            arguments = msgspec.json.decode(written or "{}", type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            if not cut:
                raise StreamBroken("a tool call's arguments are no JSON object") from error
            arguments = {}
        blocks.append({"type": "tool_use", "id": call.id or f"call_{number}", "name": name, "input": arguments})
    return blocks


class MessageStream(MemberStream):
    """A member's chunks as message_start, content blocks one after the other, message_delta and message_stop."""

    def __init__(self, *, alias: str, public_id: str) -> None:
        super().__init__()
        self._alias = alias
        self._public_id = public_id
        self._begun = False
        self._blocks = 0  # begun so far
        self._open: int | str | None = None  # what the open block is: "text", or the member's index of a call
        self._calls: set[int] = set()
        self._finish_reason: str | None = None

    def last(self) -> bytes:
        delta = {"stop_reason": stop_reason(self._finish_reason), "stop_sequence": None}
        end = event({"type": "message_delta", "delta": delta, "usage": usage(self.tokens)}) + event({"type": "message_stop"})
        return b"".join([*self._begin(), *self._close(), end])

    def _chunk(self, chunk: dict[str, Any], data: bytes) -> bytes:
        try:
            answer = msgspec.convert(chunk, Answered)
        except msgspec.ValidationError as error:
            raise StreamBroken(f"a chunk does not fit: {error}") from error
        parts = self._begin()
        for choice in answer.choices:
            self._finish_reason = choice.finish_reason or self._finish_reason
            if choice.delta is None:
                continue
            if choice.delta.content:
                parts += self._switch("text", {"type": "text", "text": ""})
                parts.append(self._delta({"type": "text_delta", "text": choice.delta.content}))
            for call in choice.delta.tool_calls or ():
                parts += self._call(call)
        return b"".join(parts)

    def _call(self, call: Call) -> list[bytes]:
        function = call.function or Function()
        if self._open != call.index:
            if not function.name or call.index in self._calls:
                raise StreamBroken("tool calls are mixed, or one has no name")
            self._calls.add(call.index)
        block: dict[str, Any] = {"type": "tool_use", "id": call.id or f"call_{call.index}", "name": function.name, "input": {}}
        parts = self._switch(call.index, block)
        if function.arguments:
            parts.append(self._delta({"type": "input_json_delta", "partial_json": function.arguments}))
        return parts

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return [event({"type": "message_start", "message": message(self._public_id, self._alias, self.tokens)})]

    def _switch(self, kind: int | str, block: dict[str, Any]) -> list[bytes]:
        """Make `kind` the open block."""
        if self._open == kind:
            return []
        closed = self._close()
        self._open = kind
        self._blocks += 1
        return [*closed, event({"type": "content_block_start", "index": self._blocks - 1, "content_block": block})]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return event({"type": "content_block_delta", "index": self._blocks - 1, "delta": delta})

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [event({"type": "content_block_stop", "index": self._blocks - 1})]


def event(shown: dict[str, Any]) -> bytes:
    """One server-sent event, named by its type."""
    return f"event: {shown['type']}\n".encode() + b"data: " + msgspec.json.encode(shown) + b"\n\n"
