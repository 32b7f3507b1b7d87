"""The seam to the store: one conformance suite that SQLite and PostgreSQL both pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from cortops.protocol.database import Database, Schema, statements
from cortops.protocol.store import open_database
from cortops.words.errors import StoreUnavailable, UnknownName

ONE = Schema(name="things", steps=("CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY, n BIGINT NOT NULL, at DOUBLE PRECISION)",))
TWO = Schema(name="things", steps=(*ONE.steps, "ALTER TABLE things ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'"))
THREE = Schema(name="things", steps=(*TWO.steps, "ALTER TABLE things DROP COLUMN at"), oldest=3)
INSERT = "INSERT INTO things (name, n) VALUES (?, ?) ON CONFLICT DO NOTHING"

Open = Callable[..., Database]


@pytest.fixture
def opened(place: str) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(schema: Schema = ONE, **options: Any) -> Database:
            return stack.enter_context(closing(open_database(place, schema, **options)))

        yield make


def names(database: Database) -> list[Any]:
    with database.reading() as transaction:
        return [name for (name,) in transaction.execute("SELECT name FROM things ORDER BY name")]


def test_what_is_written_is_read_by_another(opened: Open) -> None:
    one, other = opened(), opened()
    with one.transaction() as transaction:
        assert transaction.execute("INSERT INTO things VALUES (?, ?, ?) RETURNING n", ("ü?'%s", 2**53, 0.1)) == [(2**53,)]
        assert transaction.execute("UPDATE things SET n = n + 1") == []
    with other.reading() as transaction:
        assert transaction.execute("SELECT name, n, at FROM things WHERE name = ?", ("ü?'%s",)) == [("ü?'%s", 2**53 + 1, 0.1)]
        assert transaction.execute("SELECT n FROM things WHERE name = ?", ("x",)) == []


def test_many_at_once_say_how_many_were_new(opened: Open) -> None:
    database = opened()
    with database.transaction() as transaction:
        assert transaction.execute_many(INSERT, [("a", 1), ("b", 2), ("a", 3)]) == 2
        assert transaction.execute_many(INSERT, (row for row in [("b", 9), ("c", 3)])) == 1
        assert transaction.execute_many(INSERT, []) == 0
    assert names(database) == ["a", "b", "c"]


def test_rows_come_one_by_one(opened: Open) -> None:
    database = opened()
    with database.transaction() as transaction:
        transaction.execute_many(INSERT, ((f"{number:05}", number) for number in range(2500)))
    with database.reading() as transaction:
        found = transaction.stream("SELECT n FROM things WHERE n >= ? ORDER BY name", (10,))
        assert next(found) == (10,) and sum(1 for _ in found) == 2489


def test_a_transaction_that_fails_leaves_nothing(opened: Open) -> None:
    database = opened()
    with pytest.raises(UnknownName), database.transaction(changes="things") as transaction:
        transaction.execute(INSERT, ("a", 1))
        raise UnknownName("not there")
    with pytest.raises(StoreUnavailable), database.transaction() as transaction:
        transaction.execute(INSERT, ("a", 1))
        transaction.execute("INSERT INTO nothing VALUES (1)")
    assert names(database) == [] and database.version("things")[1] == 0


def test_the_version_moves_with_what_is_named_only(opened: Open) -> None:
    one, other = opened(), opened()
    before = other.version("things")
    with one.transaction() as transaction:
        transaction.execute(INSERT, ("a", 1))
    with one.transaction(changes="keys") as transaction:
        transaction.execute(INSERT, ("b", 1))
    assert other.version("things") == before
    with one.transaction(changes="things") as transaction:
        transaction.execute(INSERT, ("c", 1))
    assert (after := other.version("things")) != before and other.version("things") == after


def test_counting_from_many_threads_loses_none(opened: Open) -> None:
    databases = [opened() for _ in range(3)]
    with databases[0].transaction() as transaction:
        transaction.execute(INSERT, ("a", 0))
    failures: list[StoreUnavailable] = []

    def count(database: Database) -> None:
        try:
            for _ in range(20):
                with database.transaction() as transaction:
                    transaction.execute("UPDATE things SET n = n + 1 WHERE name = ?", ("a",))
        except StoreUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(database,)) for database in databases * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with databases[1].reading() as transaction:
        assert (failures, transaction.execute("SELECT n FROM things")) == ([], [(120,)])


def test_many_make_it_at_once_and_all_see_the_same(place: str) -> None:
    failures: list[StoreUnavailable] = []

    def make(name: str) -> None:
        try:
            with closing(open_database(place, ONE)) as database, database.transaction() as transaction:
                transaction.execute(INSERT, (name, 1))
        except StoreUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(open_database(place, ONE, create=False)) as database:
        assert (failures, names(database)) == ([], [str(number) for number in range(6)])


def test_a_step_is_taken_once_and_the_release_before_goes_on(opened: Open) -> None:
    before = opened(ONE)
    with before.transaction() as transaction:
        transaction.execute(INSERT, ("a", 1))
    with opened(TWO).transaction() as transaction:
        assert transaction.execute("SELECT name, colour FROM things") == [("a", "grey")]
    opened(TWO)
    for old in (before, opened(ONE)):
        with old.transaction() as transaction:
            transaction.execute("UPDATE things SET n = n + 1")
    opened(THREE)
    with pytest.raises(StoreUnavailable, match="schema things 3 is newer than this release knows"):
        opened(TWO)


def test_a_step_that_fails_changes_nothing(opened: Open) -> None:
    bad = Schema(name="things", steps=(*ONE.steps, "CREATE TABLE more (n BIGINT); INSERT INTO nothing VALUES (1)"))
    opened(ONE)
    with pytest.raises(StoreUnavailable):
        opened(bad)
    good = Schema(name="things", steps=(*ONE.steps, "CREATE TABLE more (n BIGINT)"))
    with opened(good).reading() as transaction:
        assert transaction.execute("SELECT n FROM more") == []


def test_two_schemas_share_one_place(opened: Open) -> None:
    other = Schema(name="drains", steps=("CREATE TABLE IF NOT EXISTS drains (member TEXT PRIMARY KEY)",))
    assert names(opened(ONE)) == []
    with opened(other).transaction() as transaction:
        transaction.execute("INSERT INTO drains SELECT 'x' WHERE NOT EXISTS (SELECT 1 FROM things)")
        assert transaction.execute("SELECT member FROM drains") == [("x",)]


def test_after_close_it_opens_again_and_its_version_is_another(opened: Open) -> None:
    database = opened()
    before = database.version("things")
    database.close()
    assert names(database) == [] and database.version("things") != before


def test_statements() -> None:
    assert statements(" A ;\n B\n C;; ") == ["A", "B\n C"]
