"""Faults of private payloads as the router answers them: each has its own code (words.errors) and a status by whose turn it is."""

from __future__ import annotations

from cortops.words.errors import AddressNotAllowed, PayloadError, PayloadTooLarge, SeedMissing, SeedWrong

# 502: what came from a miner or the storage is not what it should be. 503: nothing is lost, ask again later.
_STATUS: dict[type[PayloadError], int] = {AddressNotAllowed: 403, PayloadTooLarge: 413, SeedMissing: 500, SeedWrong: 500}
_LATER = frozenset({"payload_credential_refused", "payload_storage_unreachable"})


def status_of(error: PayloadError) -> int:
    """The HTTP status of a fault."""
    return _STATUS.get(type(error), 503 if error.code in _LATER else 502)
