"""The seam to where the gateway's records are kept: a SQLite file, or a PostgreSQL database that several hosts share.

`open_database` (store.py) gives a Database. SQL is what both take: `?` marks; BIGINT, DOUBLE PRECISION and TEXT for columns (PostgreSQL's
INTEGER has 32 bits, its REAL 24); `ON CONFLICT ... DO UPDATE`, `RETURNING`; `CAST(sum(x) AS BIGINT)`, `floor(x)`; no `%`, no `?` in texts.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from cortops.words.errors import StoreUnavailable

Row = tuple[Any, ...]
Values = Sequence[Any]

META = """
CREATE TABLE IF NOT EXISTS schemas (name TEXT PRIMARY KEY, version BIGINT NOT NULL, oldest BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS changes (name TEXT PRIMARY KEY, number BIGINT NOT NULL)
"""
CHANGED = "INSERT INTO changes (name, number) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET number = changes.number + 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Tables of one purpose, as the ordered steps that made them what they are; a step is never edited, only followed by another.

    steps: SQL statements parted by `;`. The first is idempotent (`IF NOT EXISTS`), so that files of the time before this table are taken
    as they are. Steps only add (expand): the previous release goes on reading and writing. oldest: the number of steps that a release must
    know at least to use the tables still; raised by a step that takes away (contract), one release after nothing needs it any more.
    """

    name: str
    steps: tuple[str, ...]
    oldest: int = 1

    @property
    def version(self) -> int:
        """How many steps this release knows."""
        return len(self.steps)


def statements(sql: str) -> list[str]:
    """The statements of a step. A `;` stands nowhere else in it."""
    return [statement.strip() for statement in sql.split(";") if statement.strip()]


class Transaction(ABC):
    """What can be asked inside `transaction()` or `reading()`."""

    @abstractmethod
    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        """Run one statement; its rows, all at once, or none."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Iterable[Values]) -> int:
        """Run one statement for each of `rows`; how many rows it changed in all."""

    @abstractmethod
    def stream(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """Rows one by one in bounded memory, to be read before the transaction ends."""


class Database(ABC):
    """An opened database. Every error is StoreUnavailable, after which the next use connects anew; so does a file that was replaced.

    `where` names it to people, without password. Threads may share it: one transaction at a time. No statement that writes runs longer than
    10 s, none that reads longer than 25 s.
    """

    def __init__(self, where: str, schema: Schema) -> None:
        self.where = where
        self._schema = schema
        self._lock = threading.Lock()
        self._opened = 0

    @contextmanager
    def transaction(self, *, changes: str = "") -> Iterator[Transaction]:
        """Write: all of it or nothing, and it is on the disk when this is left without error. After StoreUnavailable it may have happened.

        changes: the name whose `version` moves with it. SQLite lets one transaction write at a time; PostgreSQL many (read committed), so
        count by `SET n = n + ?`, never by reading first.
        """
        with self._lock, self._errors(), self._writing() as transaction:
            yield transaction
            if changes:  # last, as its row is locked until the commit
                transaction.execute(CHANGED, (changes,))

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Read one state of the whole, stopping nobody else."""
        with self._lock, self._errors(), self._snapshot() as transaction:
            yield transaction

    def version(self, name: str) -> tuple[int, int]:
        """Cheap: as long as it is equal, no `transaction(changes=name)` was committed, by anyone. Ask before reading what it stands for."""
        with self.reading() as transaction:
            found = transaction.execute("SELECT number FROM changes WHERE name = ?", (name,))
            return self._opened, int(found[0][0]) if found else 0

    def open(self) -> None:
        """Connect now. Raises StoreUnavailable."""
        with self._lock, self._errors():
            self._connect()

    def close(self) -> None:
        """Let go of the connection; another use opens it again."""
        with self._lock:
            self._disconnect()

    @abstractmethod
    def _errors(self) -> AbstractContextManager[None]:
        """Turns the library's errors inside into StoreUnavailable."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Transaction]: ...

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[Transaction]: ...

    @abstractmethod
    def _connect(self) -> None: ...

    @abstractmethod
    def _disconnect(self) -> None: ...


def bring_up(transaction: Transaction, schema: Schema, where: str) -> None:
    """Inside a transaction that nobody else is in: make the tables, or take the steps that are missing. Raises StoreUnavailable when a
    newer release has taken away what this one needs.
    """
    for statement in statements(META):
        transaction.execute(statement)
    found = transaction.execute("SELECT version, oldest FROM schemas WHERE name = ?", (schema.name,))
    version, oldest = found[0] if found else (0, 0)
    if oldest > schema.version:
        why = f"schema {schema.name} {version} is newer than this release knows ({schema.version})"
        raise StoreUnavailable(f"the database {where} cannot be used: {why}", where=where, why=why)
    if version >= schema.version:
        return
    for step in schema.steps[version:]:
        for statement in statements(step):
            transaction.execute(statement)
    transaction.execute(
        "INSERT INTO schemas (name, version, oldest) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET version = excluded.version, oldest = excluded.oldest",
        (schema.name, schema.version, schema.oldest),
    )
