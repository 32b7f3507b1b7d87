"""The gateway's records as the portal uses them: keys and organisations, and usage. Blocking: each call belongs into a thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from cortops.programs.portal.asked import NewKey
from cortops.protocol import keys
from cortops.protocol.database import Database
from cortops.protocol.keys import IssuedKey, KeyRow, Organisation
from cortops.protocol.portal import PortalConfig
from cortops.protocol.usage import open_usage
from cortops.protocol.usage_days import UsageDay, by_day
from cortops.words.errors import UnknownName


class Books:
    """Opened when they are first used, and opened anew after an error: the portal may start before the gateway has made its store.

    Everything raises StoreUnavailable.
    """

    def __init__(self, config: PortalConfig, random_bytes: Callable[[int], bytes]) -> None:
        self._config = config
        self._random_bytes = random_bytes
        self._keys_db: Database | None = None
        self._usage_db: Database | None = None

    def verify(self, key: str, *, now: float) -> KeyRow | None:
        """The row of a valid key, None for any other."""
        return keys.verify(self._keys(), key, now=now)

    def key(self, id: str) -> KeyRow | None:
        """The row of a key, valid or not; None where there is none."""
        with contextlib.suppress(UnknownName):
            return keys.find(self._keys(), id)
        return None

    def keys_of(self, organisation: str) -> list[KeyRow]:
        return keys.keys_of(self._keys(), organisation)

    def organisation(self, name: str) -> Organisation | None:
        """With its limits; None where there is none."""
        return next((found for found in keys.list_organisations(self._keys()) if found.name == name), None)

    def issue(self, organisation: str, asked: NewKey, *, now: float, expires_at: float | None) -> IssuedKey:
        """Make a key of the organisation. Raises BadInput and UnknownName too."""
        return keys.issue(
            self._keys(),
            environment=self._config.environment,
            name=asked.name,
            now=now,
            random_bytes=self._random_bytes,
            scopes=asked.scopes,
            expires_at=expires_at,
            organisation=organisation,
            limits=asked.limits,
        )

    def revoke(self, id: str, *, now: float) -> KeyRow:
        """Take a key back. Raises UnknownName too."""
        return keys.revoke(self._keys(), id, now=now)

    def rotate(self, id: str, *, now: float, overlap_s: float) -> IssuedKey:
        """Replace a key. Raises BadInput and UnknownName too."""
        environment = self._config.environment
        return keys.rotate(self._keys(), id, environment=environment, now=now, random_bytes=self._random_bytes, overlap_s=overlap_s)

    def usage(self, since: float, until: float, key_ids: Sequence[str]) -> list[UsageDay]:
        """Sums of these keys by day and model."""
        if self._usage_db is None:
            self._usage_db = open_usage(self._config.usage, create=False)
        return by_day(self._usage_db, since, until, key_ids)

    def ask(self) -> None:
        """Whether keys can be read, for the least that it costs."""
        self._keys().version(keys.CHANGES)

    def close(self) -> None:
        """Let go of both."""
        for database in (self._keys_db, self._usage_db):
            if database is not None:
                database.close()

    def _keys(self) -> Database:
        """Never made here: an empty store in the place of a lost one would turn every customer away."""
        if self._keys_db is None:
            self._keys_db = keys.open_keys(self._config.keys, create=False)
        return self._keys_db
