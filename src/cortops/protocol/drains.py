"""Members that get no new request because a person said so: who, since when, why, and until when. Beside the keys, for every process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cortops.protocol.database import Database, Row, Schema
from cortops.protocol.store import open_database
from cortops.words.errors import BadInput, UnknownName

SCHEMA = Schema(
    name="drains",
    steps=(
        """
CREATE TABLE IF NOT EXISTS drains (
  member TEXT NOT NULL,
  since DOUBLE PRECISION NOT NULL,
  by_whom TEXT NOT NULL,
  why TEXT NOT NULL,
  ended_at DOUBLE PRECISION,
  ended_by TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (member, since)
)
""",
    ),
)
CHANGES = "drains"  # the name whose version moves with every drain and its end
COLUMNS = "member, since, by_whom, why, ended_at, ended_by"
WHY_CHARS_MAX = 200
BY_CHARS_MAX = 200
TOLD_MAX = 1000  # drains that are told of; older ones stay in the table


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """One drain of one member, in all its pools. Times are seconds since 1970; ended_at None: it goes on."""

    member: str
    since: float
    by: str
    why: str
    ended_at: float | None = None
    ended_by: str = ""


def open_drains(where: Path | str, *, create: bool = True) -> Database:
    """The drains in the gateway's store, where the keys are. Raises StoreUnavailable."""
    return open_database(where, SCHEMA, create=create)


def begin(database: Database, *, member: str, by: str, why: str, now: float) -> Drain:
    """Drain it. Again is no error, and keeps who came first. Raises BadInput, StoreUnavailable."""
    if len(why) > WHY_CHARS_MAX or not (why or "-").isprintable():
        raise BadInput(f"why has at most {WHY_CHARS_MAX} printable characters")
    with database.transaction(changes=CHANGES) as transaction:
        found = transaction.execute(f"SELECT {COLUMNS} FROM drains WHERE member = ? AND ended_at IS NULL ORDER BY since", (member,))
        if found:
            return _drain(found[0])
        drain = Drain(member=member, since=now, by=by[:BY_CHARS_MAX], why=why)
        values = (drain.member, drain.since, drain.by, drain.why)
        transaction.execute("INSERT INTO drains (member, since, by_whom, why) VALUES (?, ?, ?, ?)", values)
    return drain


def end(database: Database, *, member: str, by: str, now: float) -> Drain:
    """It may have requests again. Raises UnknownName when it is not drained, StoreUnavailable."""
    with database.transaction(changes=CHANGES) as transaction:
        found = transaction.execute(f"SELECT {COLUMNS} FROM drains WHERE member = ? AND ended_at IS NULL ORDER BY since", (member,))
        if not found:
            raise UnknownName(f"{member!r} is not drained", next="see what is: cortops pools")
        values = (now, by[:BY_CHARS_MAX], member)
        transaction.execute("UPDATE drains SET ended_at = ?, ended_by = ? WHERE member = ? AND ended_at IS NULL", values)
    return msgspec.structs.replace(_drain(found[0]), ended_at=now, ended_by=by[:BY_CHARS_MAX])


def read_drains(database: Database, *, ended: bool = False) -> list[Drain]:
    """Those that go on, and with `ended` the latest of the others, the first one first. Raises StoreUnavailable."""
    which = "" if ended else "WHERE ended_at IS NULL "
    with database.reading() as transaction:
        found = transaction.execute(f"SELECT {COLUMNS} FROM drains {which}ORDER BY since DESC LIMIT ?", (TOLD_MAX,))
    return [_drain(row) for row in reversed(found)]


def _drain(row: Row) -> Drain:
    member, since, by, why, ended_at, ended_by = row
    return Drain(member=member, since=since, by=by, why=why, ended_at=ended_at, ended_by=ended_by)
