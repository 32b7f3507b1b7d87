"""Keeps the history without ever holding the watch up: rounds wait in a bounded queue while the file is locked, full or gone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from cortops.monitor.record import RoundRecord
from cortops.monitor.store import Store
from cortops.words.clock import Clock
from cortops.words.errors import StoreUnavailable

ANSWERS_WAITING_MAX = 100  # rounds; of older ones only the states wait
ROUNDS_WAITING_MAX = 10_000
RETRY_S, RETRY_MAX_S = 1.0, 30.0

T = TypeVar("T")


class Thread(Protocol):
    """Runs blocking work elsewhere; asyncio.to_thread is one."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class Keeper:
    """`put` a round at any time; `run` writes them in order. `trouble` says why that does not go on, empty when it does."""

    def __init__(self, store: Store, clock: Clock, thread: Thread = asyncio.to_thread) -> None:
        self.trouble = ""
        self._store = store
        self._clock = clock
        self._thread = thread
        self._waiting: deque[RoundRecord] = deque()
        self._bare = 0  # how many, from the left, have lost their answers
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Rounds that are not stored yet."""
        return len(self._waiting)

    def put(self, record: RoundRecord) -> None:
        """Take a round; never waits. Past the limits the oldest give up their answers, then those that say nothing new, then the oldest."""
        self._waiting.append(record)
        self._news.set()
        if len(self._waiting) - self._bare > ANSWERS_WAITING_MAX:
            bare = replace(self._waiting[self._bare], replies={}, counts={})
            if self._bare and self._waiting[self._bare - 1].states == bare.states:
                self._waiting[self._bare - 1] = bare
                del self._waiting[self._bare]
            else:
                self._waiting[self._bare] = bare
                self._bare += 1
        if len(self._waiting) > ROUNDS_WAITING_MAX:
            self._taken()

    async def run(self) -> None:
        """Write what is put, for ever; a failure is told in `trouble`, and the same round is tried again."""
        pause_s = RETRY_S
        while True:
            while self._waiting:
                if await self._try(self._waiting[0]):
                    pause_s = RETRY_S
                else:
                    await self._clock.sleep(pause_s)
                    pause_s = min(pause_s * 2, RETRY_MAX_S)
            self._news.clear()
            await self._news.wait()

    def end(self) -> None:
        """Write what still waits, until the first failure, and close the store. Blocking; for the end of the process."""
        try:
            while self._waiting:
                self._store.write(self._waiting[0])
                self._taken()
        except StoreUnavailable as error:
            self.trouble = _why(error)
        self._store.close()

    async def _try(self, record: RoundRecord) -> bool:
        try:
            await self._thread(lambda: self._store.write(record))
        except StoreUnavailable as error:
            self.trouble = _why(error)
            return False
        self.trouble = ""
        if self._waiting and self._waiting[0] is record:
            self._taken()
        return True

    def _taken(self) -> None:
        self._waiting.popleft()
        self._bare = max(self._bare - 1, 0)


def _why(error: StoreUnavailable) -> str:
    return f"the history cannot be kept: {error.what}"
