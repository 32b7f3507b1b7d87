"""Opening a store: the seam of the gateway's records (database.py), on SQLite or PostgreSQL; and a SQLite file of one program."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cortops.protocol.address import ADDRESS_MAX, POSTGRESQL, URL_SUFFIX
from cortops.protocol.database import Database, Schema
from cortops.protocol.sqlite import SqliteDatabase, opened
from cortops.words.errors import StoreMissing, StoreUnavailable


@contextmanager
def reachable(path: Path) -> Iterator[None]:
    """Turns sqlite3's errors inside into StoreUnavailable naming the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the database {path} cannot be used: {error}", where=str(path), why=str(error)) from error


def open_store(path: Path, schema: str, version: int, *, create: bool = True) -> sqlite3.Connection:
    """A SQLite file of one program (the monitor's): WAL, with `schema` (idempotent SQL) at `version`; the caller closes it.

    A connection may go from thread to thread, used by one at a time. Changes are made inside `with connection`, which commits them.
    StoreUnavailable when the file is missing (`create=False`), damaged, not ours to open, or written by a newer release.
    """

    def bring_up(connection: sqlite3.Connection) -> None:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > version:
            raise sqlite3.DatabaseError(f"schema {found} is newer than this release knows ({version})")
        if found < version:
            connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;")
        connection.isolation_level = "DEFERRED"  # a change begins a transaction

    with reachable(path):
        return opened(path, bring_up, create=create)


def open_database(where: Path | str, schema: Schema, *, create: bool = True) -> Database:
    """The database at `where`, opened, with `schema` in it; the caller closes it.

    where: a `postgresql://` address; a file that holds one, whose name ends in `.url` (so that no address with a password stands in a
    configuration, an argument or a request); or a SQLite file. create: make the SQLite file if there is none; in PostgreSQL
    tables that are missing are made, the database itself must be there.
    Raises StoreUnavailable: missing, damaged, out of reach, not ours to open, or changed by a newer release.
    """
    address = _address(str(where))
    if not address.startswith(POSTGRESQL):
        database: Database = SqliteDatabase(Path(address), schema, create=create)
    else:
        try:
            from cortops.protocol.postgresql import PostgresqlDatabase
        except ImportError as error:
            raise StoreUnavailable(
                "PostgreSQL cannot be asked from here", why=str(error), next="install what speaks to it: pip install 'cortops[postgresql]'"
            ) from error
        database = PostgresqlDatabase(address, schema)
    database.open()
    return database


def _address(where: str) -> str:
    if not where.endswith(URL_SUFFIX) or where.startswith(POSTGRESQL):
        return where
    try:
        with reachable(Path(where)):
            text = Path(where).read_text("utf-8", "replace")[:ADDRESS_MAX].strip()
    except StoreUnavailable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StoreMissing(f"there is no {where}, which holds the database's address", where=where) from error
        raise
    if not text.startswith(POSTGRESQL):
        raise StoreUnavailable(f"{where} holds no postgresql:// address", where=where)
    return text
