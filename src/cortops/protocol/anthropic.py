"""Anthropic's messages as a dialect: requests become chats, replies and errors become messages again.

Text and tools pass both ways. Images, documents and tools that run at the provider have no counterpart here and are refused. Source:
Anthropic API reference, Messages (version 2023-06-01).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from cortops.protocol.anthropic_stream import Answered, MessageStream, content_of, message, stop_reason
from cortops.protocol.dialect import Names
from cortops.protocol.openai import NOT_JSON, ApiError, ChatRequest, MemberStream, Reply, TokensMax, misfit, read_tokens

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Text(Struct, frozen=True, tag_field="type", tag="text"):
    """A part of a message, of the system prompt or of a tool's result."""

    text: str


class ToolUse(Struct, frozen=True, tag_field="type", tag="tool_use"):
    """A call that the model made in an earlier turn."""

    id: Name
    name: Name
    input: dict[str, Any]


class ToolResult(Struct, frozen=True, tag_field="type", tag="tool_result"):
    """What came of a call."""

    tool_use_id: Name
    content: str | list[Text] | None = None
    is_error: bool | None = None


class Thinking(Struct, frozen=True, tag_field="type", tag="thinking"):
    """Reasoning of an earlier turn, which no model here reads again: dropped."""


class RedactedThinking(Struct, frozen=True, tag_field="type", tag="redacted_thinking"):
    """As Thinking."""


class UserTurn(Struct, frozen=True, tag_field="role", tag="user"):
    """What the user says, and what became of calls."""

    content: str | list[Text | ToolResult]


class AssistantTurn(Struct, frozen=True, tag_field="role", tag="assistant"):
    """What the model said, and called."""

    content: str | list[Text | ToolUse | Thinking | RedactedThinking]


class Tool(Struct, frozen=True):
    """A tool that the client runs."""

    name: Name
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None


class Choice(Struct, frozen=True, tag_field="type"):
    """Whether a tool must be called."""

    disable_parallel_tool_use: bool | None = None


class AutoChoice(Choice, frozen=True, tag="auto"):
    """As the model likes."""


class AnyChoice(Choice, frozen=True, tag="any"):
    """One at least."""


class NoChoice(Choice, frozen=True, tag="none"):
    """None at all."""


class OneChoice(Choice, frozen=True, kw_only=True, tag="tool"):
    """This one."""

    name: Name


class Metadata(Struct, frozen=True):
    """What the client says of its own user."""

    user_id: str | None = None


class MessagesBody(Struct, frozen=True, kw_only=True):
    """POST /v1/messages. Unknown fields are left alone and not passed on."""

    model: Name
    max_tokens: TokensMax
    messages: Annotated[list[UserTurn | AssistantTurn], Meta(min_length=1)]
    system: str | list[Text] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    tools: list[Tool] | None = None
    tool_choice: AutoChoice | AnyChoice | NoChoice | OneChoice | None = None
    metadata: Metadata | None = None


_bodies = msgspec.json.Decoder(MessagesBody)
_answers = msgspec.json.Decoder(Answered)


class AnthropicMessages:
    """`POST /v1/messages`."""

    route = "/v1/messages"
    family = "completion"
    member_route = "/api/v1/chat/completions"

    def credential(self, headers: Mapping[str, str]) -> str:
        """A bearer's token, else `x-api-key`."""
        given = headers.get("authorization", "")
        key = headers.get("x-api-key", "")
        return f"Bearer {key}" if key and not given else given

    def head(self, shown_id: str) -> str:
        """The name by which Anthropic's clients look for the request id."""
        return f"Request-ID: {shown_id}\r\n"

    def read(self, body: bytes) -> ChatRequest | ApiError:
        return read_messages(body)

    def reply(self, body: bytes, names: Names) -> Reply | None:
        return write_message(body, alias=names.model, public_id=f"msg_{names.id}")

    def stream(self, ask: ChatRequest, names: Names) -> MemberStream:
        return MessageStream(alias=ask.model, public_id=f"msg_{names.id}")

    def error(self, error: ApiError, names: Names) -> bytes:
        """Anthropic's shape, with our code in it."""
        shown: dict[str, Any] = {
            "type": ERROR_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error"),
            "message": error.message,
            "code": error.code,
            "param": error.param,
        }
        if error.retry_after_s is not None:
            shown["retry_after_s"] = error.retry_after_s
        return msgspec.json.encode({"type": "error", "error": shown, "request_id": names.shown_id})

    def error_event(self, error: ApiError, names: Names) -> bytes:
        return b"event: error\ndata: " + self.error(error, names) + b"\n\n"


def read_messages(body: bytes) -> ChatRequest | ApiError:
    """The body of POST /v1/messages as a chat, or why it is none."""
    try:
        asked = _bodies.decode(body)
        chat: dict[str, Any] = {"model": asked.model, "messages": list(_chat_messages(asked)), "max_tokens": asked.max_tokens}
        chat |= {name: value for name in ("temperature", "top_p", "top_k") if (value := getattr(asked, name)) is not None}
        if asked.stop_sequences:
            chat["stop"] = asked.stop_sequences
        if asked.metadata is not None and asked.metadata.user_id:
            chat["user"] = asked.metadata.user_id
        if asked.tools:
            chat |= _chat_tools(asked.tools, asked.tool_choice)
        if asked.stream:
            chat |= {"stream": True, "stream_options": {"include_usage": True}}
        return ChatRequest(
            model=asked.model,
            stream=asked.stream is True,
            wants_usage=True,
            body=msgspec.json.encode(chat),
            tokens_max=asked.max_tokens,
        )
    except msgspec.ValidationError as error:
        return misfit(error)
    except (ValueError, RecursionError):
        return NOT_JSON


def _chat_messages(asked: MessagesBody) -> Iterator[dict[str, Any]]:
    if asked.system:
        yield {"role": "system", "content": _text(asked.system)}
    for turn in asked.messages:
        if isinstance(turn, AssistantTurn):
            yield {"role": "assistant", "content": turn.content} if isinstance(turn.content, str) else _assistant(turn.content)
        elif isinstance(turn.content, str):
            yield {"role": "user", "content": turn.content}
        else:
            yield from _user(turn.content)


def _assistant(blocks: Sequence[Text | ToolUse | Thinking | RedactedThinking]) -> dict[str, Any]:
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": msgspec.json.encode(block.input).decode()}}
        for block in blocks
        if isinstance(block, ToolUse)
    ]
    text = _text([block for block in blocks if isinstance(block, Text)])
    return {"role": "assistant", "content": text or None, "tool_calls": calls} if calls else {"role": "assistant", "content": text}


def _user(blocks: Sequence[Text | ToolResult]) -> Iterator[dict[str, Any]]:
    """A message a result, as chats have it, then the text."""
    results = [block for block in blocks if isinstance(block, ToolResult)]
    for result in results:
        text = _text(result.content or "")
        yield {"role": "tool", "tool_call_id": result.tool_use_id, "content": f"Error: {text}" if result.is_error else text}
    texts = [block for block in blocks if isinstance(block, Text)]
    if texts or not results:
        yield {"role": "user", "content": _text(texts)}


def _text(content: str | list[Text]) -> str:
    """Blocks as one text, a line each: what chat templates make of them too."""
    return content if isinstance(content, str) else "\n".join([block.text for block in content])


def _chat_tools(tools: list[Tool], choice: Choice | None) -> dict[str, Any]:
    shown = []
    for tool in tools:
        function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
        shown.append({"type": "function", "function": function | ({"description": tool.description} if tool.description else {})})
    chat: dict[str, Any] = {"tools": shown}
    match choice:
        case AutoChoice():
            chat["tool_choice"] = "auto"
        case AnyChoice():
            chat["tool_choice"] = "required"
        case NoChoice():
            chat["tool_choice"] = "none"
        case OneChoice(name=name):
            chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    if choice is not None and choice.disable_parallel_tool_use:
        chat["parallel_tool_calls"] = False
    return chat


def write_message(body: bytes, *, alias: str, public_id: str) -> Reply | None:
    """A member's chat.completion as a message; None if it is no reply. Raises StreamBroken for a tool call that is no JSON object."""
    try:
        answer = _answers.decode(body)
    except (ValueError, RecursionError):
        return None
    choice = next((choice for choice in answer.choices if choice.message is not None), None)
    if choice is None or choice.message is None:
        return None
    tokens = read_tokens(answer.usage)
    shown = message(public_id, alias, tokens)
    shown["content"] = content_of(choice.message, cut=choice.finish_reason == "length")
    shown["stop_reason"] = stop_reason(choice.finish_reason)
    return Reply(body=msgspec.json.encode(shown), tokens=tokens)
