"""A clock that tests own: time passes when everything waits, or by hand, and never by itself."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START = 1_800_000_000.0  # 2027-01-15 08:00 UTC
QUIET_TURNS = 3  # empty turns of the loop after which nothing is under way; loopback sockets answer within one
REAL_WAIT_S = 0.002  # given to sockets and threads when nobody sleeps
REAL_WAIT_S_MAX = 5.0


class VirtualClock:
    """words.clock.Clock whose seconds are counted, not waited for. Equal programs see equal times.

    `await advance(s)` moves by hand: every sleeper on the way wakes in order of its time and runs until it waits again.
    `run(main())` is asyncio.run in which the clock jumps to the next sleeper whenever nothing else can go on.
    """

    def __init__(self, start: float = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; returns when everything that woke waits again."""
        end = self._elapsed + seconds
        await self._settle()
        while (wake := self._next()) is not None and wake <= end:
            self._wake(wake)
            await self._settle()
        self._elapsed = end

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end, jumping over every wait. RuntimeError when all stand still for 5 real seconds and nobody sleeps."""
        return asyncio.run(self.drive(main))

    async def drive(self, main: Coroutine[Any, Any, T]) -> T:
        """`run` for a loop that already turns."""
        task = asyncio.ensure_future(main)
        waited_s = 0.0
        while not task.done():
            await self._settle()
            if task.done():
                break
            wake = self._next()
            if wake is not None:
                self._wake(wake)
                waited_s = 0.0
                continue
            if waited_s > REAL_WAIT_S_MAX:
                task.cancel()
                raise RuntimeError("everything waits and nobody sleeps")
            waited_s += REAL_WAIT_S
            await asyncio.sleep(REAL_WAIT_S)
        return await task

    def _next(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled sleepers
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake(self, at: float) -> None:
        self._elapsed = max(self._elapsed, at)
        while self._sleepers and self._sleepers[0][0] <= at:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def _settle(self) -> None:
        """Turn the loop until nothing is left to run now."""
        ready = getattr(asyncio.get_running_loop(), "_ready", ())  # asyncio's own list of what can run; uvloop has none to show
        quiet = 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1


async def turn_until(holds: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Turn the loop until `holds()` is true; AssertionError after `within_s` real seconds. For what sockets bring about."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not holds():
        assert loop.time() < end, f"did not come true within {within_s:g} s"
        await asyncio.sleep(0)
