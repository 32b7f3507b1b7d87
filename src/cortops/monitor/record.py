"""What goes to the store and comes back from it: frozen values between the watch and its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cortops.monitor.restarts import Process, Service
from cortops.monitor.state import CheckMemory
from cortops.words.entity import Entity
from cortops.words.question import Reply
from cortops.words.state import State

CheckKey = tuple[Entity, str]  # an entity, and the name of one of its checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A state of an entity, and when it began. evidence: ids of the answers that it was seen by."""

    entity: Entity
    state: State
    since: float
    reason: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often one question's answers were judged what; an answer that feeds three checks counts three times."""

    ok: int = 0
    bad: int = 0
    inconclusive: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """One round for the store. replies and counts: of this round; the rest is how things stand, and the store writes what differs from
    what it has.
    """

    at: float
    replies: Mapping[str, Reply] = field(default_factory=dict)
    counts: Mapping[str, Counts] = field(default_factory=dict)
    states: tuple[Begun, ...] = ()
    checks: Mapping[CheckKey, CheckMemory] = field(default_factory=dict)
    processes: Mapping[Service, Process] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What an earlier watch left. at: when its last round ended, None when there was none; states: those that have not ended."""

    at: float | None = None
    states: Mapping[Entity, Begun] = field(default_factory=dict)
    checks: Mapping[CheckKey, CheckMemory] = field(default_factory=dict)
    processes: Mapping[Service, Process] = field(default_factory=dict)


def evidence_id(reply: Reply) -> str:
    """`QUESTION@MILLISECONDS`: one answer, for ever."""
    return f"{reply.question}@{milliseconds(reply.at)}"


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
