"""A Database in one SQLite file: WAL, every commit on the disk."""

from __future__ import annotations

import math
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from cortops.protocol.database import Database, Row, Schema, Transaction, Values, bring_up
from cortops.words.errors import StoreMissing, StoreUnavailable

BUSY_TIMEOUT_S = 5.0
USER_VERSION = 1  # what the first release wrote; later steps are counted in the table `schemas`, which that release does not look at

NO_FILE = (0, 0)


class _Transaction(Transaction):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Values]) -> int:
        before = self._connection.total_changes
        self._connection.executemany(sql, rows)
        return self._connection.total_changes - before

    def stream(self, sql: str, values: Values = ()) -> Iterator[Row]:
        return self._connection.execute(sql, values)


class SqliteDatabase(Database):
    """The file at `path`; it appears whole or not at all. A file that another one has replaced is opened anew."""

    def __init__(self, path: Path, schema: Schema, *, create: bool) -> None:
        super().__init__(str(path), schema)
        self._create = create
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = NO_FILE

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise StoreUnavailable(f"the database {self.where} cannot be used: {error}", where=self.where, why=str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with _begun(self._current(), "BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def _snapshot(self) -> Iterator[Transaction]:
        with _begun(self._current(), "BEGIN") as transaction:
            yield transaction

    def _current(self) -> sqlite3.Connection:
        if self._connection is not None and _identity(self._path) != self._file:
            self._disconnect()
        self._connect()
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        if self._connection is not None:
            return
        self._file = _identity(self._path)  # before opening: one that comes between is seen as replaced
        if self._file == NO_FILE and not self._create:
            raise StoreMissing(f"there is no database {self.where}", where=self.where)
        self._connection = opened(self._path, self._bring_up, create=self._create)
        self._connection.create_function("floor", 1, math.floor, deterministic=True)  # not every build of SQLite has it
        self._file = self._file if self._file != NO_FILE else _identity(self._path)
        self._opened += 1

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > USER_VERSION:
            raise sqlite3.DatabaseError(f"schema {found} is newer than this release knows ({USER_VERSION})")
        if not _is_up(connection, self._schema):
            with _begun(connection, "BEGIN IMMEDIATE") as transaction:
                bring_up(transaction, self._schema, self.where)


def opened(path: Path, bring_up: Callable[[sqlite3.Connection], None], *, create: bool) -> sqlite3.Connection:
    """A connection to the file at `path`, in autocommit, whose tables `bring_up` makes. Raises OSError, sqlite3.Error, StoreUnavailable."""
    if create and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path, bring_up)
    return _open(path, bring_up)


def _make(path: Path, bring_up: Callable[[sqlite3.Connection], None]) -> None:
    """A whole store appears at once: SQLite refuses one of two that make the same at the same time, and does not wait."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        new.touch(mode=0o644)
        _open(new, bring_up).close()
        with suppress(FileExistsError):  # another was quicker: its store is as good
            os.link(new, path)


def _open(path: Path, bring_up: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a row shipped here is removed from the spool
        bring_up(connection)
    except (sqlite3.Error, StoreUnavailable):
        connection.close()
        raise
    return connection


def _is_up(connection: sqlite3.Connection, schema: Schema) -> bool:
    """Does opening it need no write? Then a writer elsewhere need not be waited for."""
    try:
        found = connection.execute("SELECT 1 FROM schemas WHERE name = ? AND version = ?", (schema.name, schema.version))
        return found.fetchone() is not None
    except sqlite3.OperationalError:  # no such table, or what the first write says better
        return False


@contextmanager
def _begun(connection: sqlite3.Connection, how: str) -> Iterator[Transaction]:
    connection.execute(how)
    try:
        yield _Transaction(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int]:
    """Which file is there now. Raises OSError."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return NO_FILE
    return found.st_dev, found.st_ino
