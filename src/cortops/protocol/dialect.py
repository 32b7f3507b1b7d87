"""How clients speak to the gateway: what is a dialect, and OpenAI's chat as the first of them.

A dialect reads a body into the one ChatRequest that the request machine knows, and writes what becomes of it: the whole reply, the
stream, the errors. Keys, pools, retries and usage are the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from cortops.protocol.openai import ApiError, ChatRequest, MemberStream, Reply, StreamRewriter, read_chat, rewrite_reply


class Names(Struct, frozen=True, kw_only=True):
    """What an answer calls things: `id` is the gateway's own of the request, `shown_id` what X-Request-ID says, `model` the alias
    that was asked for, `pool` where it is served; the last two are empty while unknown.
    """

    id: str
    shown_id: str
    model: str = ""
    pool: str = ""


class Dialect(Protocol):
    """One route's way of speaking. It keeps nothing between calls."""

    route: str  # of clients, exactly
    family: str  # the route family that a key must allow
    member_route: str  # of the router; the session's number follows

    def credential(self, headers: Mapping[str, str]) -> str:
        """The Authorization header's value, or what this dialect takes for it; "" for none. Names are in lower case."""

    def head(self, shown_id: str) -> str:
        """Header lines beside X-Request-ID, each ended by CR LF."""

    def read(self, body: bytes) -> ChatRequest | ApiError:
        """A client's body, or why it is none."""

    def reply(self, body: bytes, names: Names) -> Reply | None:
        """A member's whole answer as the client knows it; None if it is no reply. Raises StreamBroken for one that cannot be told."""

    def stream(self, ask: ChatRequest, names: Names) -> MemberStream:
        """What turns the member's stream into the client's."""

    def error(self, error: ApiError, names: Names) -> bytes:
        """An error as the whole body."""

    def error_event(self, error: ApiError, names: Names) -> bytes:
        """An error at the end of a stream that has begun."""


class OpenAiChat:
    """`POST /v1/chat/completions`: what the members speak too."""

    route = "/v1/chat/completions"
    family = "completion"
    member_route = "/api/v1/chat/completions"

    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "")

    def head(self, shown_id: str) -> str:
        return ""

    def read(self, body: bytes) -> ChatRequest | ApiError:
        return read_chat(body)

    def reply(self, body: bytes, names: Names) -> Reply | None:
        return rewrite_reply(body, alias=names.model, public_id=f"chatcmpl-{names.id}")

    def stream(self, ask: ChatRequest, names: Names) -> MemberStream:
        return StreamRewriter(alias=ask.model, public_id=f"chatcmpl-{names.id}", wants_usage=ask.wants_usage)

    def error(self, error: ApiError, names: Names) -> bytes:
        return error.body(names.shown_id)

    def error_event(self, error: ApiError, names: Names) -> bytes:
        return error.event(names.shown_id)
