"""Days that a balance lasts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.gas import DAY_S, Balance, gas


def test_the_rate_of_the_past_goes_on() -> None:
    found = gas([Balance(0.0, 100), Balance(2 * DAY_S, 80)])
    assert (found.wei, found.days, found.over_s, found.why) == (80, pytest.approx(8.0), 2 * DAY_S, "")


def test_a_stretch_with_a_top_up_is_left_out() -> None:
    found = gas([Balance(0.0, 100), Balance(DAY_S, 500), Balance(2 * DAY_S, 490)])
    assert (found.days, found.over_s) == (pytest.approx(49.0), DAY_S)
    assert gas([Balance(0.0, 1), Balance(DAY_S, 2)]).why == "topped up just now"


def test_without_old_balances_nothing_is_said_of_days() -> None:
    assert (gas([Balance(0.0, 5)]).days, gas([Balance(0.0, 5)]).why) == (None, "no RPC keeps old balances")
    assert gas([Balance(0.0, 9), Balance(60.0, 5)]).days is None, "a minute is no day"


def test_nothing_spent_lasts() -> None:
    assert (gas([Balance(0.0, 5), Balance(DAY_S, 5)]).days, gas([Balance(0.0, 5), Balance(DAY_S, 5)]).why) == (None, "nothing was spent")


def test_an_empty_wallet_lasts_no_day_unless_the_chain_takes_nothing() -> None:
    assert gas([Balance(0.0, 0)]).days == 0.0
    assert gas([Balance(0.0, 7), Balance(60.0, 0)], sent=9).days == 0.0
    assert gas([Balance(0.0, 0), Balance(DAY_S, 0)], sent=9).days is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**20)), min_size=1, max_size=6))
def test_days_are_never_negative(points: list[tuple[float, int]]) -> None:
    found = gas([Balance(at, wei) for at, wei in sorted(points)])
    assert found.days is None or found.days >= 0
    assert (found.days is None) == bool(found.why)
