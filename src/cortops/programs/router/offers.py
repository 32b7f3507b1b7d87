"""What the router offers, whatever the door: REST, trial, x402, MCP and A2A make an `Asked` and get an `Answered`. Pure values.

A door decides who may ask (key, window, payment) and which session a call is bound to; it never reads a body of a family and never
reaches the desk. The one who answers reads the body, asks miners and judges; errors of every kind are an `Answered` as well.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

NO_HEADERS: Mapping[str, str] = {}


class Family(StrEnum):
    """Route families (facts A.3). The first four run tasks, the others only read."""

    COMPLETIONS = "completions"
    DELEGATE = "delegate"
    VALIDATE = "validate"
    FACTCHECK = "factcheck"
    CREATE = "create"
    TASKS = "tasks"  # body {"session_id", "task_id"?, "before"?}
    SESSIONS = "sessions"  # body {"session_id"?}
    MINERS = "miners"
    STATUS = "status"
    INFO = "info"
    ABOUT = "about"
    PING = "ping"


VERSIONS: Mapping[Family, tuple[int, ...]] = {
    Family.COMPLETIONS: (1, 2, 3),
    Family.DELEGATE: (1, 2, 3),
    Family.VALIDATE: (1, 2, 3),
    **{family: (1,) for family in Family if family not in ("completions", "delegate", "validate")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call.

    session: what the door binds the call to; it wins over the body's `session_id`. None = the body's, or the one declared for the family.
    body: the JSON object as it came, not read by the door.
    reference: the client's id of the call, "" = a new one; asked again with the same one, the same tasks are found, none is paid twice.
    timeout_s: how long the one who asks waits, seconds; None = as long as the router allows.
    stream: only completions; the body's own `stream` counts as well where `streams` is True.
    """

    family: Family
    version: int = 1
    session: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    timeout_s: float | None = None
    stream: bool = False
    streams: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What goes back: a JSON object with its HTTP status, or the events of a stream.

    body: with status >= 400 it is `{"error": {message, type, code, param}}`. Empty when there are `events`.
    headers: X-Cortensor-Task where there is one task.
    events: ready server-sent events, each ending in an empty line, the last one `data: [DONE]`; whoever takes them closes it (`aclosing`).
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    events: AsyncGenerator[bytes] | None = None

    @property
    def fine(self) -> bool:
        return self.status < 400


class Offers(Protocol):
    """The one way into the router."""

    async def answer(self, asked: Asked) -> Answered:
        """Never raises for what a caller did or a miner failed to do; cancelled when the door's client is gone."""
