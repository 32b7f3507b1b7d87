"""How times, scopes and limits are written on the portal's pages. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

_SPANS = (("d", 86_400, 2), ("h", 3600, 1), ("min", 60, 1))
NEVER = "never"


def utc(at: float | None) -> str:
    """Seconds since 1970 -> `28 Nov 2026, 14:02 UTC`; `never` for None."""
    if at is None:
        return NEVER
    when = datetime.fromtimestamp(at, UTC)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def relative(at: float | None, now: float) -> str:
    """`3 d ago`, `in 12 d`, `now`; "" for None."""
    if at is None:
        return ""
    whole = int(abs(at - now))
    span = next((f"{whole // size} {unit}" for unit, size, least in _SPANS if whole >= least * size), "")
    if not span:
        return "now"
    return f"in {span}" if at > now else f"{span} ago"
