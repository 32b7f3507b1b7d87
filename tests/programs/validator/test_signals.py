from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.validator.signals import (
    SENTENCES_MAX,
    SHOWN_CHARS_MAX,
    echo_share,
    length_ratio,
    numbers,
    order_share,
    printable,
    repeated_share,
    says_nothing,
    sentences,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sky is blue. It is not green!", ("The sky is blue.", "It is not green!")),
        ("1. The first of them.\n2. The second of them.", ("1. The first of them.", "2. The second of them.")),
        ("See Dr. Miller about that. Yes.", ("See Dr. Miller about that. Yes.",)),
        ("Yes.", ("Yes.",)),
        ("no end to this one", ("no end to this one",)),
        (" \n ", ()),
    ],
)
def test_sentences(text: str, expected: tuple[str, ...]) -> None:
    assert sentences(text) == expected


def test_of_a_very_long_text_both_ends_are_read() -> None:
    found = sentences(" ".join(f"This is sentence {at}." for at in range(100)))
    assert len(found) == SENTENCES_MAX and (found[0], found[-1]) == ("This is sentence 0.", "This is sentence 99.")


@given(st.text())
def test_who_says_something_has_a_sentence(text: str) -> None:
    assert bool(sentences(text)) or says_nothing(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about 1,000 and 1000", {"1000": 2}),
        ("7 or 7.0 or 07", {"7": 3}),
        ("3.14, in 1969.", {"3.14": 1, "1969": 1}),
        ("0.50", {"0.5": 1}),
        ("none", {}),
    ],
)
def test_numbers(text: str, expected: dict[str, int]) -> None:
    assert numbers(text) == expected


def test_shares() -> None:
    assert echo_share("Why is the sky BLUE?", "why is the sky blue") == 1 and echo_share("It scatters the light", "why the sky") == 0.25
    assert repeated_share("no no no no no no no no") == 0.8 and repeated_share("yes yes") == 0
    assert repeated_share("the quick brown fox jumps over the lazy dog") == 0
    salad = "fox dog the over quick lazy brown jumps"
    assert order_share(salad, "the quick brown fox jumps over the lazy dog") == 0
    assert order_share("the quick brown fox jumps", "the quick brown fox jumps over the lazy dog") == 1
    assert order_share("a fox of another land sleeps", "the quick brown fox jumps over the lazy dog") == 1, "other words"
    assert length_ratio("one two", "one two three four") == 0.5 and length_ratio("", "") == 1


def test_what_a_stranger_wrote_is_shown_on_one_line() -> None:
    assert printable("a\nb\x1b[2J \u00e9") == "a b?[2J ?"
    assert len(printable("x" * 999)) == SHOWN_CHARS_MAX
