"""Many deadlines, one sleeper: what may take too long is watched, and told when its time is over."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Protocol

from cortops.words.clock import Clock

TICK_S_MAX = 0.1  # a deadline set while the sleeper sleeps is seen at most this late
TICK_S_MIN = 0.001


class Expirable(Protocol):
    """Something with a `deadline` (Clock.monotonic seconds, inf = none), which may be moved at any time at no cost."""

    deadline: float

    def expire(self) -> None:
        """Called once, at or up to 0.1 s after the deadline; must not raise."""


class Deadlines:
    """Watches any number of Expirables with one task, which runs only while there are some.

    Moving a deadline is an attribute, not a timer: a busy connection pays nothing for being watched.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: set[Expirable] = set()
        self._task: asyncio.Task[None] | None = None

    def watch(self, item: Expirable) -> None:
        self._items.add(item)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self, item: Expirable) -> None:
        self._items.discard(item)

    def within(self, seconds: float) -> Limit:
        """`async with deadlines.within(5):` cancels the body after `seconds` and raises TimeoutError, as asyncio.timeout does."""
        return Limit(self, self._clock.monotonic() + seconds)

    def close(self) -> None:
        """Stop watching; nothing expires any more."""
        self._items.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while self._items:
            now = self._clock.monotonic()
            nearest, due = math.inf, []
            for item in self._items:
                if item.deadline <= now:
                    due.append(item)
                elif item.deadline < nearest:
                    nearest = item.deadline
            for item in due:
                self._items.discard(item)
                item.expire()
            await self._clock.sleep(max(TICK_S_MIN, min(TICK_S_MAX, nearest - now)))


class Limit:
    """One bounded wait; made by Deadlines.within."""

    def __init__(self, deadlines: Deadlines, deadline: float) -> None:
        self.deadline = deadline
        self._deadlines = deadlines
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    def expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Limit:
        self._task = asyncio.current_task()
        assert self._task is not None, "a limit needs a task"
        self._cancelling = self._task.cancelling()
        self._deadlines.watch(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._deadlines.forget(self)
        task, self._task = self._task, None
        # As asyncio.timeout: our own cancel becomes TimeoutError, somebody else's stays what it is.
        if self._expired and task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError
