"""Lists of hashes: what sha256sum writes, with dates where somebody added them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.fleet.builds.hash_list import LINES_MAX, Listed, Unreadable, date_in, read_list

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("line", "date", "name"),
    [
        (f"{A}  cortensord", "", "cortensord"),
        (f"{A} *dist/cortensord", "", "dist/cortensord"),
        (f"{A}  2026-04-22  cortensord", "2026-04-22", "cortensord"),
        (f"{A}  cortensord  2026-04-22", "2026-04-22", "cortensord"),
        (f"{A}  cortensord-2026-04-22", "2026-04-22", "cortensord-2026-04-22"),
        (f"{A}  2026-04-22  cortensord-2026-04-29", "2026-04-22", "cortensord-2026-04-29"),
        (f"{A.upper()}  a file with blanks", "", "a file with blanks"),
        (A, "", ""),
    ],
)
def test_a_line_tells_hash_date_and_name(line: str, date: str, name: str) -> None:
    assert read_list(f"# ours\n\n{line}\n") == ((Listed(line=3, sha256=A, date=date, name=name),), None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("cortensord " + A, "does not begin with 64 hex digits"),
        (A[:63] + "  cortensord", "does not begin with 64 hex digits"),
        (A + "0  cortensord", "does not begin with 64 hex digits"),
        (f"{A} 2026-04-22 2026-04-23 x", "has more than one date"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_number(line: str, why: str) -> None:
    assert read_list(f"{B}  fine\n{line}\n{B}  later\n") == ((Listed(line=1, sha256=B, date="", name="fine"),), Unreadable(2, why))


def test_a_list_has_an_end() -> None:
    lines, wrong = read_list(f"{A}\n" * (LINES_MAX + 1))
    assert (len(lines), wrong) == (LINES_MAX, Unreadable(LINES_MAX + 1, f"is one of more than {LINES_MAX:,}"))


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("cortensord-2026-04-22", "2026-04-22"),
        ("cortensord-2026-04-22.bak_2026-05-01", ""),
        ("cortensord-2026-02-30", ""),
        ("12026-04-221", ""),
        ("cortensord", ""),
    ],
)
def test_a_name_may_tell_a_day(name: str, day: str) -> None:
    assert date_in(name) == day


@given(st.text(max_size=400))
def test_any_text_gives_lines_or_a_reason(text: str) -> None:
    lines, wrong = read_list(text)
    assert all(len(line.sha256) == 64 for line in lines)
    assert wrong is None or wrong.line >= 1
