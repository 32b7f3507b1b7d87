"""The history of an environment in one SQLite file: states for ever, answers for two days, rollups of five minutes for longer.

sqlite3 itself and not SQLAlchemy: one writer, fixed statements, sixty rows every few seconds; nothing here would be shorter with it.
One transaction a round. WAL with synchronous NORMAL: a kill loses nothing that was committed, a power loss the last rounds at most.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cortops.monitor.bodies import PINNED, TOUCHED_EVERY_MS, Bodies
from cortops.monitor.record import Begun, CheckKey, Recalled, RoundRecord, milliseconds
from cortops.monitor.restarts import Process, Service
from cortops.monitor.rollup import RollupRow, Rollups
from cortops.monitor.schema import SCHEMA, VERSION
from cortops.monitor.state import CheckMemory, Settled
from cortops.protocol.store import open_store, reachable
from cortops.words.entity import Entity
from cortops.words.errors import StoreUnavailable
from cortops.words.question import NoAnswer, Outcome, Reply
from cortops.words.state import State

RAW_KEPT_S = 48 * 3600.0
RAW_MAX_GIB = 0.5
RAW_MIN_S = 600.0  # of answers, whatever the size
ROLLUPS_KEPT_S = 90 * 86_400.0
TRIM_EVERY_MS: Final = 300_000
TRIM_ROWS_MAX = 5_000  # in one round
EVIDENCE_MAX = 20  # answers kept for one state
DAMAGED_KEPT_MAX = 3

T = TypeVar("T")

_GIB: Final = 1 << 30
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LETTERS: Final[dict[Outcome, str]] = {"ok": "o", "bad": "b", "inconclusive": "i"}
_OUTCOMES: Final = {letter: outcome for outcome, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a history may hold. raw_kept_s: how long answers stay. raw_max_gib: of the whole file; answers give way first."""

    raw_kept_s: float = RAW_KEPT_S
    raw_max_gib: float = RAW_MAX_GIB
    rollups_kept_s: float = ROLLUPS_KEPT_S


@dataclass(slots=True)
class _Written:
    """How the file stands: what of states, checks and processes need not be written again."""

    states: dict[Entity, Begun]
    checks: dict[CheckKey, CheckMemory]
    pids: dict[Service, int]


class Store:
    """The writer; one per file. StoreUnavailable when the file cannot be used now; the same call may succeed later.

    redact: takes secrets out of a body before it is stored. A damaged file is moved aside and a fresh one begun; `note` says so.
    Blocking; any thread may call, one at a time goes in.
    """

    def __init__(self, path: Path, *, redact: Callable[[bytes], bytes], limits: Limits = Limits()) -> None:
        self.path = path
        self.note = ""
        self._limits = limits
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._bodies = Bodies(redact)
        self._questions: dict[str, int] = {}
        self._rollups = Rollups()
        self._written = _Written(states={}, checks={}, pids={})

    def load(self, now: float) -> Recalled:
        """What an earlier watch left; nothing of a fresh file. now: seconds, names a damaged file that is moved aside."""
        with self._lock:
            return self._sound(now, _recall)

    def write(self, record: RoundRecord) -> None:
        """Store one round, whole or not at all, and let go of what is past its limit."""
        with self._lock:
            self._sound(record.at, lambda connection: self._write(connection, record))

    def close(self) -> None:
        """Store the rollups that are not complete, and close the file; where that fails they are lost."""
        with self._lock:
            if self._connection is not None:
                with suppress(StoreUnavailable), reachable(self.path), self._connection as connection:
                    self._store_rollups(connection, list(self._rollups.rows()))
            self._rollups = Rollups()
            self._drop()

    def _sound(self, now: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on the open file; on a fresh one when this one turns out to be damaged."""
        try:
            return self._reached(work)
        except StoreUnavailable as error:
            if not _is_damaged(error):
                raise
        with reachable(self.path):
            self.note = _move_aside(self.path, now)
        return self._reached(work)

    def _reached(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with reachable(self.path):
                if _file(self.path) != self._file:  # removed or replaced: what we would write there is lost
                    self._drop()
                return work(self._connection or self._open())
        except StoreUnavailable:
            self._drop()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = open_store(self.path, SCHEMA, VERSION)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")  # a round is worth less than a flush of the disk
            found = _recall(connection)
            self._questions = {str(name): int(row) for row, name in connection.execute("SELECT id, name FROM questions")}
        except sqlite3.Error:
            connection.close()
            raise
        pids = {service: process.pid for service, process in found.processes.items()}
        self._written = _Written(states=dict(found.states), checks=dict(found.checks), pids=pids)
        self._connection, self._file = connection, _file(self.path)
        return connection

    def _drop(self) -> None:
        """Forget the connection and all that is only true of it."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
        self._bodies.forget()

    def _write(self, connection: sqlite3.Connection, record: RoundRecord) -> None:
        written = self._written
        states = [item for item in record.states if not _same(written.states.get(item.entity), item)]
        checks = {key: memory for key, memory in record.checks.items() if not _alike(written.checks.get(key), memory)}
        pids = {service: item.pid for service, item in record.processes.items() if written.pids.get(service) != item.pid}
        with connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('last_round_at', ?)", (repr(record.at),))
            connection.executemany(
                "INSERT OR REPLACE INTO raw VALUES (?, ?, ?, ?, ?, ?)",
                [self._row(connection, question, reply) for question, reply in record.replies.items()],
            )
            for item in states:
                self._begin(connection, item)
            self._forget_gone(connection, record)
            connection.executemany(
                "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?, ?)",
                [
                    (str(entity), name, "".join(_LETTERS[outcome] for outcome in memory.recent), memory.settled, memory.told)
                    for (entity, name), memory in checks.items()
                ],
            )
            connection.executemany("INSERT OR REPLACE INTO processes VALUES (?, ?, ?)", [(*service, pid) for service, pid in pids.items()])
            self._store_rollups(connection, list(self._rollups.complete(record.at)))
            self._trim(connection, milliseconds(record.at))
        written.states = {item.entity: item for item in record.states} or written.states
        written.checks = dict(record.checks) or written.checks
        written.pids |= pids
        self._rollups.add(record)

    def _row(self, connection: sqlite3.Connection, question: str, reply: Reply) -> tuple[int, int, int | None, str | None, float, int]:
        at = milliseconds(reply.at)
        elapsed_ms = round(reply.elapsed_s * 1000, 2)
        if isinstance(reply, NoAnswer):
            return (
                at,
                self._question(connection, question),
                None,
                reply.silence,
                elapsed_ms,
                self._body(connection, reply.why.encode("utf-8", "replace"), at),
            )
        return at, self._question(connection, question), reply.status, None, elapsed_ms, self._body(connection, reply.body, at)

    def _body(self, connection: sqlite3.Connection, body: bytes, at: int) -> int:
        return self._bodies.row(connection, body, at)

    def _question(self, connection: sqlite3.Connection, name: str) -> int:
        if name not in self._questions:
            connection.execute("INSERT OR IGNORE INTO questions (name) VALUES (?)", (name,))
            (row,) = connection.execute("SELECT id FROM questions WHERE name = ?", (name,)).fetchone()
            self._questions[name] = int(row)
        return self._questions[name]

    def _begin(self, connection: sqlite3.Connection, item: Begun) -> None:
        """End the entity's state, begin the next, and keep the answers that it was seen by."""
        entity = str(item.entity)
        connection.execute("UPDATE states SET until = ? WHERE entity = ? AND until IS NULL", (item.since, entity))
        connection.execute(
            "INSERT OR REPLACE INTO states (entity, since, state, reason, evidence) VALUES (?, ?, ?, ?, ?)",
            (entity, item.since, item.state, item.reason, json.dumps(item.evidence[:EVIDENCE_MAX])),
        )
        for evidence in item.evidence[:EVIDENCE_MAX]:
            question, _, at = evidence.rpartition("@")
            where = (int(at), self._question(connection, question))
            connection.execute("INSERT OR IGNORE INTO kept SELECT * FROM raw WHERE at = ? AND question = ?", where)
            connection.execute(
                "UPDATE bodies SET used_at = ? WHERE id IN (SELECT body FROM kept WHERE at = ? AND question = ?)", (PINNED, *where)
            )

    def _forget_gone(self, connection: sqlite3.Connection, record: RoundRecord) -> None:
        """End the states, and drop the memory, of what is no longer declared."""
        here = {item.entity for item in record.states}
        ended = [(record.at, str(entity)) for entity in self._written.states if here and entity not in here]
        connection.executemany("UPDATE states SET until = ? WHERE entity = ? AND until IS NULL", ended)
        gone = [(str(entity), name) for entity, name in self._written.checks if record.checks and (entity, name) not in record.checks]
        connection.executemany("DELETE FROM checks WHERE entity = ? AND name = ?", gone)

    def _store_rollups(self, connection: sqlite3.Connection, rows: list[RollupRow]) -> None:
        """A bucket that a restart cut in two is joined again: counts added, the middle weighed."""
        connection.executemany(
            "INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (at, question) DO UPDATE SET ok = ok + excluded.ok,"
            " bad = bad + excluded.bad, inconclusive = inconclusive + excluded.inconclusive, replies = replies + excluded.replies,"
            " p50_ms = (p50_ms * replies + excluded.p50_ms * excluded.replies) / MAX(replies + excluded.replies, 1),"
            " max_ms = MAX(max_ms, excluded.max_ms)",
            [(at, self._question(connection, question), *rest) for at, question, *rest in rows],
        )

    def _trim(self, connection: sqlite3.Connection, now: int) -> None:
        """Let go of answers past their time, or of the oldest tenth when the file is too large; some rows at a time."""
        first = connection.execute("SELECT at FROM raw LIMIT 1").fetchone()  # in order of time: it is the primary key
        if first is None:
            return
        oldest, edge = int(first[0]), now - milliseconds(self._limits.raw_kept_s)
        if _used_bytes(connection) > self._limits.raw_max_gib * _GIB:
            edge = max(edge, min(oldest + (now - oldest) // 10, now - milliseconds(RAW_MIN_S)))
        elif oldest > edge - TRIM_EVERY_MS:
            return
        last = connection.execute("SELECT at FROM raw LIMIT 1 OFFSET ?", (TRIM_ROWS_MAX,)).fetchone()
        if last is not None:
            edge = min(edge, int(last[0]))
        connection.execute("DELETE FROM raw WHERE at < ?", (edge,))
        connection.execute(
            "DELETE FROM bodies WHERE id IN (SELECT id FROM bodies WHERE used_at < ? ORDER BY used_at LIMIT ?)",
            (edge - TOUCHED_EVERY_MS, TRIM_ROWS_MAX),
        )
        connection.execute("DELETE FROM rollups WHERE at < ?", (now // 1000 - int(self._limits.rollups_kept_s),))


def _recall(connection: sqlite3.Connection) -> Recalled:
    last = connection.execute("SELECT value FROM meta WHERE key = 'last_round_at'").fetchone()
    if last is None:
        return Recalled()
    at = float(last[0])
    states = [
        Begun(entity=Entity.parse(entity), state=State(state), since=since, reason=reason, evidence=tuple(json.loads(evidence)))
        for entity, state, since, reason, evidence in connection.execute(
            "SELECT entity, state, since, reason, evidence FROM states WHERE until IS NULL"
        )
    ]
    checks = {
        (Entity.parse(entity), str(name)): _memory(recent, settled, bool(told))
        for entity, name, recent, settled, told in connection.execute("SELECT * FROM checks")
    }
    processes = {(str(question), str(service)): Process(pid=pid, seen_at=at) for question, service, pid in _processes(connection)}
    return Recalled(at=at, states={item.entity: item for item in states}, checks=checks, processes=processes)


def _processes(connection: sqlite3.Connection) -> sqlite3.Cursor:
    return connection.execute("SELECT question, service, pid FROM processes")


def _memory(recent: str, settled: Settled, told: bool) -> CheckMemory:
    return CheckMemory(recent=tuple(_OUTCOMES[letter] for letter in recent), settled=settled, told=told, text="as before watch began")


def _same(old: Begun | None, new: Begun) -> bool:
    return old is not None and (old.state, old.since) == (new.state, new.since)


def _alike(old: CheckMemory | None, new: CheckMemory) -> bool:
    return old is not None and (old.recent, old.settled, old.told) == (new.recent, new.settled, new.told)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def _file(path: Path) -> tuple[int, int]:
    """Which file is there now; (0, 0) when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _is_damaged(error: StoreUnavailable) -> bool:
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in _DAMAGED  # the rest of an extended code is detail


def _move_aside(path: Path, now: float) -> str:
    """Rename the file and its companions, letting go of the oldest that were moved before; says what was done."""
    aside = f"{path.name}.damaged-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}"
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(aside + suffix))
    moved = sorted(found for found in path.parent.glob(f"{path.name}.damaged-*") if not found.name.endswith(("-wal", "-shm")))
    for old in moved[:-DAMAGED_KEPT_MAX]:
        for suffix in ("-wal", "-shm", ""):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return f"the history was damaged: it is now {path.with_name(aside)}, and a fresh one was begun"
