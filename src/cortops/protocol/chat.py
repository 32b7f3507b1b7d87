"""A task's text on chain, and the fold of an engine's chunks into the one text that is committed.

The public network knows prompt types 0 (guided) and 1 (raw); 2 (chat) is ours (facts J), so that messages and tools survive the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from cortops.words.errors import BadInput

PROMPT_GUIDED = 0
PROMPT_RAW = 1
PROMPT_CHAT = 2
TASK_TEXT_BYTES_MAX = 32_768  # the bound of taskData in our contracts
REPLY_TEXT_BYTES_MAX = 32_768  # the bound of the committed data
NOT_IN_TASK = frozenset({"model", "stream", "stream_options", "user"})
TEMPLATE_SLOT = "{prompt}"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts as the engine gave them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a miner notes beside its precommit, as JSON: numbers that must not depend on a websocket. Ours."""

    finish_reason: str = "stop"
    usage: Usage | None = None

    def as_text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str) -> Note | None:
        """None for anything that is no note of ours."""
        try:
            return msgspec.json.decode(text, type=Note)
        except msgspec.DecodeError:
            return None


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a tool call's function."""

    name: str | None = None
    arguments: str | None = None


class ToolDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of one tool call."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one chunk adds to the assistant's message."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolDelta, ...] = ()


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`delta` in the chat form, `text` in the completions form."""

    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class EngineChunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One chunk of an OpenAI-compatible stream, unknown fields dropped; `error` is how engines report a failure inside a stream."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: msgspec.Raw | None = None

    @property
    def delta(self) -> Delta:
        """What choice 0 adds, empty when this chunk adds nothing; the completions form counts as content."""
        for choice in self.choices:
            if choice.index == 0:
                return choice.delta or Delta(content=choice.text)
        return Delta()

    @property
    def finish_reason(self) -> str | None:
        return next((choice.finish_reason for choice in self.choices if choice.index == 0), None)


def task_text(body: Mapping[str, Any]) -> str:
    """An OpenAI chat-completions body -> the task's text: compact JSON without what only the client's side needs."""
    return msgspec.json.encode({key: value for key, value in body.items() if key not in NOT_IN_TASK}).decode()


def body_of(text: str) -> dict[str, Any]:
    """The inverse of `task_text`; BadInput when the text is not a chat body."""
    try:
        body = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadInput(f"the task's text is not a chat body: {error}") from error
    if not isinstance(body.get("messages"), list):
        raise BadInput("the task's text has no messages")
    return body


def prompt_of(prompt_type: int, text: str, template: str) -> str:
    """The prompt given to the engine for types 0 and 1.

    Guided: the template with `{prompt}` replaced, or template, line break and prompt when it has no such place. Raw: the text as it is.
    """
    if prompt_type == PROMPT_RAW or not template:
        return text
    return template.replace(TEMPLATE_SLOT, text) if TEMPLATE_SLOT in template else f"{template}\n{text}"


def message_of(text: str, *, with_tools: bool) -> dict[str, Any]:
    """A committed text -> the assistant's message. Only a task that offered tools can have a message with tool calls."""
    if with_tools and text.startswith("{"):
        try:
            found = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            found = {}
        if found.get("role") == "assistant" and found.get("tool_calls"):
            return found
    return {"role": "assistant", "content": text}


@dataclass(frozen=True, slots=True)
class _ToolCall:
    id: str = ""
    type: str = "function"
    name: str = ""
    arguments: str = ""

    def add(self, delta: ToolDelta) -> _ToolCall:
        function = delta.function or FunctionDelta()
        return _ToolCall(
            id=self.id or (delta.id or ""),
            type=delta.type or self.type,
            name=self.name + (function.name or ""),
            arguments=self.arguments + (function.arguments or ""),
        )

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "type": self.type, "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The message so far; fold chunks with `add`."""

    content: str = ""
    calls: Mapping[int, _ToolCall] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: Usage | None = None

    def add(self, chunk: EngineChunk) -> Assembly:
        delta = chunk.delta
        calls = self.calls
        if delta.tool_calls:
            calls = dict(calls)
            for part in delta.tool_calls:
                calls[part.index] = calls.get(part.index, _ToolCall()).add(part)
        return replace(
            self,
            content=self.content + (delta.content or ""),
            calls=calls,
            finish_reason=chunk.finish_reason or self.finish_reason,
            usage=chunk.usage or self.usage,
        )

    def cut(self) -> Assembly:
        """This reply, ended because no more of it fits."""
        return replace(self, finish_reason="length")

    @property
    def text(self) -> str:
        """What is committed: the content, or with tool calls the compact JSON of the message."""
        if not self.calls:
            return self.content
        calls = [self.calls[index].as_dict() for index in sorted(self.calls)]
        return msgspec.json.encode({"role": "assistant", "content": self.content or None, "tool_calls": calls}).decode()

    def rest(self, committed: str, *, with_tools: bool) -> Delta | None:
        """What of the committed text is not in this assembly yet; an empty delta when all is, None when the two contradict."""
        if self.text == committed:
            return Delta()
        message = message_of(committed, with_tools=with_tools)
        calls: list[dict[str, Any]] = message.get("tool_calls") or []
        if calls:
            return None if self.content or self.calls else _whole(message, calls)
        if self.calls or not committed.startswith(self.content):
            return None
        return Delta(content=committed[len(self.content) :])


def _whole(message: Mapping[str, Any], calls: list[dict[str, Any]]) -> Delta:
    deltas = [{"index": index, **call} for index, call in enumerate(calls)]
    return msgspec.convert({"content": message.get("content"), "tool_calls": deltas}, Delta)
