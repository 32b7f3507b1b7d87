"""Which sessions are in use, over all processes of a gateway: byte-range locks in one empty file.

Each slot is a byte that whoever has the slot holds a lock on; no byte is ever written. The kernel gives the locks of a process back when
it dies, so kill -9 leaves nothing behind. Where a byte lies follows from session and number alone: processes that were started with
different configurations agree. `/proc/locks` shows who holds what. POSIX record locks, fcntl(2).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path

from cortops.programs.gateway.select import Slot
from cortops.protocol.gateway import IN_FLIGHT_MAX
from cortops.words.errors import StoreUnavailable

FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux, fcntl(2)
ALL, PART, NONE = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_UN
FREE = struct.pack("h", fcntl.F_UNLCK)
HELD = frozenset({errno.EAGAIN, errno.EACCES})  # another process has it; fcntl(2) allows both
WAITING_FROM = 2**62  # above every slot: SESSION_MAX * IN_FLIGHT_MAX is 2**59


class SlotFile:
    """The slots of this process: implements select.Rights. `trouble` says why they cannot be shared.

    Make one per process and file, and open the file nowhere else in it: the kernel drops all of a process's locks on a file as soon
    as any of its descriptors on it is closed.
    """

    shared = True

    def __init__(self, path: Path) -> None:
        """Raises StoreUnavailable."""
        self._path = path
        self._trouble = ""
        self._places: dict[str, int] = {}  # pool -> where its waiting byte lies
        self._questions: dict[str, bytes] = {}  # pool -> who has a lock on its waiting byte, as fcntl asks it
        self._taken: set[int] = set()  # the kernel grants a process its own lock a second time
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"the slot file {path} cannot be used: {error}", where=str(path)) from error

    @property
    def trouble(self) -> str:
        """A file that another one has replaced is shared with nobody who starts from now on."""
        try:
            found, ours = self._path.stat(), os.fstat(self._file)
        except OSError as error:
            return f"the slot file {self._path} has gone: {error.strerror}"
        if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            return f"the slot file {self._path} was replaced"
        return self._trouble

    def take(self, slot: Slot) -> bool:
        """As Rights.take. False also where locking fails: two requests in one session could both fail."""
        place = slot.session * IN_FLIGHT_MAX + slot.number
        if place in self._taken or not self._lock(ALL, place):
            return False
        self._taken.add(place)
        return True

    def give(self, slot: Slot) -> None:
        """As Rights.give."""
        place = slot.session * IN_FLIGHT_MAX + slot.number
        self._taken.discard(place)
        self._lock(NONE, place)

    def wait(self, pool: str, waiting: bool) -> None:
        """As Rights.wait: every process whose requests wait shares the lock on the pool's byte."""
        self._lock(PART if waiting else NONE, self._place(pool))

    def others_wait(self, pool: str) -> bool:
        """As Rights.others_wait: who could have the byte for itself has no other beside it; asking takes nothing."""
        question = self._questions.get(pool)
        if question is None:
            question = self._questions[pool] = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._place(pool), 1, 0)
        try:
            found = fcntl.fcntl(self._file, fcntl.F_GETLK, question)
        except OSError as error:
            self._trouble = f"the slot file {self._path} cannot be locked: {error.strerror}"
            return True
        return found[:2] != FREE

    def close(self) -> None:
        """Give everything back."""
        os.close(self._file)

    def _lock(self, kind: int, place: int) -> bool:
        try:
            fcntl.lockf(self._file, kind, 1, place)
        except OSError as error:
            if error.errno not in HELD:
                self._trouble = f"the slot file {self._path} cannot be locked: {error.strerror}"
            return False
        if self._trouble:
            self._trouble = ""
        return True

    def _place(self, pool: str) -> int:
        place = self._places.get(pool)
        if place is None:
            place = self._places[pool] = WAITING_FROM + int.from_bytes(hashlib.sha256(pool.encode()).digest()[:7])
        return place
