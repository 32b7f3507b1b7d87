"""How states, times and ages are written on the console's pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cortops.words.state import State

MARKS: Mapping[State, str] = {State.OK: "●", State.DEGRADED: "▲", State.DOWN: "■", State.UNKNOWN: "◌", State.MAINTENANCE: "◇"}
WORST_FIRST = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.MAINTENANCE, State.OK)
NEVER = "–"

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def utc(at: float | None, now: float) -> str:
    """Seconds since 1970 -> `14:02:11 UTC`, with the day before it where that is not the day of `now`; `–` for None, 0 or out of range."""
    try:
        when, today = datetime.fromtimestamp(at or 0, UTC), datetime.fromtimestamp(now, UTC)
    except (OverflowError, ValueError, OSError):
        return NEVER
    if not at:
        return NEVER
    day = "" if when.date() == today.date() else f"{when.day} {when:%b} " if when.year == today.year else f"{when.day} {when:%b %Y} "
    return f"{day}{when:%H:%M:%S} UTC"


def age(seconds: float) -> str:
    """`6 s`, `3 min`, `2 h`, `4 d`, rounded down; `0 s` for what is still to come. console.js says the same."""
    whole = int(max(seconds, 0))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    return f"{whole // _HOUR_S} h" if whole < 2 * _DAY_S else f"{whole // _DAY_S} d"


def listed(names: Iterable[str], most: int = 3) -> str:
    """`a, b and c`, or `a, b, c and 4 more`."""
    known = list(names)
    if len(known) > most:
        return f"{', '.join(known[:most])} and {len(known) - most} more"
    return " and ".join(part for part in (", ".join(known[:-1]), *known[-1:]) if part)
