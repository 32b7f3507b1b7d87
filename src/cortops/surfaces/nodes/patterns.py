"""Pattern packs: what lines of cortensord's log mean. Pure.

No genuine log is public. The expressions follow those of the community's own parsers (operators 2.3), whose line forms have changed
three times: so a pack has a version, the one that matches most is taken, and a line that none knows is counted and never an error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

STATS_CHARS_MAX = 4_096  # of the dict text of one Event Stats line
ADDRESSES_MAX = 256  # of one Assigned Miners line
SPLIT_LINES_MAX = 4  # between the two halves of a state that stands on two lines

# What the host filters by, before anything travels: a superset of every pack, as extended expressions for awk; CHEAP_LOWER is tried on
# the line in lower case.
CHEAP_LOWER = "latest|session|state|assigned miners|tx:|event|task mode|pinging|stale|cognitive|cl:|traceback|ipfs|repo[.]lock|version"
CHEAP = "USER"


@dataclass(frozen=True, slots=True)
class SessionState:
    """The latest network session as the node sees it. state: 3 precommit, 4 commit, 6 ended; others are not proven (operators 2.3)."""

    id: int
    state: int


@dataclass(frozen=True, slots=True)
class AssignedMiners:
    """Who is selected in this round, in lower case."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """The node sent a transaction."""

    tx: str


@dataclass(frozen=True, slots=True)
class Happened:
    """The node's own event, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class EventStats:
    """The node's own counters by event."""

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TaskMode:
    """What it works for: a user's task or the network's."""

    text: str

    @property
    def user(self) -> bool:
        return "USER" in self.text.upper()


@dataclass(frozen=True, slots=True)
class Pinged:
    """The heartbeat line: normal once a cycle, suspicious when nothing else comes."""


@dataclass(frozen=True, slots=True)
class PoolStale:
    """What the node pool thinks of the node. pool: `ephemeral` or `reserved`."""

    pool: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Level:
    """The node's cognitive level."""

    level: int


@dataclass(frozen=True, slots=True)
class Traceback:
    """A Python fault; often it heals itself."""


@dataclass(frozen=True, slots=True)
class IpfsLocked:
    """Two programs want one IPFS repository: a fault of configuration, which no restart cures."""


@dataclass(frozen=True, slots=True)
class VersionMismatch:
    """The contract wants a newer program. The exact wording is not public."""

    text: str


What = (
    SessionState
    | AssignedMiners
    | Sent
    | Happened
    | EventStats
    | TaskMode
    | Pinged
    | PoolStale
    | Level
    | Traceback
    | IpfsLocked
    | VersionMismatch
)


@dataclass(frozen=True, slots=True)
class _Half:
    """One half of a state on two lines: exactly one of the two is there."""

    id: int | None = None
    state: int | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as it was read; number: its place in what was read, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What a line means. at: seconds since 1970 where the line carries a time stamp, else None."""

    line: int
    at: float | None
    what: What


Meaning = Callable[[re.Match[str]], "What | _Half | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One form of cortensord's log: expressions in order, the first that matches a line wins."""

    name: str
    version: int
    patterns: tuple[tuple[re.Pattern[str], Meaning], ...]

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvents:
    """All that a log said. pack: the one that fits, "" when none knows a line. unknown: how many lines it did not know."""

    pack: str
    events: tuple[LogEvent, ...]
    unknown: int


def understand(lines: Sequence[LogLine], *, utc_offset_s: float = 0.0) -> LogEvents:
    """Lines in order -> events by the pack that knows most of them. utc_offset_s: the host's, for stamps that name no zone."""
    clean = [LogLine(line.number, plain(line.text)) for line in lines]
    best: tuple[int, int, Pack, list[tuple[LogLine, What | _Half]]] | None = None
    for pack in PACKS:
        found = [(line, meaning) for line in clean if (meaning := _meaning(pack, line.text)) is not None]
        score = sum(isinstance(meaning, SessionState | _Half) for _, meaning in found), len(found)
        if best is None or score > best[:2]:
            best = (*score, pack, found)
    assert best is not None
    pack, found = best[2], best[3]
    events = tuple(_joined(found, utc_offset_s))
    return LogEvents(pack=str(pack) if found else "", events=events, unknown=len(lines) - len(found))


def plain(text: str) -> str:
    """A line without colour codes and other control characters."""
    return _CONTROL.sub("", _ANSI.sub("", text)).rstrip()


def stamp_of(text: str, utc_offset_s: float = 0.0) -> float | None:
    """Seconds since 1970 of a line that begins with a date and a time, else None."""
    found = _STAMP.match(text)
    if found is None:
        return None
    date, time, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{date}T{time}")
        tz = timezone(timedelta(seconds=utc_offset_s)) if not zone else UTC if zone == "Z" else datetime.strptime(zone, "%z").tzinfo
    except ValueError:
        return None
    return at.replace(tzinfo=tz).timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_STAMP = re.compile(
    r"\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?\]?",
)
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}\b")


def _meaning(pack: Pack, text: str) -> What | _Half | None:
    for pattern, meaning in pack.patterns:
        if (match := pattern.search(text)) is not None and (what := meaning(match)) is not None:
            return what
    return None


def _joined(found: Iterable[tuple[LogLine, What | _Half]], utc_offset_s: float) -> Iterable[LogEvent]:
    """Events in order; an id and the state that follows it within SPLIT_LINES_MAX lines become one SessionState."""
    waiting: tuple[int, int] | None = None  # line, id
    for line, meaning in found:
        at = stamp_of(line.text, utc_offset_s)
        if not isinstance(meaning, _Half):
            yield LogEvent(line.number, at, meaning)
        elif meaning.id is not None:
            waiting = line.number, meaning.id
        elif waiting is not None and meaning.state is not None and line.number - waiting[0] <= SPLIT_LINES_MAX:
            yield LogEvent(line.number, at, SessionState(waiting[1], meaning.state))
            waiting = None


def _stats(match: re.Match[str]) -> EventStats | None:
    """Python's own dict text, read as data and never run."""
    try:
        value = ast.literal_eval(match[1][:STATS_CHARS_MAX])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return EventStats({str(name): count for name, count in value.items() if isinstance(count, int)})


def _assigned(match: re.Match[str]) -> AssignedMiners:
    return AssignedMiners(tuple(address.lower() for address in _ADDRESS.findall(match[1])[:ADDRESSES_MAX]))


def _state(match: re.Match[str]) -> SessionState:
    return SessionState(int(match[1]), int(match[2]))


_N = r"(\d{1,18})"
_COMMON: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(r"Assigned Miners:(.*)"), _assigned),
    (re.compile(r"Event Stats:\s*(\{.*\})"), _stats),
    (re.compile(r"\bTX:\s*(0x[0-9a-fA-F]{64})\b"), lambda match: Sent(match[1].lower())),
    (re.compile(r"\*\s*Event:\s*(\S{1,64})"), lambda match: Happened(match[1])),
    (re.compile(r"\*\s*Task Mode:\s*(.{1,64})"), lambda match: TaskMode(match[1].strip())),
    (
        re.compile(r"Node Pool (Ephemeral|Reserved) Node Stale:\s*(True|False)", re.IGNORECASE),
        lambda match: PoolStale(match[1].lower(), match[2].lower() == "true"),
    ),
    (re.compile(r"(?:\bCognitive\s+Level|\bCL)\s*:\s*(\d{1,3})\b", re.IGNORECASE), lambda match: Level(int(match[1]))),
    (re.compile(r"Pinging network\.\.\."), lambda match: Pinged()),
    (re.compile(r"Traceback \(most recent call last\):"), lambda match: Traceback()),
    (re.compile(r"\brepo\.lock\b|\bipfs\b.*\block(?:ed)?\b|\block(?:ed)?\b.*\bipfs\b", re.IGNORECASE), lambda match: IpfsLocked()),
    (
        re.compile(
            r"\bversion\b.*\b(?:mismatch|outdated|incompatible|too old|not supported|unsupported|upgrade required)\b"
            r"|\b(?:mismatch|outdated|incompatible|unsupported)\b.*\bversion\b",
            re.IGNORECASE,
        ),
        lambda match: VersionMismatch(match[0][:120]),
    ),
)
_MODE_LAST: tuple[tuple[re.Pattern[str], Meaning], ...] = ((re.compile(r"\bUSER\b"), lambda match: TaskMode("USER")),)

_ONE_LINE = re.compile(rf"Latest\s+ID\s*:\s*{_N}\s*[/|]\s*Latest\s+State\s*:\s*{_N}\b", re.IGNORECASE)
_LATEST_ID = re.compile(rf"Latest\s+ID\s*:\s*{_N}\s*$", re.IGNORECASE)
_LATEST_STATE = re.compile(rf"^(?!.*Latest\s+ID).*Latest\s+State\s*:\s*{_N}\s*$", re.IGNORECASE)
_LEGACY = re.compile(rf"(?:Remote\s*Session|Session\s*ID)\s*[:=\s]\s*{_N}.*?\bState\s*[:=\s]\s*{_N}\b", re.IGNORECASE)

# Newest first: of packs that know equally much, the first is taken.
PACKS = (
    Pack(name="one-line", version=3, patterns=((_ONE_LINE, _state), *_COMMON, *_MODE_LAST)),
    Pack(
        name="split",
        version=2,
        patterns=(
            (_LATEST_ID, lambda match: _Half(id=int(match[1]))),
            (_LATEST_STATE, lambda match: _Half(state=int(match[1]))),
            *_COMMON,
            *_MODE_LAST,
        ),
    ),
    Pack(name="legacy", version=1, patterns=((_LEGACY, _state), *_COMMON, *_MODE_LAST)),
)
