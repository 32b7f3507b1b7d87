"""Bodies of the router's routes: the public native form (facts A.4, A.5) and the OpenAI chat form that our gateway asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from cortops.protocol.chat import PROMPT_CHAT, PROMPT_GUIDED, PROMPT_RAW, TASK_TEXT_BYTES_MAX, Usage, message_of, task_text
from cortops.words.errors import BadInput

REQUEST_ID_HEADER = "X-Request-ID"
TASK_HEADER = "X-Cortensor-Task"
TIMEOUT_HEADER = "X-Request-Timeout"  # seconds that are left for the answer; ours
TIMEOUT_CHARS_MAX = 16
REFERENCE_CHARS_MAX = 128
TEMPLATE_BYTES_MAX = 8_192
PUBLIC_DEVELOPMENT_KEY = "default-dev-token"  # documented for everyone (facts A.2), so never a key
SSE_DONE = b"data: [DONE]\n\n"

T = TypeVar("T")

Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=3_600)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class NativeBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/v1/completions[/{sid}]. Unknown keys are left alone. Source: facts A.4."""

    prompt: str
    session_id: int | None = None
    prompt_type: int = PROMPT_RAW
    prompt_template: str = ""
    stream: bool = False
    timeout: Seconds | None = None
    precommit_timeout: Seconds | None = None
    client_reference: str = ""
    max_tokens: Tokens = 1024
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.7
    top_p: Fraction = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 40
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's stream_options."""

    include_usage: bool = False


class ChatBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the router itself reads of a chat-completions body; the rest goes to the engine as it is."""

    messages: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Fraction | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is submitted on chain, whatever route asked for it."""

    session: int
    prompt_type: int
    text: str
    template: str
    llm_params: tuple[int, ...]
    request_params: tuple[int, ...]
    reference: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The one error shape of every route, inside {"error": ...}. Source: OpenAI API reference, errors."""

    message: str
    type: str
    code: str
    param: str | None = None


def read_timeout(header: str) -> float | None:
    """TIMEOUT_HEADER's value in seconds; None where it is absent or no number that could be meant."""
    whole, dot, part = header.strip().partition(".")
    if len(header) > TIMEOUT_CHARS_MAX or not (whole.isascii() and whole.isdigit()) or (dot and not (part.isascii() and part.isdigit())):
        return None
    return float(header)


def error_json(error: ErrorBody) -> bytes:
    return msgspec.json.encode({"error": error})


def read_native(body: bytes) -> NativeBody:
    """Raises BadInput with the key and what is wrong with it."""
    return _read(body, NativeBody)


def native_of(body: Mapping[str, Any]) -> NativeBody:
    """As `read_native`, of a body that was read already."""
    try:
        return msgspec.convert(body, NativeBody)
    except msgspec.ValidationError as error:
        raise BadInput(str(error)) from error


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object, whatever its keys. Raises BadInput."""
    return _read(body, dict[str, Any])


def read_chat(body: bytes) -> tuple[ChatBody, dict[str, Any]]:
    """The typed part and the whole body. Raises BadInput with the key and what is wrong with it."""
    chat = _read(body, ChatBody)
    if chat.n not in (None, 1):
        raise BadInput("n must be 1: one task commits one reply - at `$.n`")
    return chat, msgspec.json.decode(body, type=dict[str, Any])


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(str(error)) from error


def native_task(body: NativeBody, session: int, reference: str, precommit_timeout_s: int) -> TaskRequest:
    """NativeBody -> what is submitted. BadInput for a prompt type that is not 0 or 1."""
    if body.prompt_type not in (PROMPT_GUIDED, PROMPT_RAW):
        raise BadInput("prompt_type is 0 (guided) or 1 (raw) - at `$.prompt_type`")
    return TaskRequest(
        session=session,
        prompt_type=body.prompt_type,
        text=body.prompt,
        template=body.prompt_template,
        llm_params=llm_params(
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
        ),
        request_params=(body.precommit_timeout or precommit_timeout_s, 0, 0, 0, 0, 0),
        reference=reference,
    )


def chat_task(chat: ChatBody, body: Mapping[str, Any], session: int, reference: str, precommit_timeout_s: int) -> TaskRequest:
    """A chat body -> what is submitted. The engine obeys the task's text; llm_params only repeat its numbers for readers of the chain."""
    return TaskRequest(
        session=session,
        prompt_type=PROMPT_CHAT,
        text=task_text(body),
        template="",
        llm_params=llm_params(
            max_tokens=chat.max_completion_tokens or chat.max_tokens or 1024,
            temperature=1.0 if chat.temperature is None else chat.temperature,
            top_p=1.0 if chat.top_p is None else chat.top_p,
            top_k=0,
            presence_penalty=chat.presence_penalty or 0.0,
            frequency_penalty=chat.frequency_penalty or 0.0,
        ),
        request_params=(precommit_timeout_s, 0, 0, 0, 0, 0),
        reference=reference,
    )


def family_task(body: Mapping[str, Any], session: int, reference: str, precommit_timeout_s: int) -> TaskRequest:
    """A chat body of our own making -> what is submitted."""
    return chat_task(msgspec.convert(body, ChatBody), body, session, reference, precommit_timeout_s)


def over_bound(task: TaskRequest) -> str:
    """Why this task cannot be put on chain, empty when it can."""
    size = len(task.text.encode())
    if size > TASK_TEXT_BYTES_MAX:
        return f"the prompt has {size} bytes as a task, the chain takes {TASK_TEXT_BYTES_MAX}"
    if len(task.template.encode()) > TEMPLATE_BYTES_MAX:
        return f"the prompt template has {len(task.template.encode())} bytes, the chain takes {TEMPLATE_BYTES_MAX}"
    return ""


def llm_params(
    *, max_tokens: int, temperature: float, top_p: float, top_k: int, presence_penalty: float, frequency_penalty: float
) -> tuple[int, ...]:
    """The seven numbers on chain: max tokens, temperature x100, top_p x100, top_k, unknown (100), presence x100, frequency x100.

    The chain's words are unsigned, so a negative penalty is written as two's complement of 32 bits (ours). Source: facts C.2.
    """
    return (
        max_tokens,
        round(temperature * 100),
        round(top_p * 100),
        top_k,
        100,
        round(presence_penalty * 100) % 2**32,
        round(frequency_penalty * 100) % 2**32,
    )


def sampling_of(params: tuple[int, ...]) -> dict[str, int | float]:
    """llmParams on chain -> keys of an engine's completions body; missing numbers are left to the engine."""
    found: dict[str, int | float] = {}
    names = ("max_tokens", "temperature", "top_p", "top_k", "", "presence_penalty", "frequency_penalty")
    for name, value in zip(names, params, strict=False):
        signed = value - 2**32 if value >= 2**31 else value
        if name in ("max_tokens", "top_k"):
            if signed > 0:
                found[name] = signed
        elif name:
            found[name] = signed / 100
    return found


def sse(value: object) -> bytes:
    """A JSON value as one server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def chat_reply(
    *, id: str, created: int, model: str, text: str, with_tools: bool, finish_reason: str, usage: Usage | None
) -> dict[str, Any]:
    """An OpenAI chat.completion object."""
    message = message_of(text, with_tools=with_tools)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {"id": id, "object": "chat.completion", "created": created, "model": model, "choices": [choice], "usage": usage or Usage()}


def chat_event(*, id: str, created: int, model: str, delta: object, finish_reason: str | None = None) -> dict[str, Any]:
    """An OpenAI chat.completion.chunk object."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {"id": id, "object": "chat.completion.chunk", "created": created, "model": model, "choices": [choice]}


def usage_event(*, id: str, created: int, model: str, usage: Usage | None) -> dict[str, Any]:
    """The chunk without choices that carries the usage; last before [DONE]."""
    return {"id": id, "object": "chat.completion.chunk", "created": created, "model": model, "choices": [], "usage": usage or Usage()}


def native_reply(
    *, id: str, created: int, model: str, task: int, text: str, finish_reason: str | None, usage: Usage | None
) -> dict[str, Any]:
    """The public reply, and with `finish_reason` None one event of its stream (facts A.4)."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": id, "object": "text_completion", "created": created, "model": model, "task_id": task,
        "choices": [choice], "usage": usage,
    }  # fmt: skip
