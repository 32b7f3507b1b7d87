"""Asking on schedule: begins what is due, collects what comes back, gives up what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from cortops.monitor.schedule import Fetch, Schedule
from cortops.surfaces.judging import Ask
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError
from cortops.words.question import NoAnswer, Reply, Silence

OVERDUE_S = 2.0  # after its own timeout a fetch is given up


@dataclass(slots=True)
class Counted:
    """Since the watch began. given_up: fetches that did not even end in time."""

    answers: int = 0
    silences: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    """A fetch that was begun: `begun` on the monotonic clock, `at` on the wall's."""

    fetch: Fetch
    task: asyncio.Task[None]
    begun: float
    at: float


class Asking:
    """`begin` what is due, then `take` what came back; `under_way` says whether anything is still out."""

    def __init__(self, ask: Ask, schedule: Schedule, clock: Clock) -> None:
        self.counted = Counted()
        self._ask = ask
        self._schedule = schedule
        self._clock = clock
        self._out: dict[str, _UnderWay] = {}
        self._fresh: dict[str, Reply] = {}

    @property
    def under_way(self) -> int:
        return len(self._out)

    def begin(self, group: asyncio.TaskGroup) -> float:
        """Begin every fetch that is due; returns when the next one is, in seconds of the monotonic clock."""
        now = self._clock.monotonic()
        for fetch in self._schedule.begin(now):
            task = group.create_task(self._one(fetch))
            self._out[fetch.key] = _UnderWay(fetch=fetch, task=task, begun=now, at=self._clock.now())
        return self._schedule.wake_at()

    def take(self) -> dict[str, Reply]:
        """What came back since the last call, by question; for what is overdue, that it did not."""
        now = self._clock.monotonic()
        for out in [out for out in self._out.values() if now - out.begun > out.fetch.timeout_s + OVERDUE_S]:
            out.task.cancel()
            self.counted.given_up += 1
            self._back(out.fetch, _silences(out.fetch, out.at, now - out.begun, "our own question did not end in time"))
        fresh, self._fresh = self._fresh, {}
        return fresh

    def hurry(self, questions: frozenset[str]) -> None:
        self._schedule.hurry(questions)

    async def _one(self, fetch: Fetch) -> None:
        begun, at = self._clock.monotonic(), self._clock.now()
        try:
            replies = await self._ask(fetch.questions)
        except (CortopsError, OSError) as error:
            replies = _silences(fetch, at, self._clock.monotonic() - begun, f"could not be asked: {error}")
        self._back(fetch, replies)

    def _back(self, fetch: Fetch, replies: Mapping[str, Reply]) -> None:
        del self._out[fetch.key]
        self._schedule.ended(fetch.key)
        silences = sum(isinstance(reply, NoAnswer) for reply in replies.values())
        self.counted.silences += silences
        self.counted.answers += len(replies) - silences
        self._fresh.update(replies)


def _silences(fetch: Fetch, at: float, elapsed_s: float, why: str) -> dict[str, Reply]:
    return {
        question.id: NoAnswer(question=question.id, at=at, elapsed_s=elapsed_s, silence=Silence.LOST, why=why)
        for question in fetch.questions
    }
