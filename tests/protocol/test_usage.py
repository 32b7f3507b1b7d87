"""The usage store: one conformance suite that SQLite and PostgreSQL both pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cortops.protocol import usage
from cortops.protocol.database import Database
from cortops.protocol.usage import After, UsageRow, UsageSum
from cortops.words.errors import StoreUnavailable

DAY_S = 86_400.0
# What the previous release made, and what it says to a store.
PREVIOUS = """
CREATE TABLE usage (
  request_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, model TEXT NOT NULL, pool TEXT NOT NULL, member TEXT NOT NULL,
  session INTEGER, task INTEGER, stream INTEGER NOT NULL, status TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, started_at REAL NOT NULL, first_token_at REAL, finished_at REAL NOT NULL,
  error TEXT NOT NULL, client_request_id TEXT NOT NULL
);
PRAGMA user_version = 1;
"""
PREVIOUS_INSERT = f"INSERT OR IGNORE INTO usage VALUES ({', '.join('?' * 16)})"
PREVIOUS_ROW = ("old", "k1", "m", "p", "r", 1, 7, True, "ok", 3, 4, 1.0, 1.5, 2.0, "", "mine")


@pytest.fixture
def store(place: str) -> Iterator[Database]:
    with closing(usage.open_usage(place)) as database:
        yield database


def row(request_id: str, **changes: object) -> UsageRow:
    return UsageRow(**{"request_id": request_id, "key_id": "k1", "model": "m", "finished_at": 10.0, **changes})  # type: ignore[arg-type]


def test_a_row_counts_once(store: Database) -> None:
    full = row(
        "a",
        pool="p",
        member="r",
        session=2**53,
        task=7,
        stream=True,
        status="client_gone",
        prompt_tokens=5,
        first_token_at=3.5,
        error="client_gone",
    )
    assert usage.insert(store, [full, row("b")]) == 2
    assert usage.insert(store, [row("a", prompt_tokens=99), row("c")]) == 1
    assert usage.of_task(store, 2**53, 7) == [full]
    assert [found.request_id for found in usage.rows_since(store, 0)] == ["a", "b", "c"]
    assert usage.insert(store, []) == 0


def test_queries(store: Database) -> None:
    rows = [
        row("a", prompt_tokens=5, completion_tokens=2, client_request_id="mine"),
        row("b", status="failed", finished_at=20.0, client_request_id="mine"),
        row("c", key_id="k2", prompt_tokens=1, finished_at=30.0),
    ]
    usage.insert(store, rows)
    assert usage.of_request(store, "mine") == rows[:2] and usage.of_request(store, "c") == rows[2:]
    assert usage.rows_since(store, 15.0) == rows[1:] and usage.rows_since(store, 15.0, key_id="k1") == rows[1:2]


def test_sums(store: Database) -> None:
    usage.insert(
        store,
        [
            row("a", member="r1", prompt_tokens=2**40, completion_tokens=2, finished_at=DAY_S - 0.001),
            row("b", member="r1", prompt_tokens=2**40, status="failed", finished_at=DAY_S),
            row("c", member="r2", status="client_gone", finished_at=DAY_S + 1, key_id="k2"),
            row("d", status="refused", model="other", finished_at=2 * DAY_S - 0.001),
        ],
    )
    none = UsageSum(of="", requests=1, ok=0, failed=0, refused=0, client_gone=0, prompt_tokens=0, completion_tokens=0, last_at=0.0)
    assert usage.summary(store, "member") == [
        UsageSum(of="r1", requests=2, ok=1, failed=1, refused=0, client_gone=0, prompt_tokens=2**41, completion_tokens=2, last_at=DAY_S),
        _but(none, of="", refused=1, last_at=2 * DAY_S - 0.001),
        _but(none, of="r2", client_gone=1, last_at=DAY_S + 1),
    ]
    assert [(found.of, found.requests) for found in usage.summary(store, "day")] == [("0", 1), ("1", 3)]
    assert [(found.of, found.requests) for found in usage.summary(store, "key")] == [("k1", 3), ("k2", 1)]
    assert [(found.of, found.requests) for found in usage.summary(store, "model")] == [("m", 3), ("other", 1)]
    assert [(found.of, found.requests) for found in usage.summary(store, "day", since=DAY_S, until=DAY_S + 1)] == [("1", 1)]
    assert usage.summary(store, "key", since=9 * DAY_S) == []


def _but(found: UsageSum, **changes: object) -> UsageSum:
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return UsageSum(**{**fields, **changes})  # type: ignore[arg-type]


def test_pages_hold_every_row_once(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PAGE_ROWS", 3)
    names = [f"r{number}" for number in range(8)]
    usage.insert(store, [row(name, finished_at=float(number // 3)) for number, name in enumerate(names)])
    found, after = [], After()
    while rows := usage.page(store, 0.0, 2.5, after):
        found += [row.request_id for row in rows]
        after = After(finished_at=rows[-1].finished_at, request_id=rows[-1].request_id)
    assert found == names
    assert [row.request_id for row in usage.page(store, 1.0, 2.0)] == names[3:6]


def test_the_previous_releases_store_is_read_and_goes_on_being_written_by_it(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path)) as previous:
        previous.executescript(PREVIOUS)
        with previous:
            previous.execute(PREVIOUS_INSERT, PREVIOUS_ROW)
        with closing(usage.open_usage(path, create=False)) as database:
            assert [(found.request_id, found.stream) for found in usage.rows_since(database, 0)] == [("old", True)]
            usage.insert(database, [row("new")])
        with previous:
            previous.execute(PREVIOUS_INSERT, ("older", *PREVIOUS_ROW[1:]))
        assert previous.execute("SELECT count(*) FROM usage").fetchone() == (3,)
        assert previous.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_store_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"none\.db"):
        usage.open_usage(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()
