"""Times, ages and lists as they are written."""

from __future__ import annotations

import pytest

from cortops.console.wording import age, listed, utc
from cortops.testing.clock import START


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (START, "08:00:00 UTC"),
        (START - 9 * 3600, "14 Jan 23:00:00 UTC"),
        (START - 40 * 86_400, "6 Dec 2026 08:00:00 UTC"),
        (None, "–"),
        (0, "–"),
        (1e300, "–"),
    ],
)
def test_a_time_has_its_zone_and_its_day_where_it_is_another(at: float | None, text: str) -> None:
    assert utc(at, START) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (172_799, "47 h"), (172_800, "2 d")],
)
def test_an_age_is_one_number(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("names", "text"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("abcde", "a, b, c and 2 more")]
)
def test_a_long_list_is_cut(names: str, text: str) -> None:
    assert listed(names) == text
