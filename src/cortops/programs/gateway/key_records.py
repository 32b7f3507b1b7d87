"""Keys, organisations and their limits as people ask for them (records.py answers with it)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import msgspec

from cortops.protocol import keys
from cortops.protocol.database import Database
from cortops.protocol.keys import IssuedKey, KeyRow, Organisation
from cortops.protocol.limits import NO_LIMITS, changed_limits, open_limits, tokens_this_month

DAY_S = 86_400.0


class Issue(msgspec.Struct, frozen=True, kw_only=True, tag="issue"):
    """Make a key; its answer is keys.IssuedKey. days: until it expires, None for never. limits: those that are set."""

    keys_db: str
    environment: str
    name: str
    days: float | None = None
    scopes: list[str] = []
    organisation: str = ""
    limits: dict[str, int | None] = {}


class ListKeys(msgspec.Struct, frozen=True, kw_only=True, tag="list"):
    """Every key; its answer is a list of keys.KeyRow."""

    keys_db: str


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="revoke"):
    """Take a key back; its answer is the keys.KeyRow."""

    keys_db: str
    id: str


class Expire(msgspec.Struct, frozen=True, kw_only=True, tag="expire"):
    """Let a key end in `after_s` seconds, None for never; its answer is the keys.KeyRow."""

    keys_db: str
    id: str
    after_s: float | None


class Rotate(msgspec.Struct, frozen=True, kw_only=True, tag="rotate"):
    """Make the key that follows another; its answer is keys.IssuedKey."""

    keys_db: str
    environment: str
    id: str
    overlap_s: float


class Limit(msgspec.Struct, frozen=True, kw_only=True, tag="limit"):
    """Change limits of a key; its answer is the keys.KeyRow."""

    keys_db: str
    id: str
    changes: dict[str, int | None]


class PutOrganisation(msgspec.Struct, frozen=True, kw_only=True, tag="organisation"):
    """Make an organisation or change its limits; its answer is the keys.Organisation."""

    keys_db: str
    name: str
    changes: dict[str, int | None]


class ListOrganisations(msgspec.Struct, frozen=True, kw_only=True, tag="organisations"):
    """Every organisation; its answer is a list of keys.Organisation."""

    keys_db: str


class MonthTokens(msgspec.Struct, frozen=True, kw_only=True, tag="month_tokens"):
    """What counts on the quotas of this month; its answer is {subject: tokens}."""

    keys_db: str


KeyRequest = Issue | ListKeys | Revoke | Expire | Rotate | Limit | PutOrganisation | ListOrganisations | MonthTokens
KeyAnswer = IssuedKey | KeyRow | list[KeyRow] | Organisation | list[Organisation] | dict[str, int]


def answer_keys(request: KeyRequest, now: float, random_bytes: Callable[[int], bytes]) -> KeyAnswer:
    """Do it. Raises what keys raise."""
    if isinstance(request, MonthTokens):
        with closing(open_limits(request.keys_db)) as database:
            return tokens_this_month(database, now)
    with closing(keys.open_keys(request.keys_db, create=False)) as database:
        match request:
            case Issue():
                return _issue(database, request, now, random_bytes)
            case ListKeys():
                return keys.list_keys(database)
            case Revoke():
                return keys.revoke(database, request.id, now=now)
            case Expire(after_s=after_s):
                return keys.expire(database, request.id, at=None if after_s is None else now + after_s)
            case Rotate():
                return _rotate(database, request, now, random_bytes)
            case Limit():
                return keys.limit(database, request.id, request.changes)
            case PutOrganisation():
                return keys.put_organisation(database, request.name, request.changes, now=now)
            case ListOrganisations():
                return keys.list_organisations(database)


def _issue(database: Database, request: Issue, now: float, random_bytes: Callable[[int], bytes]) -> IssuedKey:
    return keys.issue(
        database,
        environment=request.environment,
        name=request.name,
        now=now,
        random_bytes=random_bytes,
        scopes=request.scopes,
        expires_at=now + request.days * DAY_S if request.days is not None else None,
        organisation=request.organisation,
        limits=changed_limits(NO_LIMITS, request.limits),
    )


def _rotate(database: Database, request: Rotate, now: float, random_bytes: Callable[[int], bytes]) -> IssuedKey:
    return keys.rotate(
        database, request.id, environment=request.environment, now=now, random_bytes=random_bytes, overlap_s=request.overlap_s
    )
