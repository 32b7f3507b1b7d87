"""Usage as people look at it: sums by day, model and key, and the bars of a small drawing. Pure; lengths in CSS pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cortops.protocol.usage import DAY_S
from cortops.protocol.usage_days import UsageDay

BAR, GAP, TALL = 12, 4, 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Requests, those that failed or were refused, and tokens of whatever `of` names."""

    of: str
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, row: UsageDay) -> Sum:
        """With one more row."""
        return Sum(
            of=self.of,
            requests=self.requests + row.requests,
            errors=self.errors + row.errors,
            prompt_tokens=self.prompt_tokens + row.prompt_tokens,
            completion_tokens=self.completion_tokens + row.completion_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day: its rectangle, and what it says. errors_height: of the part that failed, from the ground up."""

    x: int
    y: int
    height: int
    errors_height: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Bars of requests a day, the oldest first. bar: the width of one."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    bar: int = BAR


def sums(rows: Iterable[UsageDay], of: Callable[[UsageDay], str]) -> tuple[Sum, ...]:
    """Rows added up by what `of` says of each, most requests first."""
    found: dict[str, Sum] = {}
    for row in rows:
        found[of(row)] = found.get(of(row), Sum(of=of(row))).add(row)
    return tuple(sorted(found.values(), key=lambda item: (-item.requests, item.of)))


def total(rows: Iterable[UsageDay]) -> Sum:
    """All of them."""
    return next(iter(sums(rows, lambda _row: "all")), Sum(of="all"))


def by_day(rows: Sequence[UsageDay], days: Sequence[str]) -> tuple[Sum, ...]:
    """A sum for each of `days` in their order, also for those without a request."""
    known: Mapping[str, Sum] = {item.of: item for item in sums(rows, lambda row: row.day)}
    return tuple(known.get(day, Sum(of=day)) for day in days)


def drawing(days: Sequence[Sum]) -> Drawing:
    """A bar for each day; the busiest one reaches the top, and a day with one request is seen."""
    peak = max((day.requests for day in days), default=0)
    return Drawing(
        width=max(len(days) * (BAR + GAP) - GAP, BAR), height=TALL, bars=tuple(_bar(place, day, peak) for place, day in enumerate(days))
    )


def _bar(place: int, day: Sum, peak: int) -> Bar:
    height, errors = (_share(part, peak) for part in (day.requests, day.errors))
    failed = f", {day.errors:,} failed or refused" if day.errors else ""
    noun = "request" if day.requests == 1 else "requests"
    text = f"{day.of}: {day.requests:,} {noun}{failed}, {day.prompt_tokens + day.completion_tokens:,} tokens"
    return Bar(x=place * (BAR + GAP), y=TALL - height, height=height, errors_height=errors, text=text)


def _share(part: int, peak: int) -> int:
    return max(round(TALL * part / peak), 2) if part else 0


def days_until(now: float, count: int) -> tuple[str, ...]:
    """The last `count` days in UTC with today as the last one: `2026-11-28`."""
    today = datetime.fromtimestamp(now, UTC).date()
    return tuple((today - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1))


def span_of(now: float, count: int) -> tuple[float, float]:
    """(when the first of these days begins, when today ends), seconds since 1970."""
    end = (now // DAY_S + 1) * DAY_S
    return end - count * DAY_S, end
