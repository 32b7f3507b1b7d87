"""`cortops keys limit`, `organisation`, `organisations`: what a key, or all keys of an organisation together, may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.output import show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records, records
from cortops.programs.gateway.key_records import Limit, ListOrganisations, MonthTokens, PutOrganisation
from cortops.protocol.keys import KeyRow, Organisation
from cortops.protocol.limits import KINDS, KeyLimits

Allowed = Annotated[int | Literal["none"] | None, Parameter(negative="")]
UNITS = {
    "requests_per_min": "requests/min",
    "tokens_per_min": "tokens/min",
    "streams_max": "streams at once",
    "tokens_per_month": "tokens/month",
}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """What may be taken; `none` takes a limit away, what is not named stays.

    Parameters
    ----------
    requests_per_min
        Requests in a minute of the clock.
    tokens_per_min
        Prompt and answer tokens in a minute of the clock.
    streams_max
        Answers that stream at once.
    tokens_per_month
        The quota: prompt and answer tokens in a month, UTC.
    """

    requests_per_min: Allowed = None
    tokens_per_min: Allowed = None
    streams_max: Allowed = None
    tokens_per_month: Allowed = None

    def changes(self) -> dict[str, int | None]:
        """Those that were named."""
        named = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: None if value == "none" else value for kind, value in named.items() if value is not None}


NOTHING = Allowances()


def limit_(
    file_or_id: str,
    id: str | None = None,
    /,
    *,
    allow: Allowances = NOTHING,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Change limits of a key, and of all keys that it was rotated from or to: cortops keys limit [FILE] ID."""
    env = environment(Path(file_or_id) if id is not None else None, common)
    request = Limit(keys_db=gateway_store(env, common).keys_db, id=id or file_or_id, changes=allow.changes())
    row = ask_records(env, common, request, KeyRow)
    if common.json:
        show_json({"id": row.id, "limits": as_json(row.limits)})
    else:
        show(f"{row.id} ({row.name}) may take {told(row.limits)}. Every process of the gateway knows within 2 s.")
    return 0


def organisation_(
    file_or_name: str,
    name: str | None = None,
    /,
    *,
    allow: Allowances = NOTHING,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make an organisation, or change what all its keys together may take: cortops keys organisation [FILE] NAME."""
    env = environment(Path(file_or_name) if name is not None else None, common)
    request = PutOrganisation(keys_db=gateway_store(env, common).keys_db, name=name or file_or_name, changes=allow.changes())
    made = ask_records(env, common, request, Organisation)
    if common.json:
        show_json({"name": made.name, "limits": as_json(made.limits), "created_at": made.created_at})
    else:
        show(f"The keys of {made.name} together may take {told(made.limits, 'what they want: no limit together')}.")
        show(f"next: cortops keys issue --organisation {made.name} --name NAME")
    return 0


def organisations_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Every organisation: its limits, and what of its quota is used."""
    env = environment(file, common)
    keys_db = gateway_store(env, common).keys_db
    with records(env, common) as ask:
        found = ask(ListOrganisations(keys_db=keys_db), list[Organisation])
        month = ask(MonthTokens(keys_db=keys_db), dict[str, int])
    if common.json:
        show_json(
            [
                {
                    "name": one.name,
                    "limits": as_json(one.limits),
                    "created_at": one.created_at,
                    "tokens_this_month": month.get(one.counts_as),
                }
                for one in found
            ]
        )
    elif not found:
        show("No organisation yet: keys stand for themselves.    next: cortops keys organisation NAME")
    else:
        rows = [(one.name, this_month(one.limits, month.get(one.counts_as)), told(one.limits, "-")) for one in found]
        show(table([("NAME", "QUOTA", "MAY TAKE"), *rows]))
    return 0


def told(limits: KeyLimits, none: str = "what it wants: no limit of its own") -> str:
    """`120 requests/min, 1,000,000 tokens/month`; `none` where there is none."""
    found = [f"{value:,} {UNITS[kind]}" for kind in KINDS if (value := getattr(limits, kind)) is not None]
    return ", ".join(found) or none


def this_month(limits: KeyLimits, used: int | None) -> str:
    """How much of the quota is used: `12,003 of 1,000,000`; "-" without one."""
    return "-" if limits.tokens_per_month is None else f"{used or 0:,} of {limits.tokens_per_month:,}"


def as_json(limits: KeyLimits) -> dict[str, int | None]:
    """Every limit by name, null where there is none."""
    return msgspec.structs.asdict(limits)
