"""The public gateway's own completions as a dialect: a prompt in, an envelope out. Source: facts B.

What an envelope's `data` holds is not public and ours: the router's public completion (facts A.4), so that who reads a router's answer
reads this one, under the gateway's id and the alias, without the task's number: sessions and tasks are the gateway's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from cortops.protocol.chat import PROMPT_RAW
from cortops.protocol.dialect import Names
from cortops.protocol.openai import NOT_JSON, ApiError, ChatRequest, MemberStream, Reply, TokensMax, misfit, read_tokens


class CompletionBody(Struct, frozen=True, kw_only=True):
    """POST /v1/completions. Unknown fields are left alone and not passed on."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    prompt: Annotated[str, Meta(min_length=1)]
    max_tokens: TokensMax | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool | None = None


class EnvelopeError(Struct, frozen=True, kw_only=True):
    """What went wrong, with our code; `details` has OpenAI's type and param, and when to come again."""

    code: str
    message: str
    details: dict[str, Any]


class Envelope(Struct, frozen=True, kw_only=True):
    """Every answer of this route. `model` and `router_pool` are "" while unknown, `data` is empty beside an error."""

    request_id: str
    status: str  # ok or failed
    model: str
    router_pool: str
    data: Any
    error: EnvelopeError | None


_bodies = msgspec.json.Decoder(CompletionBody)


class NativeCompletions:
    """`POST /v1/completions`."""

    route = "/v1/completions"
    family = "completion"
    member_route = "/api/v1/completions"

    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "")

    def head(self, shown_id: str) -> str:
        return ""

    def read(self, body: bytes) -> ChatRequest | ApiError:
        return read_completion(body)

    def reply(self, body: bytes, names: Names) -> Reply | None:
        """The member's completion in its envelope."""
        try:
            found = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or not isinstance(found.get("choices"), list):
            return None
        return Reply(body=msgspec.json.encode(_good(_named(found, names), names)), tokens=read_tokens(found.get("usage")))

    def stream(self, ask: ChatRequest, names: Names) -> MemberStream:
        return EnvelopeStream(names)

    def error(self, error: ApiError, names: Names) -> bytes:
        """The envelope of a failure, under the error's HTTP status."""
        details: dict[str, Any] = {"type": error.type, "param": error.param}
        if error.retry_after_s is not None:
            details["retry_after_s"] = error.retry_after_s
        return msgspec.json.encode(
            Envelope(
                request_id=names.shown_id,
                status="failed",
                model=names.model,
                router_pool=names.pool,
                data={},
                error=EnvelopeError(code=error.code, message=error.message, details=details),
            )
        )

    def error_event(self, error: ApiError, names: Names) -> bytes:
        return b"data: " + self.error(error, names) + b"\n\n"


class EnvelopeStream(MemberStream):
    """Each of the member's chunks in an envelope of its own; the last one before [DONE] has finish reason and usage."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def _chunk(self, chunk: dict[str, Any], data: bytes) -> bytes:
        return b"data: " + msgspec.json.encode(_good(_named(chunk, self._names), self._names)) + b"\n\n"


def read_completion(body: bytes) -> ChatRequest | ApiError:
    """The body of POST /v1/completions as the router's completions route reads it, or why it is none."""
    try:
        asked = _bodies.decode(body)
        sent: dict[str, Any] = {"prompt": asked.prompt, "prompt_type": PROMPT_RAW, "stream": asked.stream is True}
        sent |= {name: value for name in ("max_tokens", "temperature", "top_p") if (value := getattr(asked, name)) is not None}
        return ChatRequest(
            model=asked.model,
            stream=asked.stream is True,
            wants_usage=True,
            body=msgspec.json.encode(sent),
            tokens_max=asked.max_tokens or 0,
        )
    except msgspec.ValidationError as error:
        return misfit(error)
    except (ValueError, RecursionError):
        return NOT_JSON


def _good(data: dict[str, Any], names: Names) -> Envelope:
    return Envelope(request_id=names.shown_id, status="ok", model=names.model, router_pool=names.pool, data=data, error=None)


def _named(found: dict[str, Any], names: Names) -> dict[str, Any]:
    kept = {name: value for name, value in found.items() if name != "task_id"}
    return kept | {"id": f"cmpl-{names.id}", "model": names.model}
