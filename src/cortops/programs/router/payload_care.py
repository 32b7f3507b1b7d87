"""What the router does for the payloads by itself: a canary that goes to the storage and back, and objects that are past their days.

Every router of the environment deletes what is too old: deleting twice changes nothing, and it needs no other program and no rule of the
storage's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from cortops.contracts.privacy import list_hash
from cortops.programs.common.logs import Log
from cortops.programs.router.private import Chance, Private
from cortops.protocol.payload import NONCE_BYTES, Content, open_sealed, seal
from cortops.protocol.payload_urn import Direction, Scope
from cortops.words.clock import Clock
from cortops.words.errors import PayloadAltered, PayloadError

CANARY_EVERY_S, CANARY_SESSION = 30.0, 0
SWEEP_EVERY_S = 3_600.0
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One canary. code: what went wrong, "" when it came back whole; at: seconds since 1970."""

    code: str
    what: str
    at: float
    took_ms: float


class Care:
    """`run` for ever; `facts` for who asks."""

    def __init__(self, private: Private, keep_days: int, chance: Chance, clock: Clock, log: Log) -> None:
        self._private = private
        self._keep_days = keep_days
        self._chance = chance
        self._clock = clock
        self._log = log
        self._last: Round | None = None
        self._deleted = 0
        self._sweep_failed = ""

    async def run(self) -> None:
        """Until cancelled."""
        swept_at = float("-inf")
        while True:
            before, self._last = self._last, await self._round()
            if self._last.code != (before.code if before is not None else ""):
                self._log.warning("payload_storage", well=not self._last.code, code=self._last.code, what=self._last.what)
            if self._clock.monotonic() - swept_at >= SWEEP_EVERY_S and not self._last.code:
                await self.sweep()
                swept_at = self._clock.monotonic()
            await self._clock.sleep(CANARY_EVERY_S)

    async def sweep(self) -> None:
        """Delete what is older than the declared days."""
        environment = self._private.secrecy.environment
        try:
            deleted = await self._private.storage.delete_older(environment, self._clock.now() - self._keep_days * DAY_S)
        except PayloadError as error:
            self._sweep_failed = error.code
            self._log.warning("payload_sweep_failed", code=error.code, what=error.what)
            return
        self._sweep_failed = ""
        self._deleted += deleted
        if deleted:
            self._log.info("payloads_deleted", count=deleted, older_than_days=self._keep_days)

    async def _round(self) -> Round:
        """Seal, write, read, open, delete."""
        began = self._clock.monotonic()
        secrecy, storage = self._private.secrecy, self._private.storage
        said = self._chance(16).hex()
        about = secrecy.about(CANARY_SESSION, said, Direction.CANARY, Scope.TASK)
        key = secrecy.seeds.current.key(about)
        named = seal(Content(text=said), about, secrecy.seeds.current.version, key, self._chance(NONCE_BYTES))
        code = what = ""
        try:
            await storage.put(named.urn.place, named.sealed)
            if open_sealed(named.urn, await storage.get(named.urn.place), about, key).text != said:
                raise PayloadAltered("the canary came back with another text")
            await storage.delete(named.urn.place)
        except PayloadError as error:
            code, what = error.code, error.what
        return Round(code=code, what=what, at=self._clock.now(), took_ms=round((self._clock.monotonic() - began) * 1000, 1))

    def facts(self) -> dict[str, object]:
        """What anybody on this host may know."""
        secrecy, last = self._private.secrecy, self._last
        return {
            "sessions": sorted(secrecy.sessions),
            "seed_version": secrecy.seeds.current.version,
            "seed_fingerprints": {str(version): secrecy.seeds.of(version).fingerprint for version in secrecy.seeds.versions},
            "allowlist": "contract" if secrecy.contract else "list",
            "allowlist_hashes": {} if secrecy.contract else self._hashes(),
            "storage": "s3" if self._private.storage.where.startswith("s3://") else "folder",
            "canary": None if last is None else {"code": last.code, "what": last.what, "at": last.at, "took_ms": last.took_ms},
            "keep_days": self._keep_days,
            "deleted": self._deleted,
            "sweep_failed": self._sweep_failed,
        }

    def _hashes(self) -> dict[str, str]:
        entries = self._private.secrecy.allowed.entries
        return {str(session): list_hash(addresses) for (session, task), addresses in entries.items() if task is None}
