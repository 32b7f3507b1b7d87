"""What a key or an organisation may take, and the counters that all processes and hosts of a gateway share.

A process takes shares ahead (a *lease*) and spends them without asking; `grant` decides how much, `exchange` carries it out. A minute is
the clock's, a month is UTC's: at its turn the allowance is whole again, so around it up to twice a minute's limit may pass within 60 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cortops.protocol.database import Database, Schema, Transaction
from cortops.protocol.store import open_database
from cortops.words.errors import BadInput

Kind = Literal["requests_per_min", "tokens_per_min", "streams_max", "tokens_per_month"]
Allowance = Annotated[int, Meta(ge=1, le=10**15)]
MINUTE_S = 60
STREAMS_LEASE_S = 10.0  # what a process that was killed held is free again after this
KEPT_S = 3600.0  # rows of past minutes, and of processes that are gone
MONTHS_KEPT_S = 400 * 86_400.0

SCHEMA = Schema(
    name="limits",
    steps=(
        """
CREATE TABLE IF NOT EXISTS limit_counters (
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  period BIGINT NOT NULL,
  taken BIGINT NOT NULL,
  PRIMARY KEY (subject, kind, period)
);
CREATE TABLE IF NOT EXISTS limit_streams (
  subject TEXT NOT NULL,
  process TEXT NOT NULL,
  held BIGINT NOT NULL,
  ends_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (subject, process)
)
""",
    ),
)
LOCKED = (
    "INSERT INTO limit_counters (subject, kind, period, taken) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (subject, kind, period) DO UPDATE SET taken = limit_counters.taken RETURNING taken"
)
HELD = (
    "INSERT INTO limit_streams (subject, process, held, ends_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (subject, process) DO UPDATE SET held = excluded.held, ends_at = excluded.ends_at"
)


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one key, or all keys of one organisation together, may take; None: no limit of its own.

    streams_max: answers that stream at once. tokens_per_month: prompt and completion, the quota.
    """

    requests_per_min: Allowance | None = None
    tokens_per_min: Allowance | None = None
    streams_max: Allowance | None = None
    tokens_per_month: Allowance | None = None

    def over(self, defaults: KeyLimits) -> KeyLimits:
        """These, and of `defaults` those of which there is none here."""
        own = {kind: value for kind in KINDS if (value := getattr(self, kind)) is not None}
        return msgspec.structs.replace(defaults, **own)

    def rules(self, subject: str) -> Iterator[Rule]:
        """The limits that are set, as rules for `subject`."""
        for kind in KINDS:
            limit = getattr(self, kind)
            if limit is not None:
                yield Rule(subject=subject, kind=kind, limit=limit)


KINDS: tuple[Kind, ...] = ("requests_per_min", "tokens_per_min", "streams_max", "tokens_per_month")
NO_LIMITS = KeyLimits()


def changed_limits(limits: KeyLimits, changes: Mapping[str, int | None]) -> KeyLimits:
    """`limits` with those of `changes` in it; None takes one away. Raises BadInput: no such limit, or a value below 1."""
    unknown = [name for name in changes if name not in KINDS]
    if unknown:
        raise BadInput(f"no limit: {', '.join(unknown)[:200]}", next=f"limits are {', '.join(KINDS)}")
    try:
        return msgspec.convert({**msgspec.structs.asdict(limits), **changes}, KeyLimits)
    except msgspec.ValidationError as error:
        raise BadInput(
            f"a limit is a whole number of 1 or more: {error}", next="keys that may do nothing are revoked: cortops keys revoke"
        ) from error


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one subject: `key:ID` or `organisation:NAME`."""

    subject: str
    kind: Kind
    limit: int


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a process wants of one counter in one period.

    least, want: a share of at least `least` and up to `want`; both 0: nothing. charge: what was used beyond shares, or below 0 what is
    given back. held: for streams, all that this process has, whatever the store thinks.
    """

    rule: Rule
    period: int
    least: int = 0
    want: int = 0
    charge: int = 0
    held: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an Ask: the share, and how much all processes have taken now."""

    granted: int
    taken: int


def period_of(kind: Kind, now: float) -> tuple[int, float]:
    """(when the present period began, when it ends), seconds since 1970. Streams know no period: (0, inf)."""
    if kind == "streams_max":
        return 0, math.inf
    if kind == "tokens_per_month":
        at = datetime.fromtimestamp(now, UTC)
        year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
        return int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp()), datetime(year, month, 1, tzinfo=UTC).timestamp()
    start = int(now // MINUTE_S) * MINUTE_S
    return start, float(start + MINUTE_S)


def grant(limit: int, taken: int, least: int, want: int) -> int:
    """The share: `want`, or what is left if that is at least `least`, else 0. Never more than `limit` in all."""
    left = limit - taken
    return min(want, left) if want > 0 and left >= max(1, least) else 0


def open_limits(where: Path | str, *, create: bool = False) -> Database:
    """The database of the counters, the one that holds the keys. Raises StoreUnavailable."""
    return open_database(where, SCHEMA, create=create)


def exchange(database: Database, process: str, asks: Sequence[Ask], now: float) -> list[Told]:
    """Carry out `asks` for `process` in one transaction; an answer for each. Raises StoreUnavailable: then it may have happened."""
    told: dict[int, Told] = {}
    # Everyone locks counters in the same order, so that no two wait for each other.
    order = sorted(range(len(asks)), key=lambda index: (asks[index].rule.subject, asks[index].rule.kind, asks[index].period))
    with database.transaction() as transaction:
        for index in order:
            ask = asks[index]
            place = (ask.rule.subject, ask.rule.kind, ask.period)
            taken = int(transaction.execute(LOCKED, place)[0][0])  # locked until the end
            if ask.rule.kind == "streams_max":
                told[index] = _streams(transaction, process, ask, now)
            else:
                charged = max(0, taken + ask.charge)
                granted = grant(ask.rule.limit, charged, ask.least, ask.want)
                if charged + granted != taken:
                    transaction.execute(
                        "UPDATE limit_counters SET taken = ? WHERE subject = ? AND kind = ? AND period = ?", (charged + granted, *place)
                    )
                told[index] = Told(granted=granted, taken=charged + granted)
    return [told[index] for index in range(len(asks))]


def _streams(transaction: Transaction, process: str, ask: Ask, now: float) -> Told:
    """Streams are held by processes, each for as long as it says so again: what one that died held ends by itself."""
    others = transaction.execute(
        "SELECT CAST(coalesce(sum(held), 0) AS BIGINT) FROM limit_streams WHERE subject = ? AND process <> ? AND ends_at > ?",
        (ask.rule.subject, process, now),
    )[0][0]
    granted = grant(ask.rule.limit, others + ask.held, ask.least, ask.want)
    held = ask.held + granted
    if held:
        transaction.execute(HELD, (ask.rule.subject, process, held, now + STREAMS_LEASE_S))
    else:
        transaction.execute("DELETE FROM limit_streams WHERE subject = ? AND process = ?", (ask.rule.subject, process))
    return Told(granted=granted, taken=others + held)


def forget_old(database: Database, now: float) -> None:
    """Remove what no decision needs any more. Raises StoreUnavailable."""
    with database.transaction() as transaction:
        minutes = "DELETE FROM limit_counters WHERE kind IN ('requests_per_min', 'tokens_per_min') AND period < ?"
        transaction.execute(minutes, (int(now - KEPT_S),))
        transaction.execute("DELETE FROM limit_counters WHERE kind = 'tokens_per_month' AND period < ?", (int(now - MONTHS_KEPT_S),))
        transaction.execute("DELETE FROM limit_streams WHERE ends_at < ?", (now - KEPT_S,))


def tokens_this_month(database: Database, now: float) -> dict[str, int]:
    """{subject: tokens counted in this month, shares of running processes included}. Raises StoreUnavailable."""
    period, _ = period_of("tokens_per_month", now)
    with database.reading() as transaction:
        query = "SELECT subject, taken FROM limit_counters WHERE kind = 'tokens_per_month' AND period = ?"
        return {str(subject): int(taken) for subject, taken in transaction.execute(query, (period,))}
