"""Which release each node has in the environment file, kept true while nodes change."""

from __future__ import annotations

import os
from pathlib import Path

from cortops.environment.set_release import set_release
from cortops.words.errors import PermissionMissing, Refused


class ReleaseFile:
    """The file at `path`. A range of nodes that all come to one release stays one entry, though they came to it one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._first = self._read()
        self._last = self._first
        self._set: dict[str, str] = {}

    def demand_writable(self) -> None:
        """PermissionMissing before anything is done, where nothing could be written later."""
        if not os.access(self._path, os.W_OK) or not os.access(self._path.parent, os.W_OK):
            raise PermissionMissing(
                f"{self._path} cannot be written, and it has to say which release its nodes have",
                next="Make the file and its folder writable for you, then run the same command again.",
            )

    def declare(self, node: str, release: str) -> None:
        """The node has this release from now on. What others changed in the file meanwhile stays. Refused when it cannot be written."""
        now = self._read()
        if now != self._last:
            self._first, self._set = now, {}
        self._set[node] = release
        text = set_release(self._first, self._set)
        if text != now:
            self._write(text)
        self._last = text

    def _read(self) -> str:
        try:
            return self._path.read_text("utf-8")
        except OSError as error:
            raise Refused(f"{self._path} cannot be read: {error.strerror}", where=str(self._path)) from error

    def _write(self, text: str) -> None:
        new = self._path.with_name(f".{self._path.name}.cortops-new")
        try:
            with new.open("w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), self._path.stat().st_mode & 0o7777)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise Refused(f"{self._path} cannot be written: {error.strerror}", where=str(self._path)) from error
