"""`cortops keys`: keys of the gateway's customers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.output import show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records
from cortops.programs.gateway.records import Issue, ListKeys, Revoke
from cortops.protocol import keys


def issue_(
    file: Path | None = None,
    /,
    *,
    name: Annotated[str, Parameter(help="Whom it is for.")],
    days: Annotated[float | None, Parameter(help="It expires after so many days; default never.")] = None,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make a key; it is shown this once."""
    env = environment(file, common)
    request = Issue(keys_db=gateway_store(env, common).keys_db, environment=env.name, name=name, days=days)
    issued = ask_records(env, common, request, keys.IssuedKey)
    row = issued.row
    if common.json:
        show_json({"id": row.id, "key": issued.key, "name": row.name, "scopes": list(row.scopes), "expires_at": row.expires_at})
    else:
        show(f"{issued.key}\n{row.id} for {row.name}; it is not shown again. The gateway knows it within a second.")
    return 0


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Every key, without its value."""
    env = environment(file, common)
    rows = ask_records(env, common, ListKeys(keys_db=gateway_store(env, common).keys_db), list[keys.KeyRow])
    if common.json:
        names = ("id", "name", "scopes", "created_at", "expires_at", "revoked_at")
        show_json([{name: getattr(row, name) for name in names} for row in rows])
        return 0
    now = time.time()
    show(table([("ID", "NAME", "STATE", "MADE"), *((row.id, row.name, _state(row, now), _day(row.created_at)) for row in rows)]))
    return 0


def revoke_(file_or_id: str, id: str | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Take a key back: cortops keys revoke [FILE] ID."""
    file = Path(file_or_id) if id is not None else None
    env = environment(file, common)
    row = ask_records(env, common, Revoke(keys_db=gateway_store(env, common).keys_db, id=id or file_or_id), keys.KeyRow)
    if common.json:
        show_json({"id": row.id, "revoked_at": row.revoked_at})
    else:
        show(f"{row.id} ({row.name}) is taken back; the gateway refuses it within 2 s.")
    return 0


def _state(row: keys.KeyRow, now: float) -> str:
    if row.revoked_at is not None:
        return "taken back"
    return "valid" if row.is_valid(now) else "expired"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
