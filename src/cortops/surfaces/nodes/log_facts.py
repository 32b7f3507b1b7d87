"""What the newest part of a log says of its node: the last word on each thing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cortops.surfaces.nodes.patterns import (
    AssignedMiners,
    EventStats,
    Happened,
    IpfsLocked,
    Level,
    LogEvent,
    LogEvents,
    Pinged,
    PoolStale,
    Sent,
    SessionState,
    TaskMode,
    Traceback,
    VersionMismatch,
)

MODE_LINES_MAX = 30  # a USER further from the end speaks of the past (the window of the community's own watcher)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """What the newest part of one log says, the last word on each thing.

    pack: the pattern pack that fits, "" for none. lines: how many were read, unknown: of those that travelled, not understood.
    pings_since_work: heartbeat lines after the last sign of work. user: it serves a user's task. stale: pools that call it stale.
    stale_since, traceback_at: seconds since 1970 by our clock where the lines carry stamps, else None.
    traceback_lines: lines after a fault since which nothing moved, None when there is none. ipfs_locked, version_mismatch: likewise.
    """

    pack: str
    lines: int
    unknown: int
    session: SessionState | None = None
    assigned: tuple[str, ...] | None = None
    sent: int = 0
    last_event: str = ""
    stats: Mapping[str, int] = field(default_factory=dict)
    mode: str = ""
    user: bool = False
    level: int | None = None
    pings: int = 0
    pings_since_work: int = 0
    stale: tuple[str, ...] = ()
    stale_since: float | None = None
    traceback_lines: int | None = None
    traceback_at: float | None = None
    ipfs_locked: bool = False
    version_mismatch: str = ""


def facts_of(found: LogEvents, total: int, offset_s: float = 0.0) -> LogFacts:
    """Events of the newest part of a log -> the last word on each thing.

    total: lines in that part. offset_s: our clock minus the host's.
    """
    facts = LogFacts(pack=found.pack, lines=total, unknown=found.unknown)
    stale: dict[str, float | None] = {}
    for event in found.events:
        at = None if event.at is None else event.at + offset_s
        facts = _after(facts, event, at, total, stale)
    starts = [at for at in stale.values() if at is not None]
    return replace(facts, stale=tuple(stale), stale_since=min(starts) if starts else None)


def _after(facts: LogFacts, event: LogEvent, at: float | None, total: int, stale: dict[str, float | None]) -> LogFacts:
    """The facts after one more event; a sign of work lays to rest what was wrong before it."""
    match event.what:
        case SessionState() as session if session != facts.session:
            return replace(facts, session=session, **_MOVED)
        case Sent():
            return replace(facts, sent=facts.sent + 1, pings_since_work=0, **_MOVED)
        case Happened(name):
            return replace(facts, last_event=name, pings_since_work=0, **_MOVED)
        case TaskMode() as mode:
            near = total - event.line < MODE_LINES_MAX
            return replace(facts, mode=mode.text, user=mode.user and near, **(_MOVED if mode.user else {}))
        case AssignedMiners(addresses):
            return replace(facts, assigned=addresses)
        case EventStats(counts):
            return replace(facts, stats=counts)
        case Level(level):
            return replace(facts, level=level)
        case Pinged():
            return replace(facts, pings=facts.pings + 1, pings_since_work=facts.pings_since_work + 1)
        case PoolStale(pool, is_stale):
            if is_stale:
                stale.setdefault(pool, at)
            else:
                stale.pop(pool, None)
        case Traceback():
            return replace(facts, traceback_lines=max(0, total - event.line), traceback_at=at)
        case IpfsLocked():
            return replace(facts, ipfs_locked=True)
        case VersionMismatch(text):
            return replace(facts, version_mismatch=text)
    return facts


_MOVED: Mapping[str, Any] = {"traceback_lines": None, "traceback_at": None, "ipfs_locked": False, "version_mismatch": ""}
