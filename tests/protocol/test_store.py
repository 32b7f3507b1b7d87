"""Opening a store: it appears whole or not at all, whoever else makes it at the same moment."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from cortops.protocol.store import open_store
from cortops.words.errors import StoreUnavailable

SCHEMA = "CREATE TABLE IF NOT EXISTS thing (name TEXT);"


def test_many_make_it_at_once_and_all_see_the_same(tmp_path: Path) -> None:
    path, failures = tmp_path / "new" / "one.db", []

    def make(name: str) -> None:
        try:
            with closing(open_store(path, SCHEMA, 1)) as connection, connection:
                connection.execute("INSERT INTO thing VALUES (?)", (name,))
        except StoreUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(open_store(path, SCHEMA, 1, create=False)) as connection:
        assert {name for (name,) in connection.execute("SELECT name FROM thing")} == set(map(str, range(8)))
    assert [entry.name for entry in path.parent.iterdir() if entry.name != "one.db" and not entry.name.startswith("one.db-")] == []


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        open_store(tmp_path / "file" / "keys.db", SCHEMA, 1)
