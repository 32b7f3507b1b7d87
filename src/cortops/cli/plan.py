"""`cortops plan`: what an apply would change, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.deployment import Look, look
from cortops.words.change import Action, Change, Plan

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
    found = seen.whole
    return PENDING if found.changes or found.unknown or found.differing else 0


def as_json(seen: Look) -> dict[str, object]:
    """The shape of `plan --json`."""
    found = seen.whole
    fields = ("target", "resource", "action", "reason", "reversal", "wave")
    return {
        "digest": found.digest,
        "changes": [{name: getattr(change, name) for name in fields} for change in found.changes],
        "unchanged": [
            {"target": item.target, "resource": item.resource, "reason": item.reason, "differs": item.differs} for item in found.unchanged
        ],
        "unknown": [{"target": item.target, "why": item.why, "resource": item.resource} for item in found.unknown],
        "blocked": [{"resource": resource.id, "why": why} for resource, why in seen.blocked],
        "secrets_to_make": list(seen.view.missing),
    }


def as_text(seen: Look, file: str, *, why: bool) -> str:
    """For people: a block per wave, then what needs no change, what is irreversible, and the next command."""
    found = seen.whole
    lines = []
    if seen.cut_off is not None:
        steps = len(seen.cut_off.steps)
        lines.append(
            f"The apply {seen.cut_off.apply} by {seen.cut_off.by} was cut off after {steps} steps; this plan is what is left of it."
        )
    for host, one in seen.fleet.hosts.items():
        if (last := one.record.cut_off) is not None:
            lines.append(f"{host}: the apply {last.apply} by {last.by} was cut off after {len(last.steps)} steps.")
    for wave in sorted({change.wave for change in found.changes}):
        lines.append(f"wave {wave}")
        lines.append(table([_row(change) for change in found.changes if change.wave == wave], "  "))
    if why and found.unchanged:
        lines += ["no change", table([(item.target, item.resource, item.reason) for item in found.unchanged], "  ")]
    lines += _attention(found, why=why)
    lines += [f"blocked: {resource.id}: {reason}" for resource, reason in seen.blocked]
    total = len(found.changes) + len(found.unchanged) + len([item for item in found.unknown if item.resource])
    more = "" if why or not found.unchanged else " (--why lists each reason)"
    lines.append(f"{len(found.unchanged)} of {total} resources need no change{more}")
    if not found.changes:
        unseen = any(not item.resource for item in found.unknown)
        lines.append("Nothing to do where we could look." if unseen else "Nothing to do.")
        if found.differing or any(item.resource for item in found.unknown):
            lines.append(f"next: correct {file}, or let cortops discover write it anew")
        return "\n".join(lines)
    if seen.view.missing:
        lines.append(f"{len(seen.view.missing)} secrets are made by the apply: {', '.join(seen.view.missing)}")
    if nodes := seen.fleet.changing:
        lines.append(f"{len(nodes)} nodes are not as declared: {joined(nodes)}. They are changed one after the other, by cortops upgrade.")
    forward = len(found.irreversible)
    lines.append(f"{forward} changes on chain cannot be taken back." if forward else "All of it can be taken back.")
    next = f"cortops apply {file} --plan {found.digest[:12]}" if seen.plan.changes else f"cortops upgrade {file}"
    return "\n".join([*lines, f"digest {found.digest[:12]}    next: {next}"])


def _attention(found: Plan, *, why: bool) -> list[str]:
    """What no apply may mend: places that could not be looked at, and nodes that were there before us and are gone or not as declared."""
    rows = [(item.target, item.resource, item.why) for item in found.unknown if item.resource]
    rows += [] if why else [(item.target, item.resource, item.reason) for item in found.differing]
    lines = [f"{item.target} could not be looked at: {item.why}" for item in found.unknown if not item.resource]
    return [*lines, "not as declared", table(rows, "  ")] if rows else lines


def _row(change: Change) -> tuple[str, str, str, str, str]:
    return (_MARKS[change.action], change.action, change.target, change.resource, change.reason)
