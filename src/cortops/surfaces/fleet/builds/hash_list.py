"""Lists of known hashes as sha256sum writes them, with dates: `HEX  NAME`, `HEX  DATE  NAME`, or a date in the name. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cortops.environment.release import is_date

LINES_MAX = 10_000

_HEX = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"(?<![0-9])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a list. date: `YYYY-MM-DD`, "" where it tells none. name: of the file, "" where it tells none."""

    line: int
    sha256: str
    date: str
    name: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is none of a list, and why."""

    line: int
    why: str


def read_list(text: str) -> tuple[tuple[Listed, ...], Unreadable | None]:
    """Every line of a list, up to the first that cannot be read. Empty lines and those that begin with # say nothing."""
    found: list[Listed] = []
    for number, line in enumerate(text.splitlines(), 1):
        if number > LINES_MAX:
            return tuple(found), Unreadable(number, f"is one of more than {LINES_MAX:,}")
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not _HEX.fullmatch(words[0].lower()):
            return tuple(found), Unreadable(number, "does not begin with 64 hex digits")
        dates = [word for word in words[1:] if is_date(word)]
        names = [word.lstrip("*") for word in words[1:] if word not in dates]
        if len(dates) > 1:
            return tuple(found), Unreadable(number, "has more than one date")
        name = " ".join(names)
        found.append(Listed(line=number, sha256=words[0].lower(), date=dates[0] if dates else date_in(name), name=name))
    return tuple(found), None


def date_in(name: str) -> str:
    """The day that a file's name tells, `cortensord-2026-04-22` -> `2026-04-22`; "" where it tells none or several."""
    days = {day for day in _DATE.findall(name) if is_date(day)}
    return days.pop() if len(days) == 1 else ""
