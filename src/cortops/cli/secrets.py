"""`cortops secrets`: what an environment's secrets are, never their values."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cortops.cli.compose import Common, Here, environment, here
from cortops.cli.output import show, show_json, table
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind
from cortops.words.errors import BadInput

VALUE_MAX_BYTES = 64 * 1024

T = TypeVar("T")


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Name, kind and public part of each secret; those not yet made too."""
    env = environment(file, common)

    async def run(place: Here) -> list[dict[str, object]]:
        index = {entry.name: entry for entry in place.deployment.secrets.index()}
        rows: list[dict[str, object]] = []
        for want in secrets_of(env):
            entry = index.get(want.name)
            public = entry.public if entry and want.kind is Kind.WALLET else ""
            rows.append({"name": want.name, "kind": want.kind, "public": public, "created_at": entry.created_at if entry else None})
        return rows

    rows = asyncio.run(_with_here(file, common, run))
    if common.json:
        show_json(rows)
        return 0
    show(
        table(
            [("NAME", "KIND", "MADE", "PUBLIC"), *((str(r["name"]), str(r["kind"]), _day(r["created_at"]), str(r["public"])) for r in rows)]
        )
    )
    return 0


def set_(name: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Keep a value, read from standard input, so that it never stands in an argument list."""
    env = environment(file, common)
    kinds = {want.name: want.kind for want in secrets_of(env)}
    if name not in kinds:
        raise BadInput(f"{env.name} wants no secret {name}", next=f"it wants: {', '.join(kinds)}")
    value = sys.stdin.read(VALUE_MAX_BYTES + 1).strip()

    async def run(place: Here) -> None:
        place.deployment.secrets.set(name, value, kinds[name])

    asyncio.run(_with_here(file, common, run))
    show(f"{name} is kept; the next apply puts it where it is used.")
    return 0


async def _with_here(file: Path | None, common: Common, run: Callable[[Here], Awaitable[T]]) -> T:
    async with here(environment(file, common), common) as place:
        return await run(place)


def _day(at: object) -> str:
    return "not yet" if at is None else datetime.fromtimestamp(float(str(at)), UTC).strftime("%Y-%m-%d %H:%M UTC")
