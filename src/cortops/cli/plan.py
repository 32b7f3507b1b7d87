"""`cortops plan`: what an apply would change, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.compose import Common, environment, here
from cortops.cli.output import show, show_json, table
from cortops.deploy.deployment import Look, look
from cortops.words.change import Action, Change

PENDING = 3
_MARKS = {Action.CREATE: "+", Action.UPDATE: "~", Action.START: "▶", Action.RESTART: "↻", Action.DELETE: "-", Action.ENSURE: "?"}


def plan(
    file: Path | None = None,
    /,
    *,
    why: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Show what an apply would change; exit 3 when there are changes, or when a place could not be looked at.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    why
        List what needs no change too, each with its reason.
    """
    env = environment(file, common)

    async def run() -> Look:
        async with here(env, common) as place:
            return await look(place.deployment)

    seen = asyncio.run(run())
    if common.json:
        show_json(as_json(seen))
    else:
        show(as_text(seen, env.file, why=why))
    return PENDING if seen.plan.changes or seen.plan.unknown else 0


def as_json(seen: Look) -> dict[str, object]:
    """The shape of `plan --json`."""
    found = seen.plan
    fields = ("target", "resource", "action", "reason", "reversal", "wave")
    return {
        "digest": found.digest,
        "changes": [{name: getattr(change, name) for name in fields} for change in found.changes],
        "unchanged": [{"target": item.target, "resource": item.resource, "reason": item.reason} for item in found.unchanged],
        "unknown": [{"target": item.target, "why": item.why} for item in found.unknown],
        "blocked": [{"resource": resource.id, "why": why} for resource, why in seen.blocked],
        "secrets_to_make": list(seen.view.missing),
    }


def as_text(seen: Look, file: str, *, why: bool) -> str:
    """For people: a block per wave, then what needs no change, what is irreversible, and the next command."""
    found = seen.plan
    lines = []
    if seen.cut_off is not None:
        steps = len(seen.cut_off.steps)
        lines.append(
            f"The apply {seen.cut_off.apply} by {seen.cut_off.by} was cut off after {steps} steps; this plan is what is left of it."
        )
    for wave in sorted({change.wave for change in found.changes}):
        lines.append(f"wave {wave}")
        lines.append(table([_row(change) for change in found.changes if change.wave == wave], "  "))
    if why and found.unchanged:
        lines += ["no change", table([(item.target, item.resource, item.reason) for item in found.unchanged], "  ")]
    lines += [f"{item.target} could not be looked at: {item.why}" for item in found.unknown]
    lines += [f"blocked: {resource.id}: {reason}" for resource, reason in seen.blocked]
    total = len(found.changes) + len(found.unchanged)
    more = "" if why or not found.unchanged else " (--why lists each reason)"
    lines.append(f"{len(found.unchanged)} of {total} resources need no change{more}")
    if not found.changes:
        return "\n".join([*lines, "Nothing to do where we could look." if found.unknown else "Nothing to do."])
    if seen.view.missing:
        lines.append(f"{len(seen.view.missing)} secrets are made by the apply: {', '.join(seen.view.missing)}")
    forward = len(found.irreversible)
    lines.append(f"{forward} changes on chain cannot be taken back." if forward else "All of it can be taken back.")
    return "\n".join([*lines, f"digest {found.digest[:12]}    next: cortops apply {file} --plan {found.digest[:12]}"])


def _row(change: Change) -> tuple[str, str, str, str, str]:
    return (_MARKS[change.action], change.action, change.target, change.resource, change.reason)
