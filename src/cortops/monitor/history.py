"""Reading a history: what states an entity had, what an answer was, how five minutes went. Any process may, while `watch` writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cortops.monitor.schema import SCHEMA, VERSION
from cortops.protocol.store import open_store, reachable
from cortops.words.entity import Entity
from cortops.words.state import State

LIMIT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A state that an entity had from `since` to `until` (seconds; None: it still has it). evidence: ids for `answer`."""

    entity: Entity
    state: State
    since: float
    until: float | None
    reason: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One answer as it was stored, secrets taken out. status is None when there was none: `silence` says which way, `body` why."""

    id: str
    at: float
    elapsed_s: float
    status: int | None
    silence: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """Five minutes of one question from `at` on: verdicts by outcome, replies (silences too), and how long they took."""

    question: str
    at: float
    ok: int
    bad: int
    inconclusive: int
    replies: int
    p50_ms: float
    max_ms: float


def history(path: Path, entity: Entity | None, *, since: float, limit: int) -> tuple[Past, ...]:
    """States that lasted at `since` or began later, newest first; `entity` None: of all. StoreUnavailable without a history."""
    which = "" if entity is None else "entity = :entity AND "
    with _opened(path) as connection:
        rows = connection.execute(
            f"SELECT entity, state, since, until, reason, evidence FROM states WHERE {which}(until IS NULL OR until >= :since)"
            " ORDER BY since DESC, entity LIMIT :limit",
            {"entity": str(entity), "since": since, "limit": min(limit, LIMIT_MAX)},
        ).fetchall()
    return tuple(
        Past(
            entity=Entity.parse(name),
            state=State(state),
            since=begun,
            until=until,
            reason=reason,
            evidence=tuple(json.loads(evidence)),
        )
        for name, state, begun, until, reason, evidence in rows
    )


def answer(path: Path, evidence: str) -> Kept | None:
    """The answer with this id; None when it is no longer kept. StoreUnavailable without a history."""
    question, _, at = evidence.rpartition("@")
    if not at.isdigit():
        return None
    with _opened(path) as connection:
        for table in ("kept", "raw"):
            row = connection.execute(
                f"SELECT at, elapsed_ms, status, silence, body FROM {table} WHERE at = ?"
                " AND question = (SELECT id FROM questions WHERE name = ?)",
                (int(at), question),
            ).fetchone()
            if row is not None:
                (body,) = connection.execute("SELECT body FROM bodies WHERE id = ?", (row[4],)).fetchone() or (b"",)
                return Kept(id=evidence, at=row[0] / 1000, elapsed_s=row[1] / 1000, status=row[2], silence=row[3] or "", body=body)
    return None


def rollups(path: Path, question: str, *, since: float, limit: int) -> tuple[Rollup, ...]:
    """The question's rollups from `since` on, oldest first. StoreUnavailable without a history."""
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT at, ok, bad, inconclusive, replies, p50_ms, max_ms FROM rollups"
            " WHERE at >= ? AND question = (SELECT id FROM questions WHERE name = ?) ORDER BY at LIMIT ?",
            (since, question, min(limit, LIMIT_MAX)),
        ).fetchall()
    names = ("at", "ok", "bad", "inconclusive", "replies", "p50_ms", "max_ms")
    return tuple(Rollup(question=question, **dict(zip(names, row, strict=True))) for row in rows)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with reachable(path), closing(open_store(path, SCHEMA, VERSION, create=False)) as connection:
        yield connection
