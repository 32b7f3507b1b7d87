"""YAML -> text values with places; limits; what is refused."""

from __future__ import annotations

import pytest

from cortops.environment import document
from cortops.environment.document import read


def test_values_stay_text_and_keep_their_place() -> None:
    got = read('a: 1\nb:\n  - x\n  - {c: on, d: "~", e: ~}\n')
    assert got.tree == {"a": "1", "b": ["x", {"c": "on", "d": "~", "e": None}]}
    assert got.places[("b", 1, "c")] == (4, 6)
    assert got.places[("b", 0)] == (3, 5)
    assert got.findings == ()


def test_a_column_counts_characters() -> None:
    assert read("é: {ü: 1, x: 2}").places[("é", "x")] == (1, 11)


def test_an_alias_stands_where_it_is_used() -> None:
    got = read("a: &x {b: 1}\nc: *x\n")
    assert got.tree == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert got.places[("c",)] == (2, 1)
    assert got.places[("c", "b")] == (1, 8)


def test_the_first_of_two_equal_keys_counts() -> None:
    got = read("a: 1\na: 2\n")
    assert got.tree == {"a": "1"}
    assert [(finding.at, finding.what) for finding in got.findings] == [((2, 1), "is declared twice (first in line 1)")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("? [a]\n: b\n", "has a key that is not plain text"),
        ("a: !x b\n", "has the tag !x"),
        ("a: &x [*x]\n", "has more than 32 levels"),
        ("a: \x07b\n", "holds a control character"),
        ("a: \ud800\n", "is not valid Unicode"),
        ("a: " + "[" * 2000, "is not YAML: exceeded maximum nesting depth"),
        ("a: " + "[" * 100 + "]" * 100, "has more than 32 levels"),
        ("", "is empty"),
        ("x" * (document.SIZE_MAX_BYTES + 1), "is 1,048,577 bytes long"),
    ],
)
def test_refused(text: str, what: str) -> None:
    assert [finding.what for finding in read(text).findings] == [what]


def test_the_place_of_a_character_that_no_file_may_hold() -> None:
    assert read("a: b\nc: d\x07\n").findings[0].at is None
    assert read("a: b\nc: d\x07\n").places[()] == (2, 5)


def test_anchors_cannot_make_a_small_file_huge() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    got = read("l0: &l0 [x]\n" + levels)
    assert [finding.what for finding in got.findings] == ["has more than 50,000 values"]
    assert not got.complete
