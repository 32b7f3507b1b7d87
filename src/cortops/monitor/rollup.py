"""Five minutes of one question in a row: how its answers were judged, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cortops.monitor.record import RoundRecord

ROLLUP_S: Final = 300


@dataclass(slots=True)
class _Bucket:
    """What is counted of one question so far."""

    ok: int = 0
    bad: int = 0
    inconclusive: int = 0
    elapsed_ms: list[float] = field(default_factory=list)


RollupRow = tuple[int, str, int, int, int, int, float, float]
"""at (seconds), question, ok, bad, inconclusive, replies, p50_ms, max_ms"""


class Rollups:
    """Counts rounds up; a bucket is complete when a round of a later one comes. Bounded: one bucket of five minutes."""

    def __init__(self) -> None:
        self._at = 0
        self._questions: dict[str, _Bucket] = {}

    def complete(self, at: float) -> Iterator[RollupRow]:
        """The rows that are complete at `at`; they stay until `add` begins the next bucket."""
        if bucket_of(at) != self._at:
            yield from self.rows()

    def rows(self) -> Iterator[RollupRow]:
        """The rows as they are now."""
        for question, item in self._questions.items():
            elapsed = sorted(item.elapsed_ms) or [0.0]
            yield (
                self._at,
                question,
                item.ok,
                item.bad,
                item.inconclusive,
                len(item.elapsed_ms),
                elapsed[len(elapsed) // 2],
                elapsed[-1],
            )

    def add(self, record: RoundRecord) -> None:
        """Count a round in; one of another bucket than the last begins anew."""
        if bucket_of(record.at) != self._at:
            self._at, self._questions = bucket_of(record.at), {}
        for question, reply in record.replies.items():
            self._questions.setdefault(question, _Bucket()).elapsed_ms.append(reply.elapsed_s * 1000)
        for question, counts in record.counts.items():
            bucket = self._questions.setdefault(question, _Bucket())
            bucket.ok += counts.ok
            bucket.bad += counts.bad
            bucket.inconclusive += counts.inconclusive


def bucket_of(at: float) -> int:
    return int(at) // ROLLUP_S * ROLLUP_S
