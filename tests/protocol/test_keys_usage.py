"""The key and usage stores on SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortops.protocol import keys, usage
from cortops.protocol.usage import UsageRow, UsageSum
from cortops.words.errors import BadInput, StoreUnavailable, UnknownName

ALPHABET = iter(range(1, 10_000))


def bytes_of(count: int) -> bytes:
    return next(ALPHABET).to_bytes(count, "big")


@pytest.fixture
def key_store(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, Path]]:
    path = tmp_path / "deep" / "keys.db"
    connection = keys.open_keys(path)
    yield connection, path
    connection.close()


@pytest.fixture
def usage_store(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, Path]]:
    path = tmp_path / "usage.db"
    connection = usage.open_usage(path)
    yield connection, path
    connection.close()


def issue(store: tuple[sqlite3.Connection, Path], **options: object) -> keys.IssuedKey:
    return keys.issue(*store, **{"environment": "lab", "name": "one", "now": 100.0, "random_bytes": bytes_of, **options})  # type: ignore[arg-type]


def test_a_key_is_shown_once_and_kept_as_a_hash(key_store: tuple[sqlite3.Connection, Path]) -> None:
    issued = issue(key_store, scopes=["model:m"])
    assert issued.key.startswith("ck_lab_") and len(issued.key) == 7 + 48
    assert issued.key not in repr(issued) and keys.key_hash(issued.key) != issued.key
    dump = "\n".join(key_store[0].iterdump())
    assert issued.key not in dump and issued.key[7:] not in dump
    assert keys.verify(*key_store, issued.key, now=101.0) == issued.row
    assert keys.verify(*key_store, issued.key + "x", now=101.0) is None
    assert keys.list_keys(*key_store) == [issued.row]
    assert issued.row.allows_model("m") and not issued.row.allows_model("n")


def test_expired_and_revoked_keys_are_refused(key_store: tuple[sqlite3.Connection, Path]) -> None:
    short, long = issue(key_store, expires_at=200.0), issue(key_store)
    assert keys.verify(*key_store, short.key, now=199.9) and keys.verify(*key_store, short.key, now=200.0) is None
    assert keys.revoke(*key_store, long.row.id, now=150.0).revoked_at == 150.0
    assert keys.revoke(*key_store, long.row.id, now=160.0).revoked_at == 150.0
    assert keys.verify(*key_store, long.key, now=151.0) is None
    assert set(keys.by_hash(*key_store)) == {keys.key_hash(short.key)}
    with pytest.raises(UnknownName):
        keys.revoke(*key_store, "key_nope", now=1.0)


@pytest.mark.parametrize("options", [{"name": ""}, {"name": "a\nb"}, {"expires_at": 100.0}])
def test_bad_keys_are_not_issued(key_store: tuple[sqlite3.Connection, Path], options: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        issue(key_store, **options)
    assert keys.list_keys(*key_store) == []


def row(request_id: str, **changes: object) -> UsageRow:
    return UsageRow(**{"request_id": request_id, "key_id": "k1", "model": "m", "finished_at": 10.0, **changes})  # type: ignore[arg-type]


def test_a_row_counts_once(usage_store: tuple[sqlite3.Connection, Path]) -> None:
    full = row(
        "a",
        pool="p",
        member="r",
        session=1,
        task=7,
        stream=True,
        status="client_gone",
        prompt_tokens=5,
        first_token_at=3.5,
        error="client_gone",
    )
    assert usage.insert(*usage_store, [full, row("b")]) == 2
    assert usage.insert(*usage_store, [row("a", prompt_tokens=99), row("c")]) == 1
    assert usage.of_task(*usage_store, 1, 7) == [full]
    assert [found.request_id for found in usage.rows_since(*usage_store, 0)] == ["a", "b", "c"]
    assert usage.insert(*usage_store, []) == 0


def test_queries(usage_store: tuple[sqlite3.Connection, Path]) -> None:
    rows = [
        row("a", prompt_tokens=5, completion_tokens=2, client_request_id="mine"),
        row("b", status="failed", finished_at=20.0, client_request_id="mine"),
        row("c", key_id="k2", prompt_tokens=1, finished_at=30.0),
    ]
    usage.insert(*usage_store, rows)
    assert usage.of_request(*usage_store, "mine") == rows[:2] and usage.of_request(*usage_store, "c") == rows[2:]
    assert usage.rows_since(*usage_store, 15.0) == rows[1:] and usage.rows_since(*usage_store, 15.0, key_id="k1") == rows[1:2]
    k1 = UsageSum(key_id="k1", model="m", requests=2, ok=1, prompt_tokens=5, completion_tokens=2, last_at=20.0)
    k2 = UsageSum(key_id="k2", model="m", requests=1, ok=1, prompt_tokens=1, completion_tokens=0, last_at=30.0)
    assert usage.summary(*usage_store) == [k2, k1]
    assert usage.summary(*usage_store, since=25.0) == [k2]


def test_unreachable_stores_say_so(tmp_path: Path) -> None:
    missing, folder, newer = tmp_path / "none.db", tmp_path / "folder", tmp_path / "newer.db"
    folder.mkdir()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database" * 100)
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path, create in ((missing, False), (folder, True), (damaged, True), (newer, True), (damaged / "x.db", True)):
        with pytest.raises(StoreUnavailable) as caught:
            usage.open_usage(path, create=create)
        assert str(path) in caught.value.what
    assert not missing.exists()


def test_two_may_create_the_same_store_at_once(tmp_path: Path) -> None:
    path, failures = tmp_path / "keys.db", []

    def make() -> None:
        try:
            keys.open_keys(path).close()
        except StoreUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
