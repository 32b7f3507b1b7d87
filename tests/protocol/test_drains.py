"""Drains in the gateway's store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from cortops.protocol import drains, keys
from cortops.protocol.database import Database
from cortops.protocol.drains import Drain, begin, end, open_drains, read_drains
from cortops.words.errors import BadInput, UnknownName


@pytest.fixture
def store(place: str) -> Iterator[Database]:
    with closing(open_drains(place)) as database:
        yield database


def test_a_drain_begins_and_ends_and_is_kept(store: Database) -> None:
    began = begin(store, member="router-1", by="ops@h1", why="a new kernel", now=10.0)
    assert began == Drain(member="router-1", since=10.0, by="ops@h1", why="a new kernel")
    assert begin(store, member="router-1", by="other@h2", why="", now=11.0) == began, "who came first is kept"
    begin(store, member="router-2", by="ops@h1", why="", now=12.0)
    assert [drain.member for drain in read_drains(store)] == ["router-1", "router-2"]
    ended = end(store, member="router-1", by="other@h2", now=20.0)
    assert (ended.since, ended.ended_at, ended.ended_by) == (10.0, 20.0, "other@h2")
    assert [drain.member for drain in read_drains(store)] == ["router-2"]
    assert read_drains(store, ended=True)[0] == ended
    assert begin(store, member="router-1", by="ops@h1", why="", now=30.0).since == 30.0


def test_what_is_not_drained_cannot_end(store: Database) -> None:
    with pytest.raises(UnknownName, match="'router-1' is not drained"):
        end(store, member="router-1", by="ops", now=1.0)


@pytest.mark.parametrize("why", ["x" * 201, "two\nlines", "\x1b[2J"])
def test_why_is_a_short_line(store: Database, why: str) -> None:
    with pytest.raises(BadInput):
        begin(store, member="router-1", by="ops", why=why, now=1.0)


def test_each_change_is_seen_by_its_version(store: Database, place: str) -> None:
    with closing(open_drains(place)) as other:
        seen = [other.version(drains.CHANGES)]
        begin(store, member="router-1", by="ops", why="", now=1.0)
        seen.append(other.version(drains.CHANGES))
        end(store, member="router-1", by="ops", now=2.0)
        seen.append(other.version(drains.CHANGES))
        assert len(set(seen)) == 3


def test_it_lies_beside_the_keys(store: Database, place: str) -> None:
    with closing(keys.open_keys(place)) as beside:
        assert keys.list_keys(beside) == [] and read_drains(store) == []
