"""`cortops secrets`: what an environment's secrets are, never their values."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.output import show, show_json, table
from cortops.deploy.secrets import IndexEntry
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind, Wanted
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput

VALUE_MAX_BYTES = 64 * 1024


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Name, kind and public part of each secret; those not yet made too."""
    env = environment(file, common)
    index = asyncio.run(_index(env, common))
    rows = [(want, index.get(want.name)) for want in secrets_of(env)]
    if common.json:
        show_json(
            [
                {"name": want.name, "kind": want.kind, "public": _public(want, entry), "created_at": entry.created_at if entry else None}
                for want, entry in rows
            ]
        )
        return 0
    cells = [(want.name, str(want.kind), _day(entry), _public(want, entry)) for want, entry in rows]
    show(table([("NAME", "KIND", "MADE", "PUBLIC"), *cells]))
    return 0


def set_(name: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Keep a value, read from standard input, so that it never stands in an argument list."""
    env = environment(file, common)
    kinds = {want.name: want.kind for want in secrets_of(env)}
    if name not in kinds:
        raise BadInput(f"{env.name} wants no secret {name}", next=f"it wants: {', '.join(kinds)}")
    asyncio.run(_set(env, common, name, sys.stdin.read(VALUE_MAX_BYTES + 1).strip(), kinds[name]))
    if common.json:
        show_json({"name": name, "kind": kinds[name]})
    else:
        show(f"{name} is kept; the next apply puts it where it is used.")
    return 0


async def _index(env: Environment, common: Common) -> dict[str, IndexEntry]:
    async with here(env, common) as place:
        return {entry.name: entry for entry in place.deployment.secrets.index()}


async def _set(env: Environment, common: Common, name: str, value: str, kind: Kind) -> None:
    async with here(env, common) as place:
        place.deployment.secrets.set(name, value, kind)


def _public(want: Wanted, entry: IndexEntry | None) -> str:
    """An address; a certificate is too long for a line."""
    return entry.public if entry and want.kind is Kind.WALLET else ""


def _day(entry: IndexEntry | None) -> str:
    return "not yet" if entry is None else datetime.fromtimestamp(entry.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
