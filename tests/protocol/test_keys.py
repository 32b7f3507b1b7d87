"""The key store: one conformance suite that SQLite and PostgreSQL both pass, and the stores of the previous release."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cortops.protocol import keys
from cortops.protocol.database import Database
from cortops.protocol.keys import KeyRow
from cortops.protocol.limits import KeyLimits
from cortops.words.errors import BadInput, StoreUnavailable, UnknownName

COUNT = itertools.count(1)
HOUR_S = 3600.0
# What the previous release made, and what it says to a store.
PREVIOUS = """
CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL DEFAULT '[]',
  created_at REAL NOT NULL,
  expires_at REAL,
  revoked_at REAL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
PREVIOUS_INSERT = "INSERT INTO keys (id, hash, name, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)"
PREVIOUS_SELECT = "SELECT id, name, scopes, created_at, expires_at, revoked_at FROM keys ORDER BY created_at, id"


def bytes_of(count: int) -> bytes:
    return next(COUNT).to_bytes(count, "big")


@pytest.fixture
def store(place: str) -> Iterator[Database]:
    with closing(keys.open_keys(place)) as database:
        yield database


def issue(store: Database, **options: object) -> keys.IssuedKey:
    return keys.issue(store, **{"environment": "lab", "name": "one", "now": 100.0, "random_bytes": bytes_of, **options})  # type: ignore[arg-type]


def rotate(store: Database, id: str, *, now: float = 200.0, overlap_s: float = 24 * HOUR_S) -> keys.IssuedKey:
    return keys.rotate(store, id, environment="lab", now=now, random_bytes=bytes_of, overlap_s=overlap_s)


def test_a_key_is_shown_once_and_kept_as_a_hash(store: Database) -> None:
    issued = issue(store, scopes=["model:m", "portal", "model:m"])
    assert issued.key.startswith("ck_lab_") and len(issued.key) == 7 + 48 and issued.key not in repr(issued)
    with store.reading() as transaction:
        assert issued.key[7:] not in repr(transaction.execute("SELECT * FROM keys"))
    assert keys.verify(store, issued.key, now=101.0) == issued.row == keys.find(store, issued.row.id)
    assert keys.verify(store, issued.key + "x", now=101.0) is None
    assert keys.list_keys(store) == [issued.row] and issued.row.scopes == ("model:m", "portal")


def test_expired_and_revoked_keys_are_refused(store: Database) -> None:
    short, long = issue(store, expires_at=200.0), issue(store)
    assert keys.verify(store, short.key, now=199.9) and keys.verify(store, short.key, now=200.0) is None
    assert keys.revoke(store, long.row.id, now=150.0).revoked_at == 150.0
    assert keys.revoke(store, long.row.id, now=160.0).revoked_at == 150.0
    assert keys.verify(store, long.key, now=151.0) is None
    assert set(keys.read_known(store).keys) == {keys.key_hash(short.key)}
    assert keys.expire(store, short.row.id, at=None).expires_at is None and keys.verify(store, short.key, now=900.0)
    assert keys.expire(store, short.row.id, at=300.0).expires_at == 300.0
    told = [keys.state(row, 400.0) for row in keys.list_keys(store)]
    assert sorted(told) == ["expired", "taken back"]


def test_an_unknown_key_is_said(store: Database) -> None:
    for ask in (
        lambda: keys.revoke(store, "key_nope", now=1.0),
        lambda: keys.expire(store, "key_nope", at=1.0),
        lambda: keys.limit(store, "key_nope", {}),
        lambda: keys.find(store, "key_nope"),
        lambda: rotate(store, "key_nope"),
    ):
        with pytest.raises(UnknownName):
            ask()


@pytest.mark.parametrize(
    "options",
    [{"name": ""}, {"name": "a\nb"}, {"expires_at": 100.0}, {"scopes": ["model:"]}, {"scopes": ["admin"]}, {"scopes": ["family:X"]}],
)
def test_bad_keys_are_not_issued(store: Database, options: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        issue(store, **options)
    assert keys.list_keys(store) == []


def test_organisations_and_their_limits(store: Database) -> None:
    with pytest.raises(UnknownName, match="acme"):
        issue(store, organisation="acme")
    with pytest.raises(BadInput):
        keys.put_organisation(store, "no spaces", {}, now=1.0)
    made = keys.put_organisation(store, "acme", {"requests_per_min": 60, "tokens_per_month": 10**12}, now=1.0)
    again = keys.put_organisation(store, "acme", {"requests_per_min": None, "streams_max": 3}, now=2.0)
    assert made.limits == KeyLimits(requests_per_min=60, tokens_per_month=10**12)
    assert again.limits == KeyLimits(streams_max=3, tokens_per_month=10**12) and again.created_at == 1.0
    issued = issue(store, organisation="acme", limits=KeyLimits(tokens_per_min=5))
    assert keys.list_organisations(store) == [again] and keys.find(store, issued.row.id).organisation == "acme"
    assert keys.read_known(store).organisations == {"acme": again}


def test_limits_are_changed_one_by_one_and_checked(store: Database) -> None:
    id = issue(store, limits=KeyLimits(requests_per_min=5)).row.id
    assert keys.limit(store, id, {"tokens_per_min": 9}).limits == KeyLimits(requests_per_min=5, tokens_per_min=9)
    assert keys.limit(store, id, {"requests_per_min": None}).limits == KeyLimits(tokens_per_min=9) == keys.find(store, id).limits
    for wrong in ({"requests_per_min": 0}, {"requests": 1}, {"streams_max": "many"}):
        with pytest.raises(BadInput):
            keys.limit(store, id, wrong)  # type: ignore[arg-type]
    assert keys.find(store, id).limits == KeyLimits(tokens_per_min=9)


def test_rotate_hands_over_with_an_overlap(store: Database) -> None:
    keys.put_organisation(store, "acme", {}, now=1.0)
    limits = KeyLimits(requests_per_min=5)
    first = issue(store, scopes=["model:m"], organisation="acme", limits=limits, expires_at=10**7)
    second = rotate(store, first.row.id)
    row = second.row
    assert (row.name, row.scopes, row.organisation, row.limits, row.expires_at) == ("one", ("model:m",), "acme", limits, 10**7)
    assert row.replaces == first.row.id and row.counts_as == first.row.counts_as == f"key:{first.row.id}"
    end = 200.0 + 24 * HOUR_S
    assert keys.verify(store, first.key, now=end - 1) and keys.verify(store, first.key, now=end) is None
    assert keys.verify(store, second.key, now=end) == row
    with pytest.raises(BadInput, match=row.id):
        rotate(store, first.row.id)
    third = rotate(store, row.id, now=300.0, overlap_s=0.0)
    assert third.row.counts_as == first.row.counts_as and keys.verify(store, second.key, now=300.0) is None
    keys.limit(store, third.row.id, {"requests_per_min": 7})
    assert {found.limits.requests_per_min for found in keys.list_keys(store)} == {7}, "a line has the same limits"


def test_what_is_not_valid_is_not_rotated(store: Database) -> None:
    revoked, expired = issue(store), issue(store, expires_at=150.0)
    keys.revoke(store, revoked.row.id, now=150.0)
    for issued in (revoked, expired):
        with pytest.raises(BadInput):
            rotate(store, issued.row.id)
    with pytest.raises(BadInput):
        rotate(store, issue(store).row.id, overlap_s=-1.0)
    soon = issue(store, expires_at=250.0)
    rotate(store, soon.row.id)
    assert keys.find(store, soon.row.id).expires_at == 250.0, "an overlap lengthens nothing"


def test_a_key_is_rotated_once_whoever_tries(store: Database, place: str) -> None:
    id = issue(store).row.id
    made: list[str] = []

    def one() -> None:
        with closing(keys.open_keys(place)) as own:
            try:
                made.append(rotate(own, id).row.id)
            except BadInput:
                made.append("")

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made)[:3] == ["", "", ""] and len(made) == 4 and len(keys.list_keys(store)) == 2


def test_every_change_moves_the_version_and_no_reading_does(store: Database) -> None:
    changes: list[Callable[[], object]] = [
        lambda: keys.put_organisation(store, "acme", {}, now=1.0),
        lambda: issue(store),
        lambda: keys.limit(store, keys.list_keys(store)[0].id, {"streams_max": 1}),
        lambda: keys.expire(store, keys.list_keys(store)[0].id, at=None),
        lambda: rotate(store, keys.list_keys(store)[0].id),
        lambda: keys.revoke(store, keys.list_keys(store)[0].id, now=1.0),
    ]
    for change in changes:
        before = keys.version(store)
        keys.read_known(store)
        assert keys.version(store) == before
        change()
        assert keys.version(store) != before


@pytest.mark.parametrize(
    ("scopes", "model", "family", "portal"),
    [
        ((), True, True, False),
        (("model:m",), True, True, False),
        (("model:n",), False, True, False),
        (("family:completion",), True, True, False),
        (("family:delegate", "model:m"), True, False, False),
        (("portal",), True, True, True),
    ],
)
def test_scopes(scopes: tuple[str, ...], model: bool, family: bool, portal: bool) -> None:
    row = KeyRow(id="k", name="n", scopes=scopes, created_at=0, expires_at=None, revoked_at=None)
    assert (row.allows_model("m"), row.allows_family("completion"), row.allows_portal) == (model, family, portal)


def test_a_store_of_the_previous_release_is_taken_over_and_it_still_reads_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path)) as previous:
        previous.executescript(PREVIOUS)
        previous.execute(PREVIOUS_INSERT, ("key_old", keys.key_hash("old"), "old", '["model:m"]', 1.0, None))
        previous.commit()
        with closing(keys.open_keys(path)) as store:
            old = keys.verify(store, "old", now=2.0)
            assert old is not None and old.scopes == ("model:m",) and old.limits == KeyLimits() and old.counts_as == "key:key_old"
            new = rotate(store, "key_old")
            before = keys.version(store)
            previous.execute(PREVIOUS_INSERT, ("key_by_old", keys.key_hash("by old"), "by old", "[]", 3.0, None))
            previous.execute("UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (4.0, "key_old"))
            previous.commit()
            assert keys.version(store) != before, "a gateway of this release sees what the previous one did"
            assert [row[0] for row in previous.execute(PREVIOUS_SELECT)] == ["key_old", "key_by_old", new.row.id]
            assert previous.execute("PRAGMA user_version").fetchone() == (1,), "what the previous release asks for"
            assert set(keys.read_known(store).keys) == {keys.key_hash("by old"), keys.key_hash(new.key)}


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
