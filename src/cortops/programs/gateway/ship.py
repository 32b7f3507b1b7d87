"""From the spool to the usage database, in batches, each row once by its request id, for as long as it takes.

What processes that have ended left in their spool folders goes along: a segment without lock belongs to nobody, and whichever process
of the gateway sees it first ships it.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import threading
from pathlib import Path

import msgspec

from cortops.programs.common.logs import Log
from cortops.programs.gateway.spool import SUFFIX, Spool
from cortops.protocol import usage
from cortops.protocol.database import Database
from cortops.protocol.usage import UsageRow
from cortops.words.clock import Clock
from cortops.words.errors import StoreUnavailable

BATCH_MAX = 256 * 1024  # bytes of one transaction
RETRY_S_MAX = 5.0
LOOK_AROUND_EVERY_S = 5.0  # for what others left, when there is nothing of our own to ship
SPOOLS = f"spool*/*{SUFFIX}"  # the segments of all processes, from the folder in which their spool folders stand

_decoder = msgspec.json.Decoder(UsageRow)


class Ship:
    """`run` ships until cancelled; `step` ships what is there now. `trouble` says why the database is not reached.

    folder: the spool's own; those of other processes stand beside it.
    """

    def __init__(self, spool: Spool, folder: Path, where: Path | str, *, clock: Clock, log: Log, every_s: float) -> None:
        self.trouble = ""
        self._spool = spool
        self._folder = folder
        self._where = where
        self._clock = clock
        self._log = log
        self._every_s = every_s
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._offsets: dict[Path, int] = {}  # how much of a segment is shipped
        self._seen = -1  # spool.changes at the last complete step
        self._looked_at = -math.inf  # when the last complete step was, monotonic

    async def run(self) -> None:
        wait_s = self._every_s
        while True:
            done = await self.step()
            wait_s = self._every_s if done else min(RETRY_S_MAX, wait_s * 2)
            await self._clock.sleep(wait_s)

    async def step(self) -> bool:
        """Ship everything there is; False when the database or the spool could not be used."""
        if self._spool.trouble:
            self._spool.flush()
        changes = self._spool.changes
        began_at = self._clock.monotonic()
        if changes == self._seen and not self.trouble and began_at - self._looked_at < LOOK_AROUND_EVERY_S:
            return True
        try:
            await asyncio.to_thread(self._all)
        except (StoreUnavailable, OSError) as error:
            if not self.trouble:
                self._log.error("usage_not_shipped", what=str(error), next="rows wait in the spool folder; nothing is lost")
            self.trouble = str(error)
            self.close()
            return False
        if self.trouble:
            self._log.info("usage_shipped_again")
        self.trouble, self._seen, self._looked_at = "", changes, began_at
        return True

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()

    def _all(self) -> None:
        with self._lock:  # a cancelled step's thread may still be at it
            self._all_segments()

    def _all_segments(self) -> None:
        if self._database is None:
            self._database = usage.open_usage(self._where)
        for path in sorted(self._folder.parent.glob(SPOOLS)):
            self._segment(self._database, path)

    def _segment(self, database: Database, path: Path) -> None:
        """Ship one segment: our active one as far as it is written, an abandoned one to its end, another process's not at all."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # shipped by another process
            self._offsets.pop(path, None)
            return
        try:
            active = path == self._spool.active
            if not active:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
            rest = self._rows(database, path, descriptor)
            if not active:
                self._remove(path, rest)
        finally:
            os.close(descriptor)

    def _rows(self, database: Database, path: Path, descriptor: int) -> bytes:
        """Ship whole lines from where we were; what is left after the last one."""
        offset = self._offsets.get(path, 0)
        while True:
            block = os.pread(descriptor, BATCH_MAX, offset)
            end = block.rfind(b"\n") + 1
            if end == 0:
                return block
            usage.insert(database, self._read(path, block[:end]))
            offset += end
            self._offsets[path] = offset

    def _read(self, path: Path, block: bytes) -> list[UsageRow]:
        rows: list[UsageRow] = []
        for line in block.splitlines():
            try:
                rows.append(_decoder.decode(line))
            except (ValueError, RecursionError) as error:
                self._log.error("usage_row_damaged", segment=path.name, what=str(error), length=len(line))
        return rows

    def _remove(self, path: Path, rest: bytes) -> None:
        if rest:  # cut by a power loss or a full disk, before its client had the last byte
            self._log.warning("usage_row_cut", segment=path.name, length=len(rest))
        path.unlink(missing_ok=True)
        self._offsets.pop(path, None)
