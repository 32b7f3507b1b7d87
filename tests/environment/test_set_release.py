"""A node's release in the environment file: set where it stands, ranges kept where they can be, everything else left as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.environment.document import read
from cortops.environment.expand import expand
from cortops.environment.set_release import set_release
from cortops.words.errors import BadInput

FILE = """\
format: 1
nodes:
  # the first ones
  a: {program: cortensord, host: h1, release: march}  # oldest
  b: {program: cortensord,
      host: h1}   # no release yet
  m[1-4]: {program: cortensord, host: h2, unit: "m-{n}.service", port: "{n+5100}", release: march}
  s[01-03]: {program: cortensord, host: "h[3-4]", unit: "s-{n}"}
  block:
    program: cortensord
    host: h1
  # the end
hosts: {h1: {local: true}}
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line not in FILE.splitlines()]


def nodes(text: str) -> dict[str, dict[str, str]]:
    found = expand(read(text).tree).tree["nodes"]
    assert isinstance(found, dict)
    return found  # type: ignore[return-value]


def test_one_of_its_own_is_changed_in_place() -> None:
    assert lines(set_release(FILE, {"a": "april"})) == ["  a: {program: cortensord, host: h1, release: april}  # oldest"]
    assert lines(set_release(FILE, {"b": "april"})) == ["      host: h1, release: april}   # no release yet"]
    assert lines(set_release(FILE, {"block": "april"})) == ["    release: april"]


def test_a_whole_range_stays_one() -> None:
    changed = lines(set_release(FILE, dict.fromkeys(["m1", "m2", "m3", "m4"], "april")))
    assert changed == ['  m[1-4]: {program: cortensord, host: h2, unit: "m-{n}.service", port: "{n+5100}", release: april}']


def test_a_part_of_a_range_is_split_off() -> None:
    assert lines(set_release(FILE, {"m2": "april"})) == [
        '  m1: {program: cortensord, host: h2, unit: "m-1.service", port: "5101", release: march}',
        '  m2: {program: cortensord, host: h2, unit: "m-2.service", port: "5102", release: april}',
        '  m[3-4]: {program: cortensord, host: h2, unit: "m-{n}.service", port: "{n+5100}", release: march}',
    ]


def test_a_range_whose_values_take_turns_is_written_out() -> None:
    assert lines(set_release(FILE, {"s02": "april"})) == [
        '  s01: {program: cortensord, host: "h3", unit: "s-01"}',
        '  s02: {program: cortensord, host: "h4", unit: "s-02", release: april}',
        '  s03: {program: cortensord, host: "h3", unit: "s-03"}',
    ]


def test_nothing_new_changes_no_byte() -> None:
    assert set_release(FILE, {"a": "march", "m3": "march"}) == FILE


def test_who_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="declares no node x"):
        set_release(FILE, {"x": "april"})
    with pytest.raises(BadInput, match="no node a"):
        set_release("format: 1\n", {"a": "april"})


def test_what_cannot_be_changed_alone_is_refused() -> None:
    shared = "nodes:\n  a: &same {host: h1}\n  b: *same\n"
    with pytest.raises(BadInput, match="cannot be written into this file"):
        set_release(shared, {"b": "april"})


NAMES = ["a", "b", "m1", "m2", "m3", "m4", "s01", "s02", "s03", "block"]
WANTED = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["march", "april", "1.2-a"]))


@given(WANTED, WANTED)
def test_just_those_releases_change_and_comments_stay(first: dict[str, str], second: dict[str, str]) -> None:
    once = set_release(FILE, first)
    twice = set_release(once, second)
    expected = {
        name: {**body, **({"release": ({**first, **second})[name]} if name in {**first, **second} else {})}
        for name, body in nodes(FILE).items()
    }
    assert nodes(twice) == expected
    for comment in ("# the first ones", "# oldest", "# no release yet", "# the end"):
        assert comment in twice
    assert set_release(twice, second) == twice


def test_lists_by_position_are_split_with_their_range() -> None:
    text = "nodes:\n  m[1-4]: {host: h1, address: [a, b, c, d], release: march, routers: [r1, r2]}\n"
    assert set_release(text, {"m1": "april"}).splitlines()[1:] == [
        "  m1: {host: h1, address: a, release: april, routers: [r1, r2]}",
        "  m[2-4]: {host: h1, address: [b, c, d], release: march, routers: [r1, r2]}",
    ]
    block = "nodes:\n  m[1-3]:\n    host: h1\n    address:\n      - a\n      - b\n      - c\n"
    assert {name: body["address"] for name, body in nodes(set_release(block, {"m3": "april"})).items()} == {"m1": "a", "m2": "b", "m3": "c"}
    mixed = "nodes:\n  m[1-2]: {host: h1, release: [march, may]}\n"
    assert set_release(mixed, dict.fromkeys(["m1", "m2"], "april")) == "nodes:\n  m[1-2]: {host: h1, release: april}\n"
    assert nodes(set_release(mixed, {"m1": "april"})) == {"m1": {"host": "h1", "release": "april"}, "m2": {"host": "h1", "release": "may"}}
