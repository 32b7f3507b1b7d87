"""What is SQLite's own: files that were replaced, damaged, of the first release, in the way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cortops.protocol.database import Schema
from cortops.protocol.store import open_database
from cortops.words.errors import StoreUnavailable

FIRST = "CREATE TABLE IF NOT EXISTS things (name TEXT);"
SCHEMA = Schema(name="things", steps=(FIRST,))
COUNT = "SELECT count(*) FROM things"


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(open_database(path, SCHEMA)) as database:
        with database.transaction(changes="things") as transaction:
            transaction.execute("INSERT INTO things VALUES ('a')")
        before = database.version("things")
        for file in tmp_path.glob("a.db*"):
            file.unlink()
        with database.transaction(changes="things") as transaction:
            assert transaction.execute(COUNT) == [(0,)]
        assert database.version("things") != before, "the number alone is the same"


def test_a_file_that_has_gone_is_not_made_by_who_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(path, SCHEMA).close()
    with closing(open_database(path, SCHEMA, create=False)) as database:
        for file in tmp_path.glob("a.db*"):
            file.unlink()
        with pytest.raises(StoreUnavailable), database.reading():
            pass
    assert not path.exists()


def test_the_first_releases_file_is_taken_and_stays_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{FIRST} INSERT INTO things VALUES ('old'); PRAGMA user_version = 1;")
    grown = Schema(name="things", steps=(FIRST, "ALTER TABLE things ADD COLUMN colour TEXT NOT NULL DEFAULT ''"))
    with closing(open_database(path, grown, create=False)) as database, database.reading() as transaction:
        assert transaction.execute("SELECT name, colour FROM things") == [("old", "")]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,), "which is what that release looks at"


def test_what_cannot_be_used_is_said_with_its_path(tmp_path: Path) -> None:
    folder, damaged, newer = tmp_path / "folder", tmp_path / "damaged.db", tmp_path / "newer.db"
    folder.mkdir()
    damaged.write_bytes(b"not a database" * 100)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for path in (folder, damaged, newer, damaged / "x.db"):
        with pytest.raises(StoreUnavailable) as caught:
            open_database(path, SCHEMA)
        assert str(path) in caught.value.what


def test_a_writer_elsewhere_is_not_waited_for_by_who_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(path, SCHEMA).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(open_database(path, SCHEMA)) as database, database.reading() as transaction:
            assert transaction.execute(COUNT) == [(0,)]
        other.execute("ROLLBACK")
