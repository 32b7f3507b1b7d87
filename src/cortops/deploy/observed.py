"""What a driver saw of a resource, what it is asked to do, and what it reports meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cortops.words.change import Action
from cortops.words.resource import Resource


@dataclass(frozen=True, slots=True)
class Present:
    """It exists, with these attributes; a service that is defined but not running has `running` = `no`.

    Attributes that nobody declared (pid, uptime_s, log) are told, not compared. blocked: why it could not be started now, if so.
    """

    attributes: Mapping[str, str]
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """It does not exist. blocked: why it could not be made now, if so ("port 8443 is taken by pid 123 (nginx)")."""

    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """We could not look. Never absent: no plan deletes or creates on it."""

    why: str


Observed = Present | Absent | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A resource with the attributes that will be compared with what is observed."""

    resource: Resource
    attributes: Mapping[str, str]
    payload: bytes = field(default=b"", repr=False)  # a file's content, secrets filled in; never compared, printed or recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change as the driver gets it; for a delete, `desired` is what the last manifest recorded."""

    action: Action
    desired: Desired


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What happened to a step: begun, done (with a short text), or failed (why). blames_program: it failed by what a new program did."""

    key: str
    event: Literal["begun", "done", "failed"]
    text: str = ""
    blames_program: bool = False


class Driver(Protocol):
    """Observes and makes all resources of one place."""

    @property
    def place(self) -> str: ...

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """Key -> what is there, one round trip; every key asked for is answered."""

    def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """Do the steps in order, stopping after the first failure; intent is journaled before each, outcome after."""
