"""The shared counters: one conformance suite that SQLite and PostgreSQL both pass, and the arithmetic of periods and shares."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol import limits
from cortops.protocol.database import Database
from cortops.protocol.limits import KEPT_S, MONTHS_KEPT_S, STREAMS_LEASE_S, Ask, KeyLimits, Kind, Rule, grant, period_of
from cortops.words.errors import BadInput

NOW = 1_800_000_000.0


@pytest.fixture
def store(place: str) -> Iterator[Database]:
    with closing(limits.open_limits(place, create=True)) as database:
        yield database


def ask(kind: Kind = "requests_per_min", limit: int = 10, subject: str = "key:k", **more: int) -> Ask:
    return Ask(rule=Rule(subject=subject, kind=kind, limit=limit), period=period_of(kind, NOW)[0], **more)


def exchange(store: Database, *asks: Ask, process: str = "one", now: float = NOW) -> list[tuple[int, int]]:
    return [(told.granted, told.taken) for told in limits.exchange(store, process, asks, now)]


def test_shares_are_granted_until_the_limit_and_given_back(store: Database) -> None:
    assert exchange(store, ask(least=1, want=6)) == [(6, 6)]
    assert exchange(store, ask(least=1, want=6), process="other") == [(4, 10)], "what is left"
    assert exchange(store, ask(least=1, want=1)) == [(0, 10)]
    assert exchange(store, ask(charge=-3)) == [(0, 7)]
    assert exchange(store, ask(least=4, want=8)) == [(0, 7)], "less than least is of no use to who asks"
    assert exchange(store, ask(charge=5)) == [(0, 12)], "what was used counts, even past the limit"
    assert exchange(store, ask(charge=-100)) == [(0, 0)]


def test_many_asks_are_answered_in_their_order(store: Database) -> None:
    asks = (ask(subject="z", want=2), ask("tokens_per_month", 100, want=60), ask(subject="a", want=3), ask("tokens_per_min", 50, want=60))
    assert exchange(store, *asks) == [(2, 2), (60, 60), (3, 3), (50, 50)]
    assert exchange(store) == []
    assert limits.tokens_this_month(store, NOW) == {"key:k": 60} and limits.tokens_this_month(store, NOW + 40 * 86_400) == {}


def test_streams_are_held_by_processes_and_end_with_them(store: Database) -> None:
    assert exchange(store, ask("streams_max", 3, least=1, want=2)) == [(2, 2)]
    assert exchange(store, ask("streams_max", 3, least=1, want=2), process="other") == [(1, 3)]
    assert exchange(store, ask("streams_max", 3, least=1, want=1, held=2)) == [(0, 3)]
    later = NOW + STREAMS_LEASE_S - 1
    assert exchange(store, ask("streams_max", 3, held=1), process="other", now=later) == [(0, 3)], "says so again"
    assert exchange(store, ask("streams_max", 3, held=1, want=2), process="other", now=NOW + STREAMS_LEASE_S) == [(2, 3)], "one is gone"
    assert exchange(store, ask("streams_max", 3, held=0), process="other", now=later) == [(0, 2)], "at once, not by waiting"


def test_what_is_old_is_forgotten(store: Database) -> None:
    exchange(store, ask(want=1), ask("tokens_per_month", 9, want=1), ask("streams_max", 9, want=1))
    count = "SELECT count(*) FROM limit_counters"
    left = []
    for now in (NOW + KEPT_S - 1, NOW + KEPT_S + 61, NOW + MONTHS_KEPT_S + 31 * 86_400):
        limits.forget_old(store, now)
        with store.reading() as transaction:
            left.append(int(transaction.execute(count)[0][0]))
    assert left == [3, 2, 1], "the row of streams stays: it is what they are locked by"


def test_whoever_asks_at_once_no_more_is_granted_than_there_is(store: Database, place: str) -> None:
    granted: list[int] = []

    def take(process: str) -> None:
        with closing(limits.open_limits(place)) as own:
            for _ in range(8):
                asks = (ask(limit=50, least=1, want=3), ask("streams_max", 5, subject="key:s", want=1, held=0))
                granted.append(limits.exchange(own, process, asks if process > "b" else asks[::-1], NOW)[process <= "b"].granted)

    threads = [threading.Thread(target=take, args=(process,)) for process in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 32 and sum(granted) == 50


@given(limit=st.integers(1, 100), taken=st.integers(0, 120), least=st.integers(0, 50), want=st.integers(0, 50))
def test_a_share(limit: int, taken: int, least: int, want: int) -> None:
    least = min(least, want)
    share = grant(limit, taken, least, want)
    assert 0 <= share <= want and (share == 0 or (taken + share <= limit and share >= least))
    assert share == want or taken + want > limit, "nothing is refused that is there"


@given(at=st.floats(0, 4e9), kind=st.sampled_from(limits.KINDS))
def test_a_period_holds_its_time_and_touches_the_next(at: float, kind: Kind) -> None:
    start, end = period_of(kind, at)
    assert start <= at < end
    if end < math.inf:
        assert period_of(kind, end)[0] == end
        if kind == "tokens_per_month":
            assert datetime.fromtimestamp(start, UTC).strftime("%d %H:%M:%S") == "01 00:00:00" and 28 <= (end - start) / 86_400 <= 31


def test_limits_that_are_set_are_rules() -> None:
    some = limits.changed_limits(KeyLimits(streams_max=2), {"requests_per_min": 5})
    assert [(rule.kind, rule.limit) for rule in some.rules("key:k")] == [("requests_per_min", 5), ("streams_max", 2)]
    with pytest.raises(BadInput, match="whole number"):
        limits.changed_limits(some, {"requests_per_min": -1})
