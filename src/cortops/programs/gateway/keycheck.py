"""Who is asking: a copy of the valid keys and their organisations in memory, kept fresh by the store's version."""

from __future__ import annotations

import asyncio
import math
import threading
from pathlib import Path

from cortops.protocol import keys
from cortops.protocol.database import Database
from cortops.protocol.keys import KeyRow, Known
from cortops.protocol.limits import NO_LIMITS, KeyLimits, Rule
from cortops.protocol.openai import ApiError
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

    def __init__(self, where: Path | str, clock: Clock, *, stale_max_s: float, defaults: KeyLimits = NO_LIMITS) -> None:
        self._where = where
        self._clock = clock
        self._stale_max_s = max(stale_max_s, REFRESH_EVERY_S + 0.5)
        self._known = Known(keys={}, organisations={})
        self._fresh_at = -math.inf  # monotonic
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._seen: tuple[tuple[int, ...], KeyLimits] | None = None  # what the copy was made of
        self.trouble = ""
        self._defaults = defaults

    def check(self, authorization: str) -> KeyRow | ApiError:
        """The Authorization header's value -> the key's row, or 401, or 503 while nobody can know."""
        if self._clock.monotonic() - self._fresh_at > self._stale_max_s:
            return UNAVAILABLE
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            return NO_KEY
        row = self._known.keys.get(keys.key_hash(key)) if len(key) <= KEY_LENGTH_MAX else None
        return row if row is not None and row.is_valid(self._clock.now()) else WRONG_KEY

    def rules(self, row: KeyRow) -> tuple[Rule, ...]:
        """The limits that a request of this key counts on: its own or the default ones, then its organisation's."""
        organisation = self._known.organisations.get(row.organisation)
        of_all = organisation.limits.rules(organisation.counts_as) if organisation is not None else ()
        return (*row.limits.over(self._defaults).rules(row.counts_as), *of_all)

    def take(self, defaults: KeyLimits) -> None:
        """Other limits for keys that have none of their own, from the next refresh on."""
        self._defaults = defaults

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Read the keys again if they changed; what goes wrong is kept in `trouble`."""
        asked_at = self._clock.monotonic()
        try:
            known = await asyncio.to_thread(self._read)
        except StoreUnavailable as error:
            self.trouble = error.what
            self.close()
            return
        if known is not None:
            self._known = known
        self._fresh_at, self.trouble = asked_at, ""

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _read(self) -> Known | None:
        """Everything, None if nothing changed since the last time. Runs in a thread."""
        with self._lock:  # a cancelled refresh's thread may still be at it
            if self._database is None:
                self._database, self._seen = keys.open_keys(self._where, create=False), None
            seen = keys.version(self._database), self._defaults
            if seen == self._seen:
                return None
            known = keys.read_known(self._database)
            self._seen = seen
            return known
