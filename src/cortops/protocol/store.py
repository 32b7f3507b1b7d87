"""Opening a SQLite file as cortops does: WAL, a schema version, and one error when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    A connection may go from thread to thread, used by one at a time. Changes are made inside `with connection`, which commits them.
    StoreUnavailable when the file is missing (`create=False`), damaged, not ours to open, or written by a newer release.
    """
    with reachable(path):
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path, schema, version)
        return _open(path, schema, version)


def _make(path: Path, schema: str, version: int) -> None:
    """A whole store appears at once: SQLite refuses one of two that make the same at the same time, and does not wait."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        new.touch(mode=0o644)
        _open(new, schema, version).close()
        with suppress(FileExistsError):  # another was quicker: its store is as good
            os.link(new, path)


def _open(path: Path, schema: str, version: int) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=rw"
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
