"""The embedding model in the background: loaded off the event loop, again when that failed, one piece of work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from cortops.programs.common.logs import Log
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, StepFailed

LOAD_AGAIN_AFTER_S = 30.0

State = Literal["loading", "ready", "failed"]


class Comparer(Protocol):
    """What knows meanings: embedding.MiniLm, or a stand-in in tests."""

    def compare(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """The similarity of each text with each, -1..1. Blocks."""


class Model:
    """`run` once; `similarities` waits until the model is there, for ever when it never is. state, why: for /health."""

    def __init__(self, load: Callable[[], Comparer], clock: Clock, log: Log) -> None:
        """load: blocks; may raise BadInput, OSError or ImportError."""
        self.state: State = "loading"
        self.why = ""
        self._load = load
        self._clock = clock
        self._log = log
        self._comparer: Comparer | None = None
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Load; returns when the model is ready."""
        while True:
            begun = self._clock.monotonic()
            try:
                self._comparer = await asyncio.to_thread(self._load)
            except (BadInput, OSError, ImportError) as error:
                self._log.error("model_failed", why=str(error))
                self.state, self.why = "failed", str(error)
                await self._clock.sleep(LOAD_AGAIN_AFTER_S)
                continue
            self.state, self.why = "ready", ""
            self._log.info("model_ready", seconds=round(self._clock.monotonic() - begun, 3))
            self._ready.set()
            return

    async def similarities(self, texts: Sequence[str]) -> dict[tuple[str, str], float]:
        """{(one, other): -1..1} for each ordered pair of the texts. StepFailed when the model gives no numbers."""
        if not texts:
            return {}
        await self._ready.wait()
        assert self._comparer is not None
        async with self._turn:
            rows = await asyncio.to_thread(self._comparer.compare, texts)
        found = {(one, other): rows[at][place] for at, one in enumerate(texts) for place, other in enumerate(texts)}
        if any(value != value for value in found.values()):
            raise StepFailed("the embedding model gave something that is no number")
        return found
