"""The router's OpenAPI document: its request schemas are those of the values that it really reads. Replies are ours (facts J.5)."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from cortops import __version__
from cortops.protocol.families import CreateBody, DelegateBody, FactcheckBody, V1Body, ValidateBody
from cortops.protocol.routes import REQUEST_ID_HEADER, TIMEOUT_HEADER, ErrorBody, NativeBody

REFERENCE = "#/components/schemas/{name}"


class RouterError(Struct, frozen=True, kw_only=True):
    """The one error shape; `code` stands on the page of error codes."""

    error: ErrorBody


# Path, operation, what it does, its body; `{sid}` forms take the same body.
_ASKS: tuple[tuple[str, str, str, type[Struct]], ...] = (
    *((f"/api/v{at}/completions", f"completions_v{at}", "Continue a prompt", NativeBody) for at in (1, 2, 3)),
    *((f"/api/v{at}/completions/{{sid}}", f"completions_v{at}_in_session", "Continue a prompt", NativeBody) for at in (1, 2, 3)),
    ("/api/v1/delegate", "delegate_v1", "Have a task done", V1Body),
    ("/api/v2/delegate", "delegate_v2", "Have a task done", DelegateBody),
    ("/api/v3/delegate", "delegate_v3", "Have a task done by several sessions", DelegateBody),
    ("/api/v1/validate", "validate_v1", "Have a result judged", V1Body),
    ("/api/v2/validate", "validate_v2", "Have a result judged", ValidateBody),
    ("/api/v3/validate", "validate_v3", "Have a result judged by several sessions", ValidateBody),
    ("/api/v1/factcheck", "factcheck", "Have a claim checked", FactcheckBody),
    ("/api/v1/fact-check", "fact_check", "The same as factcheck", FactcheckBody),
    ("/api/v1/create", "create", "Make a session, paid by the router's wallet", CreateBody),
)
_READS: tuple[tuple[str, str, bool], ...] = (  # path, what it shows, open to everyone
    ("/api/v1/ping", "That it is there", True),
    ("/api/v1/status", "How the router is", True),
    ("/api/v1/about", "Its public card", True),
    ("/api/v1/info", "What it is and serves", False),
    ("/api/v1/miners", "Miners that are linked to it", False),
    ("/api/v1/sessions", "The sessions that it serves", False),
    ("/api/v1/sessions/{sid}", "One session", False),
    ("/api/v1/tasks/{sid}", "The newest tasks of a session; `before` goes back", False),
    ("/api/v1/tasks/{sid}/{tid}", "One task with its results", False),
)
_BODIES: tuple[type[Struct], ...] = (NativeBody, V1Body, DelegateBody, ValidateBody, FactcheckBody, CreateBody, RouterError)


@cache
def document() -> bytes:
    """The document as JSON."""
    return msgspec.json.format(msgspec.json.encode(build()), indent=1) + b"\n"


def build() -> dict[str, Any]:
    """The document. Source: OpenAPI Specification 3.1.0."""
    _, schemas = msgspec.json.schema_components(_BODIES, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cortops router",
            "version": __version__,
            "description": "Tasks through sessions of a Cortensor network. Trial, x402, MCP and A2A have their own pages.",
        },
        "security": [{"bearer": []}],
        "paths": {path: {"post": _ask(name, words, body, path)} for path, name, words, body in _ASKS}
        | {path: {"get": _read(path, words, is_open)} for path, words, is_open in _READS},
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _ask(name: str, words: str, body: type[Struct], path: str) -> dict[str, Any]:
    headers = [{"name": header, "in": "header", "schema": {"type": "string"}} for header in (REQUEST_ID_HEADER, TIMEOUT_HEADER)]
    schema = {"$ref": REFERENCE.format(name=body.__name__)}
    return {
        "operationId": name,
        "summary": words,
        "parameters": [*_ids(path), *headers],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _responses(),
    }


def _read(path: str, words: str, is_open: bool) -> dict[str, Any]:
    before = [{"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 1}}] if path.endswith("tasks/{sid}") else []
    name = path.removeprefix("/api/v1/").replace("/{sid}", "_of_session").replace("/{tid}", "_one")
    found = {"operationId": name, "summary": words, "parameters": [*_ids(path), *before], "responses": _responses()}
    return found | {"security": []} if is_open else found


def _ids(path: str) -> list[dict[str, Any]]:
    """The ids in a path."""
    schema = {"type": "integer", "minimum": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in ("sid", "tid") if f"{{{name}}}" in path]


def _responses() -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": REFERENCE.format(name=RouterError.__name__)}}}
    answer = {"application/json": {"schema": {"type": "object"}}}
    return {"200": {"description": "The answer", "content": answer}, "default": {"description": "An error", "content": error}}
