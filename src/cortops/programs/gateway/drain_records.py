"""Drains as people ask for them (records.py answers with it)."""

from __future__ import annotations

from contextlib import closing

import msgspec

from cortops.protocol import drains
from cortops.protocol.drains import Drain


class BeginDrain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """No new request for the member; its answer is the Drain that holds now."""

    keys_db: str
    member: str
    by: str
    why: str


class EndDrain(msgspec.Struct, frozen=True, kw_only=True, tag="undrain"):
    """Requests again; its answer is the Drain that ended."""

    keys_db: str
    member: str
    by: str


class ListDrains(msgspec.Struct, frozen=True, kw_only=True, tag="drains"):
    """Those that go on, with `ended` of before too; its answer is a list of Drain."""

    keys_db: str
    ended: bool = False


def drain(request: BeginDrain | EndDrain, now: float) -> Drain:
    """Raises BadInput, UnknownName, StoreUnavailable."""
    with closing(drains.open_drains(request.keys_db, create=False)) as database:
        if isinstance(request, EndDrain):
            return drains.end(database, member=request.member, by=request.by, now=now)
        return drains.begin(database, member=request.member, by=request.by, why=request.why, now=now)


def listed(request: ListDrains) -> list[Drain]:
    """Raises StoreUnavailable."""
    with closing(drains.open_drains(request.keys_db, create=False)) as database:
        return drains.read_drains(database, ended=request.ended)
