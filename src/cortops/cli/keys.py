"""`cortops keys`: keys of the gateway's customers."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.keys_limits import NOTHING, Allowances, as_json, limit_, organisation_, organisations_, this_month, told
from cortops.cli.output import show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records, records
from cortops.programs.gateway.key_records import Expire, Issue, ListKeys, MonthTokens, Revoke, Rotate
from cortops.protocol import keys
from cortops.protocol.keys import IssuedKey, KeyRow
from cortops.words.errors import BadInput

__all__ = ["expire_", "issue_", "limit_", "list_", "organisation_", "organisations_", "revoke_", "rotate_"]

SPAN = re.compile(r"(\d{1,6})(s|min|h|d)")
SPAN_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def issue_(
    file: Path | None = None,
    /,
    *,
    name: Annotated[str, Parameter(help="Whom it is for.")],
    days: Annotated[float | None, Parameter(help="It expires after so many days; default never.")] = None,
    organisation: Annotated[str, Parameter(help="Whose it is; its keys share the organisation's limits.")] = "",
    scope: Annotated[
        tuple[str, ...], Parameter(negative="", help="model:ALIAS or family:NAME: only those; portal: may sign in there. Again for more.")
    ] = (),
    allow: Allowances = NOTHING,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make a key; it is shown this once."""
    env = environment(file, common)
    request = Issue(
        keys_db=gateway_store(env, common).keys_db,
        environment=env.name,
        name=name,
        days=days,
        scopes=list(scope),
        organisation=organisation,
        limits=allow.changes(),
    )
    issued = ask_records(env, common, request, IssuedKey)
    row = issued.row
    whose = f"{row.name} of {row.organisation}" if row.organisation else row.name
    _show_issued(issued, common, f"{row.id} for {whose}; it is not shown again. The gateway knows it within a second.")
    return 0


def rotate_(
    file_or_id: str,
    id: str | None = None,
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long both are valid: 24h, 90min, 7d; 0s ends the old one at once.")] = "24h",
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make the key that follows another, with the same name, scopes and limits: cortops keys rotate [FILE] ID."""
    env = environment(Path(file_or_id) if id is not None else None, common)
    request = Rotate(keys_db=gateway_store(env, common).keys_db, environment=env.name, id=id or file_or_id, overlap_s=read_span(overlap))
    issued = ask_records(env, common, request, IssuedKey)
    row = issued.row
    _show_issued(
        issued, common, f"{row.id} for {row.name}; it is not shown again. {row.replaces} ends in {overlap}; both count on the same limits."
    )
    return 0


def expire_(
    file_or_id: str,
    id: str | None = None,
    /,
    *,
    after: Annotated[str, Parameter(help="Let it end in 24h, 90min, 7d; `never` takes the end away.")],
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Say when a key ends: cortops keys expire [FILE] ID --after 7d."""
    env = environment(Path(file_or_id) if id is not None else None, common)
    after_s = None if after == "never" else read_span(after)
    row = ask_records(env, common, Expire(keys_db=gateway_store(env, common).keys_db, id=id or file_or_id, after_s=after_s), KeyRow)
    if common.json:
        show_json({"id": row.id, "expires_at": row.expires_at})
    else:
        show(f"{row.id} ({row.name}) {f'ends {_day(row.expires_at)}' if row.expires_at is not None else 'ends never'}.")
    return 0


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Every key, without its value."""
    env = environment(file, common)
    keys_db = gateway_store(env, common).keys_db
    with records(env, common) as ask:
        rows = ask(ListKeys(keys_db=keys_db), list[KeyRow])
        month = ask(MonthTokens(keys_db=keys_db), dict[str, int]) if any(row.limits.tokens_per_month for row in rows) else {}
    if common.json:
        show_json([_as_json(row) for row in rows])
        return 0
    if not rows:
        show("No key yet.    next: cortops keys issue --name NAME")
        return 0
    now = time.time()
    head = ("ID", "NAME", "ORGANISATION", "STATE", "MADE", "QUOTA", "ONLY", "MAY TAKE")
    show(
        table(
            [
                head,
                *(
                    (
                        row.id,
                        row.name,
                        row.organisation or "-",
                        _state(row, now),
                        _day(row.created_at),
                        this_month(row.limits, month.get(row.counts_as)),
                        ", ".join(row.scopes) or "-",
                        told(row.limits, "-"),
                    )
                    for row in rows
                ),
            ]
        )
    )
    return 0


def revoke_(file_or_id: str, id: str | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Take a key back: cortops keys revoke [FILE] ID."""
    env = environment(Path(file_or_id) if id is not None else None, common)
    row = ask_records(env, common, Revoke(keys_db=gateway_store(env, common).keys_db, id=id or file_or_id), KeyRow)
    if common.json:
        show_json({"id": row.id, "revoked_at": row.revoked_at})
    else:
        show(f"{row.id} ({row.name}) is taken back; every process of the gateway refuses it within 2 s.")
    return 0


def read_span(text: str) -> float:
    """`24h`, `90min`, `7d`, `30s` in seconds. Raises BadInput."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise BadInput(f"{text!r} is no span of time", next="write it as 30s, 90min, 24h or 7d")
    return int(found[1]) * SPAN_S[found[2]]


def _show_issued(issued: IssuedKey, common: Common, text: str) -> None:
    row = issued.row
    if not common.json:
        show(f"{issued.key}\n{text}")
        return
    shown = {"id": row.id, "key": issued.key, "name": row.name, "scopes": list(row.scopes), "expires_at": row.expires_at}
    show_json({**shown, "organisation": row.organisation, "limits": as_json(row.limits), "replaces": row.replaces})


def _as_json(row: KeyRow) -> dict[str, object]:
    names = ("id", "name", "scopes", "created_at", "expires_at", "revoked_at", "organisation", "replaces")
    return {**{name: getattr(row, name) for name in names}, "limits": as_json(row.limits)}


def _state(row: KeyRow, now: float) -> str:
    word = keys.state(row, now)
    return f"valid to {_day(row.expires_at)}" if word == "valid" and row.expires_at is not None else word


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
