"""Opening a SQLite file as cortops does: WAL, a schema version, and one error when it cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from cortops.words.errors import StoreUnavailable

BUSY_TIMEOUT_S = 5.0


@contextmanager
def reachable(path: Path) -> Iterator[None]:
    """Turns sqlite3's errors inside into StoreUnavailable naming the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the database {path} cannot be used: {error}", where=str(path), why=str(error)) from error


def open_store(path: Path, schema: str, version: int, *, create: bool = True) -> sqlite3.Connection:
    """Open `path` in WAL mode with `schema` (idempotent SQL) at `version`; the caller closes it.

    A connection may go from thread to thread, used by one at a time. Every statement commits by itself unless `with` is used.
    StoreUnavailable when the file is missing (`create=False`), damaged, not ours to open, or written by a newer release.
    """
    with reachable(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        uri = f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
        try:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if found > version:
                raise sqlite3.DatabaseError(f"schema {found} is newer than this release knows ({version})")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a row shipped here is removed from the spool
            if found < version:
                connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;")
        except sqlite3.Error:
            connection.close()
            raise
        return connection
