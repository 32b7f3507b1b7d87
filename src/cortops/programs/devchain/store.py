"""The folder of snapshots: written whole or not at all, two good generations kept, one owner at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cortops.programs.devchain.generation import Damaged, Snapshot, decode, encode
from cortops.words.errors import LockHeld, PermissionMissing

GENERATIONS_KEPT = 2
SUFFIX = ".snapshot"
TEMPORARY = "writing.tmp"
LOADING = "loading.json"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process, made if missing, leftovers of a killed one removed. Raises LockHeld, PermissionMissing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PermissionMissing(f"the chain's folder {folder} cannot be written: {error.strerror}", where=str(folder)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(
                f"another development chain uses {folder}", where=str(folder), next="Stop it, or declare another folder."
            ) from error
        for leftover in (TEMPORARY, LOADING):
            (folder / leftover).unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


def generations(folder: Path) -> list[int]:
    """Numbers of the snapshots there, newest first."""
    return sorted((int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit()), reverse=True)


def read(folder: Path, number: int) -> Snapshot | Damaged:
    """The snapshot, or why it cannot be used."""
    try:
        return decode(_path(folder, number).read_bytes())
    except OSError as error:
        return Damaged(f"cannot be read: {error.strerror}")


def write(folder: Path, snapshot: Snapshot, *, good: int | None) -> int:
    """Keep `snapshot` as the newest generation and `good`, the last one known to be whole; remove the others. Its number. Raises OSError.

    A kill at any moment leaves the old ones, or the old ones and the new one: the new file gets its name only when all of it is on disk.
    """
    number = max(generations(folder), default=0) + 1
    temporary = folder / TEMPORARY
    with temporary.open("wb") as out:
        out.write(encode(snapshot))
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(_path(folder, number))
    _sync_folder(folder)
    keep = {number} if good is None else {number, good}
    for old in generations(folder):
        if old not in keep:
            _path(folder, old).unlink(missing_ok=True)
    return number


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}{SUFFIX}"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
