"""Each distinct body once: redacted when it is first seen, then known by its hash."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

KNOWN_MAX = 4096
TOUCHED_EVERY_MS: Final = 600_000  # how exactly it is kept when a body was last used
PINNED: Final = 1 << 62  # the `used_at` of a body that stays for ever


class Bodies:
    """Body -> its row in the table `bodies`. What is kept in memory is true of one connection: `forget` when it is closed or rolls back."""

    def __init__(self, redact: Callable[[bytes], bytes]) -> None:
        self._redact = redact
        self._known: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # hash of the body as it came -> row, used_at

    def row(self, connection: sqlite3.Connection, body: bytes, at: int) -> int:
        """The row of `body`, made if need be; `at` (milliseconds) is when it was used."""
        key = _hash(body)
        row, used_at = self._known.get(key, (0, 0))
        if row and at - used_at < TOUCHED_EVERY_MS:
            self._known.move_to_end(key)
            return row
        touched = row and connection.execute("UPDATE bodies SET used_at = MAX(used_at, ?) WHERE id = ?", (at, row)).rowcount
        if not touched:
            row = self._insert(connection, self._redact(body), at)
        self._known[key] = (row, at)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return row

    def forget(self) -> None:
        self._known.clear()

    def _insert(self, connection: sqlite3.Connection, clean: bytes, at: int) -> int:
        connection.execute(
            "INSERT INTO bodies (hash, body, used_at) VALUES (?, ?, ?) "
            "ON CONFLICT (hash) DO UPDATE SET used_at = MAX(used_at, excluded.used_at)",
            (_hash(clean), clean, at),
        )
        (row,) = connection.execute("SELECT id FROM bodies WHERE hash = ?", (_hash(clean),)).fetchone()
        return int(row)


def _hash(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
