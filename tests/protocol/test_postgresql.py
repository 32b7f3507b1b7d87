"""What is PostgreSQL's own: an outage and the way back, wrong passwords, addresses in files; and no password is ever shown."""

from __future__ import annotations

import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cortops.protocol.database import Schema
from cortops.protocol.store import open_database
from cortops.words.errors import StoreUnavailable

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql

SCHEMA = Schema(name="things", steps=("CREATE TABLE IF NOT EXISTS things (name TEXT)",))
PASSWORD = "hunter2"
COUNT = "SELECT count(*) FROM things"


def everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(getattr(error, "as_dict", dict)())


@pytest.mark.real
def test_an_outage_is_said_and_passes(postgresql: Postgresql) -> None:
    with closing(open_database(postgresql.create("outage"), SCHEMA)) as database:
        before = database.version("things")
        postgresql.stop()
        try:
            for _ in range(2):
                with pytest.raises(StoreUnavailable) as caught:
                    database.version("things")
                assert postgresql.password not in everything_said(caught.value) and caught.value.where.endswith("/postgres")
        finally:
            postgresql.start()
        with database.transaction() as transaction:
            assert transaction.execute(COUNT) == [(0,)]
        assert database.version("things") != before, "it may be another server"


@pytest.mark.real
def test_a_connection_that_was_closed_while_idle_is_made_anew(postgresql: Postgresql) -> None:
    place = postgresql.create("idle")
    with closing(open_database(place, SCHEMA)) as database, closing(open_database(place, SCHEMA)) as other:
        before = database.version("things")
        with other.transaction() as transaction:
            transaction.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"
            )
        assert database.version("things") != before
        with database.transaction() as transaction:
            assert transaction.execute(COUNT) == [(0,)]


@pytest.mark.real
def test_a_connection_that_is_cut_in_a_transaction_leaves_nothing(postgresql: Postgresql) -> None:
    with closing(open_database(postgresql.create("cut"), SCHEMA)) as database:
        with pytest.raises(StoreUnavailable), database.transaction() as transaction:
            transaction.execute("INSERT INTO things VALUES ('a')")
            transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with database.reading() as transaction:
            assert transaction.execute(COUNT) == [(0,)]


@pytest.mark.real
def test_a_wrong_password_and_a_wrong_name_are_said_without_the_password(postgresql: Postgresql) -> None:
    wrong = postgresql.url().replace(postgresql.password, PASSWORD)
    for address, why in ((wrong, "authentication failed"), (postgresql.url("nowhere"), "nowhere")):
        with pytest.raises(StoreUnavailable, match=why) as caught:
            open_database(address, SCHEMA)
        said = everything_said(caught.value)
        assert PASSWORD not in said and postgresql.password not in said


def test_an_address_that_cannot_be_read_is_not_cited() -> None:
    with pytest.raises(StoreUnavailable, match="%40") as caught:
        open_database(f"postgresql://u:{PASSWORD}@@h/d", SCHEMA)
    assert PASSWORD not in everything_said(caught.value)


def test_a_host_that_does_not_answer_is_said() -> None:
    with pytest.raises(StoreUnavailable, match=r"postgresql://u@127.0.0.1:1/d") as caught:
        open_database(f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", SCHEMA)
    assert PASSWORD not in everything_said(caught.value)


@pytest.mark.real
def test_the_address_may_stand_in_a_file(postgresql: Postgresql, tmp_path: Path) -> None:
    file = tmp_path / "store.url"
    file.write_text(postgresql.create("of_a_file") + "\n")
    with closing(open_database(file, SCHEMA)) as database:
        assert (
            database.where.startswith("postgresql://") and postgresql.password not in f"{database.where}{database!r}{vars(database).keys()}"
        )
    file.write_text(f"sqlite:somewhere {PASSWORD}")
    with pytest.raises(StoreUnavailable) as caught:
        open_database(file, SCHEMA)
    assert PASSWORD not in everything_said(caught.value)
    with pytest.raises(StoreUnavailable, match=r"there is no .*none\.url, which holds"):
        open_database(tmp_path / "none.url", SCHEMA)


def test_nothing_of_it_is_loaded_for_a_file(tmp_path: Path) -> None:
    program = (
        "import sys; from cortops.protocol.database import Schema; from cortops.protocol.store import open_database;"
        "open_database(sys.argv[1], Schema(name='t', steps=('CREATE TABLE IF NOT EXISTS t (n BIGINT)',))).close();"
        "print('psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.db")], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
