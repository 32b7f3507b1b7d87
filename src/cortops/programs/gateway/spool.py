"""Usage rows on this machine's disk before the client has its last byte: what kill -9 cannot take.

A segment is a file of JSON lines, locked by the process that writes it. The kernel drops the lock with the process, so a segment
without lock belongs to nobody any more and may be shipped and removed by anyone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from cortops.protocol.usage import UsageRow
from cortops.words.errors import StoreUnavailable

SUFFIX = ".jsonl"


class Spool:
    """`add` writes one row; `fsync` True also waits for the disk. Made and closed by one process; `trouble` says why it cannot write.

    While there is trouble, rows that could not be written wait in memory, at most those of requests already under way: the gateway
    takes no new ones.
    """

    def __init__(self, folder: Path, *, segment_max_mib: int, fsync: bool, label: str) -> None:
        """`label` makes this process's segment names unique, e.g. start time and pid. Raises StoreUnavailable."""
        self.trouble = ""
        self.active = Path()
        self.changes = 0  # goes up whenever there is something to ship
        self._folder = folder
        self._segment_max = segment_max_mib * 2**20
        self._label = label
        self._number = 0
        self._size = 0
        self._waiting: deque[bytes] = deque()
        # One thread keeps writes in order while the event loop waits for the disk.
        self._thread = ThreadPoolExecutor(1, "spool") if fsync else None
        self._descriptor = -1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()
        except OSError as error:
            raise StoreUnavailable(f"the spool folder {folder} cannot be used: {error}", where=str(folder)) from error

    async def add(self, row: UsageRow) -> None:
        """Write `row`. It is written even if the caller is cancelled meanwhile."""
        self._waiting.append(msgspec.json.encode(row) + b"\n")
        if self._thread is None:
            self.flush()
        else:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self.flush))

    def flush(self) -> None:
        """Write what waits."""
        try:
            while self._waiting:
                if self._descriptor < 0 or self._size >= self._segment_max:
                    self._open()
                line = self._waiting[0]
                count = os.write(self._descriptor, line)
                self._size += count
                self.changes += 1
                if count < len(line):  # a disk that fills up: the rest of the line comes first when there is room
                    self._waiting[0] = line[count:]
                    continue
                if self._thread is not None:
                    os.fdatasync(self._descriptor)
                self._waiting.popleft()
            self.trouble = ""
        except OSError as error:
            self.trouble = f"usage rows cannot be written to {self._folder}: {error.strerror}"

    def close(self) -> None:
        """Write what waits, give the segment up; an empty one is removed."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self.flush()
        self._close()

    def _open(self) -> None:
        """Start the next segment: locked before it has its name, so that nobody takes it for an abandoned one."""
        self._close()
        self._number += 1
        path = self._folder / f"{self._label}-{self._number:06}{SUFFIX}"
        making = path.with_suffix(".new")
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(path)
        self._descriptor, self.active, self._size = descriptor, path, 0

    def _close(self) -> None:
        if self._descriptor >= 0:
            if self._size == 0:
                self.active.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor, self.active = -1, Path()
            self.changes += 1
