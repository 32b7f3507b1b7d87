"""Who is asking: a copy of the valid keys in memory, kept fresh by the store's data version."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from pathlib import Path

from cortops.protocol import keys
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError
from cortops.protocol.store import reachable
from cortops.words.clock import Clock
from cortops.words.errors import StoreUnavailable

REFRESH_EVERY_S = 1.0  # with the copy's age bounded by keys_stale_max_s, a revoked key is refused within 2 s
KEY_LENGTH_MAX = 256

NO_KEY = ApiError(
    status=401,
    code="invalid_api_key",
    message="You didn't provide an API key. Provide it in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
)
WRONG_KEY = ApiError(status=401, code="invalid_api_key", message="Incorrect API key provided.")
UNAVAILABLE = ApiError(status=503, code="key_store_unavailable", message="keys cannot be checked now", type="api_error", retry_after_s=5)


class KeyCheck:
    """`check` answers from memory; `run` keeps the copy fresh. Out of reach longer than `stale_max_s`, nobody is let in."""

    def __init__(self, path: Path, clock: Clock, *, stale_max_s: float) -> None:
        self._path = path
        self._clock = clock
        self._stale_max_s = max(stale_max_s, REFRESH_EVERY_S + 0.5)
        self._rows: dict[str, KeyRow] = {}
        self._fresh_at = -math.inf  # monotonic
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._version = -1
        self.trouble = ""

    def check(self, authorization: str) -> KeyRow | ApiError:
        """The Authorization header's value -> the key's row, or 401, or 503 while nobody can know."""
        if self._clock.monotonic() - self._fresh_at > self._stale_max_s:
            return UNAVAILABLE
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            return NO_KEY
        row = self._rows.get(keys.key_hash(key)) if len(key) <= KEY_LENGTH_MAX else None
        return row if row is not None and row.is_valid(self._clock.now()) else WRONG_KEY

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Read the keys again if they changed; what goes wrong is kept in `trouble`."""
        asked_at = self._clock.monotonic()
        try:
            rows = await asyncio.to_thread(self._read)
        except StoreUnavailable as error:
            self.trouble = error.what
            self.close()
            return
        if rows is not None:
            self._rows = rows
        self._fresh_at, self.trouble = asked_at, ""

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self) -> dict[str, KeyRow] | None:
        """Every valid key, None if nothing changed since the last time. Runs in a thread."""
        with self._lock:  # a cancelled refresh's thread may still be at it
            return self._read_if_changed()

    def _read_if_changed(self) -> dict[str, KeyRow] | None:
        with reachable(self._path):
            found = self._path.stat()
        if self._connection is not None and (found.st_dev, found.st_ino) != self._file:
            self._close()  # another file stands in its place
        if self._connection is None:
            self._connection, self._version = keys.open_keys(self._path, create=False), -1
            self._file = (found.st_dev, found.st_ino)
        with reachable(self._path):
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        if version == self._version:
            return None
        rows = keys.by_hash(self._connection, self._path)
        self._version = version
        return rows
