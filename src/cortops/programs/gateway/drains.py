"""Which members a person has taken out, as the gateway's store says: read by every process every second."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from cortops.programs.common.logs import Log
from cortops.programs.gateway.pools import Pools
from cortops.protocol import drains
from cortops.protocol.database import Database
from cortops.protocol.drains import Drain
from cortops.words.clock import Clock
from cortops.words.errors import StoreUnavailable

REFRESH_EVERY_S = 1.0  # a drain holds in every process within 2 s


class DrainWatch:
    """Keeps the pools as the store says. Out of reach, what was known last holds: the key check says that the store is."""

    def __init__(self, where: Path | str, pools: Pools, clock: Clock, log: Log) -> None:
        self._where = where
        self._pools = pools
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._version: tuple[int, int] | None = None

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Read the drains again if they changed."""
        try:
            found = await asyncio.to_thread(self._read)
        except StoreUnavailable:
            self.close()
            return
        if found is None:
            return
        for member in self._pools.drain(frozenset(found)):
            drain = found.get(member)
            told = {"by": drain.by, "why": drain.why} if drain is not None else {}
            self._log.info("member_drained" if drain is not None else "member_undrained", member=member, **told)

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _read(self) -> dict[str, Drain] | None:
        """Member -> its drain, None if nothing changed since the last time. Runs in a thread."""
        with self._lock:  # a cancelled refresh's thread may still be at it
            if self._database is None:
                self._database, self._version = drains.open_drains(self._where, create=False), None
            version = self._database.version(drains.CHANGES)
            if version == self._version:
                return None
            found = {drain.member: drain for drain in reversed(drains.read_drains(self._database))}
            self._version = version
            return found
