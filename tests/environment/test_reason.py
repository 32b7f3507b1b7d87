"""How a reason is printed: safe, short, and never a key."""

from __future__ import annotations

from cortops.environment.reason import REASONS_MAX, Invalid, Reason, did_you_mean, list_of, path_text, printable, quoted


def test_what_looks_like_a_private_key_is_not_shown() -> None:
    for text in ("0x" + "ab" * 32, "AB" * 32, "0x" + "ab" * 40):
        assert quoted(text) == "(64 hex digits, not shown)"


def test_values_are_shown_short_and_printable() -> None:
    assert quoted("\x1b[31mred") == "'�[31mred'"
    assert len(printable("x" * 1000)) == 60
    assert (quoted(None), quoted({}), quoted([])) == ("nothing", "a block", "a list")


def test_paths() -> None:
    assert path_text(("pools", "a", "members", 1)) == "pools.a.members[1]"
    assert path_text(()) == ""


def test_columns_line_up_and_the_rest_is_counted() -> None:
    reasons = tuple(Reason(line, 1, "hosts", "is wrong", "Mend it.") for line in range(1, REASONS_MAX + 6))
    lines = Invalid("lab.yaml", reasons).text.splitlines()
    assert lines[0] == "lab.yaml:1:1    hosts  is wrong. Mend it."
    assert lines[99] == "lab.yaml:100:1  hosts  is wrong. Mend it."
    assert lines[100:] == ["… and 5 more", "105 errors in lab.yaml. Nothing was changed."]


def test_the_nearest_word_is_proposed() -> None:
    assert did_you_mean("engin", ["host", "engine"], otherwise="No.") == "Did you mean engine?"
    assert did_you_mean("xyz", ["host", "engine"], otherwise="No.") == "No."
    assert list_of("abcd", limit=2) == "a, b and 2 more"
