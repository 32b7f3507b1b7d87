"""The gateway's OpenAPI document: shaped by hand, its schemas those of the values that the gateway really reads and writes."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from cortops import __version__
from cortops.protocol.anthropic import MessagesBody
from cortops.protocol.native import CompletionBody, Envelope
from cortops.protocol.openai import ChatBody
from cortops.protocol.routes import TIMEOUT_HEADER

REFERENCE = "#/components/schemas/{name}"


class ErrorDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `code` is ours and stands on the page of error codes; come again after `retry_after_s`."""

    message: str
    type: str
    code: str
    param: str | None
    retry_after_s: int = 0


class Error(Struct, frozen=True, kw_only=True):
    """The one error shape; `request_id` as in X-Request-ID."""

    error: ErrorDetail
    request_id: str


class MessagesError(Struct, frozen=True, kw_only=True):
    """The same as Anthropic's clients read it."""

    type: Literal["error"]
    error: ErrorDetail
    request_id: str


class Model(Struct, frozen=True, kw_only=True):
    """An alias that this key may use."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Struct, frozen=True, kw_only=True):
    """Aliases that this key may use; that one is listed does not say that a member is free."""

    object: Literal["list"]
    data: list[Model]


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """OpenAI's chat.completion; choices and usage are the member's."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]


class MessageReply(Struct, frozen=True, kw_only=True):
    """Anthropic's message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: dict[str, int]


class HealthPage(Struct, frozen=True, kw_only=True):
    """How the gateway and its pools are; `why` lists what speaks against it."""

    name: str
    status: Literal["ok", "degraded"]
    why: list[str] = []
    own: list[str]
    pools: dict[str, Any]


SHAPES = (
    ChatBody,
    MessagesBody,
    CompletionBody,
    Error,
    MessagesError,
    Model,
    ModelList,
    ChatCompletion,
    MessageReply,
    Envelope,
    HealthPage,
)
# Of a stream each event is held to the schema.
EVENT = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}, "required": ["data"]}
STATUSES = {
    "400": "The request is not as it should be",
    "401": "No valid key",
    "403": "The key may not do this",
    "404": "No such model or path",
    "405": "The path knows other methods",
    "408": "The request did not arrive in time",
    "413": "The body is too large",
    "422": "The member cannot take this",
    "429": "A limit is reached, or all members are busy",
    "431": "The request's head is too large",
    "502": "The member failed",
    "503": "Nobody can serve now",
    "504": "The member did not answer in time",
}


@cache
def document() -> bytes:
    """The document as JSON."""
    return msgspec.json.format(msgspec.json.encode(build()), indent=1) + b"\n"


def build() -> dict[str, Any]:
    """The document. Source: OpenAPI Specification 3.1.0."""
    _, schemas = msgspec.json.schema_components(SHAPES, ref_template=REFERENCE)
    schemas["ChatBody"]["properties"]["n"] = {"enum": [1, None], "description": "a task has one answer"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cortops gateway",
            "version": __version__,
            "description": "Models of a Cortensor environment. Every answer has X-Request-ID, every error a code of ours.",
        },
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "headers": {
                "X-Request-ID": {
                    "description": "the client's own if it sent one, else ours",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
                },
            },
            "parameters": {
                "X-Request-ID": {
                    "name": "X-Request-ID",
                    "in": "header",
                    "description": "shown in the answer and kept in the usage row, if it is 1 to 64 letters, digits and ._:-",
                    "schema": {"type": "string"},
                },
                TIMEOUT_HEADER: {
                    "name": TIMEOUT_HEADER,
                    "in": "header",
                    "description": "seconds that the client waits, as 30 or 2.5; the gateway gives up then, no later than its own limit",
                    "schema": {"type": "string"},
                },
            },
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {"post": _answer("chat", "Ask a model, in OpenAI's way", "ChatBody", "ChatCompletion", "Error")},
        "/v1/messages": {
            "post": _answer("messages", "Ask a model, in Anthropic's way", "MessagesBody", "MessageReply", "MessagesError")
            | {"security": [{"bearer": []}, {"x-api-key": []}]}
        },
        "/v1/completions": {"post": _answer("completions", "Continue a prompt, in an envelope", "CompletionBody", "Envelope", "Envelope")},
        "/v1/models": {"get": _page("models", "The models of this key", "ModelList", ("401", "503"))},
        "/v1/models/{model}": {
            "get": _page("model", "One model", "Model", ("401", "404", "503")),
            "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}],
        },
        "/health": {"get": _page("health", "How the gateway is", "HealthPage", (), {"503": _json("It is not well", "HealthPage")})},
        "/metrics": {"get": _page("metrics", "Figures for Prometheus", "", (), {})},
        "/openapi.json": {"get": _page("openapi", "This document", "", (), {})},
    }


def _answer(name: str, summary: str, body: str, reply: str, error: str) -> dict[str, Any]:
    """A route for models: JSON, or a stream of events where the body asks for one."""
    content = {**_json("", reply)["content"], "text/event-stream": {"schema": EVENT}}
    statuses = {status: _json(words, error) for status, words in STATUSES.items()}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in ("X-Request-ID", TIMEOUT_HEADER)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": REFERENCE.format(name=body)}}}},
        "responses": {"200": {**_json("The answer", reply), "content": content}, **statuses},
    }


def _page(name: str, summary: str, reply: str, statuses: tuple[str, ...], more: dict[str, Any] | None = None) -> dict[str, Any]:
    """A page to read; with `more` responses it is open to everyone."""
    page: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "parameters": [{"$ref": "#/components/parameters/X-Request-ID"}],
        "responses": {
            "200": _json("The page", reply),
            **{status: _json(STATUSES[status], "Error") for status in (*statuses, "400", "405", "431")},
            **(more or {}),
        },
    }
    return page if more is None else page | {"security": []}


def _json(description: str, name: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REFERENCE.format(name=name)}}} if name else {}
    return {
        "description": description,
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        **({"content": content} if content else {}),
    }
