"""Board: what all pages and streams of one console share: the latest overview, recent moments, the newest tasks, a count of streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cortops.console.live import Live, live
from cortops.console.overview import Overview, is_stale, overview
from cortops.console.view import TaskLine, View
from cortops.monitor.picture import Picture
from cortops.words.clock import Clock
from cortops.words.errors import ChainUnreachable, CortopsError

STREAMS_MAX = 32  # open event streams: pages that are looked at
MOMENTS_MAX = 20  # moments kept for streams that come back
TASKS_MAX = 20
TASKS_WAIT_S = 2.0  # a slow chain must not hold up a page
TASKS_FRESH_S = 2.0  # asked at most this often, however many look


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A picture, read for people, and what of it may change."""

    overview: Overview
    live: Live


class Board:
    """Made once per console. `closing` is set when the server is about to stop: streams end then."""

    def __init__(self, view: View, clock: Clock) -> None:
        self.view = view
        self.clock = clock
        self.closing = asyncio.Event()
        self.streams = 0
        self._moments: deque[Moment] = deque(maxlen=MOMENTS_MAX)
        self._asking = asyncio.Lock()
        self._tasks: tuple[TaskLine, ...] | CortopsError = ()
        self._tasks_at = float("-inf")

    def moment(self, picture: Picture | None) -> Moment:
        """The reading of a picture; made once, however many look."""
        if self._moments and self._moments[-1].overview.picture is picture:
            return self._moments[-1]
        shown = overview(self.view.environment, picture)
        found = Moment(overview=shown, live=live(shown))
        if picture is not None:
            self._moments.append(found)
        return found

    def now(self) -> Moment:
        """The latest picture's."""
        return self.moment(self.view.picture())

    def is_stale(self, shown: Overview) -> bool:
        """Whether what is shown is no longer the present; False before anything was asked, which the page says by itself."""
        return shown.asked and is_stale(shown.picture, self.clock.now())

    def remembered(self, moment_id: str) -> Live | None:
        """A recent moment by its id, for a stream that comes back."""
        return next((moment.live for moment in self._moments if moment.live.id == moment_id), None)

    async def tasks(self) -> tuple[TaskLine, ...] | CortopsError:
        """The newest tasks; ChainUnreachable (as a value) when they did not come within 2 s."""
        async with self._asking:
            if self.clock.monotonic() - self._tasks_at >= TASKS_FRESH_S:
                try:
                    async with asyncio.timeout(TASKS_WAIT_S):
                        self._tasks = await self.view.tasks(TASKS_MAX)
                except TimeoutError:
                    self._tasks = ChainUnreachable(f"the tasks did not come within {TASKS_WAIT_S:g} s")
                self._tasks_at = self.clock.monotonic()
            return self._tasks

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Counts a stream while it is open."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1
