"""Time as an argument: what waits or stamps takes a Clock, so that tests own time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, elapsed time and sleep, all in seconds."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` (>= 0)."""


class SystemClock:
    """The machine's own clock; made once, in a composition root."""

    now = staticmethod(time.time)  # asked a dozen times a request: no function of ours around them
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
