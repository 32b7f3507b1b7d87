"""`cortops plan`: what an apply would change, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.drains import drain_line, drains_known
from cortops.cli.output import joined, show, show_json, table
from cortops.cli.places import gateway_hosts
from cortops.deploy.deployment import Look, look
from cortops.deploy.limits import flags_needed, with_the_chain
from cortops.deploy.lock import this_process
from cortops.words.change import Action, Change, Plan

PENDING = 3
ADOPTED = "node-program:"  # before the name of an adopted node
NAMED_MAX = 6
_MARKS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.START: "▶",
    Action.RELOAD: "»",
    Action.RESTART: "↻",
    Action.DELETE: "-",
    Action.ENSURE: "?",
}


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
    silent = {item.target for item in seen.whole.unknown if not item.resource}
    drains = drains_known(env, common) if env.gateway is not None and silent.isdisjoint(gateway_hosts(env)) else []
    if common.json:
        show_json({**as_json(seen), "drained": [drain.member for drain in drains]})
    else:
        show("\n".join([*map(drain_line, drains), as_text(seen, env.file, why=why)]))
        if (by := env.rules.apply.by) and this_process().who not in by and seen.plan.changes:
            show(f"Only {', '.join(by)} may apply it.")
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
        "irreversible": [{"resource": change.resource, "why": one.why} for one in seen.lasting for change in one.changes],
        "over_limits": list(seen.over),
    }


def as_text(seen: Look, file: str, *, why: bool, again: str = "") -> str:
    """For people: a block per wave, then what needs no change, what cannot come back, and the next command.

    again: the command that makes it, if not `cortops apply`.
    """
    found, again = seen.whole, again or f"cortops apply {file}"
    lines = []
    if seen.cut_off is not None:
        steps = len(seen.cut_off.steps)
        lines.append(
            f"The apply {seen.cut_off.apply} by {seen.cut_off.by} was cut off after {steps} steps; this plan "
            + ("is what is left of it." if seen.back is None else "leads on from there.")
        )
    for host, one in seen.fleet.hosts.items():
        if (last := one.record.cut_off) is not None:
            lines.append(f"{host}: the apply {last.apply} by {last.by} was cut off after {len(last.steps)} steps.")
    for wave in sorted({change.wave for change in found.changes}):
        lines.append(f"wave {wave}")
        lines.append(table([row(change) for change in found.changes if change.wave == wave], "  "))
    if why and found.unchanged:
        lines += ["no change", table([(item.target, item.resource, item.reason) for item in found.unchanged], "  ")]
    lines += _attention(found, why=why)
    lines += [f"blocked: {resource.id}: {reason}" for resource, reason in seen.blocked]
    lines += [f"stays as it is: {name}: what is on chain goes forward only" for name in (seen.back.named if seen.back is not None else ())]
    total = len(found.changes) + len(found.unchanged) + len([item for item in found.unknown if item.resource])
    more = "" if why or not found.unchanged else " (--why lists each reason)"
    lines.append(f"{len(found.unchanged)} of {total} resources need no change{more}")
    if not found.changes:
        unseen = any(not item.resource for item in found.unknown)
        lines.append("Nothing to do where we could look." if unseen else "Nothing to do.")
        if found.differing or any(item.resource for item in found.unknown):
            lines.append(_to_correct(found, file))
        return "\n".join(lines)
    if seen.view.missing:
        lines.append(f"{len(seen.view.missing)} secrets are made by the apply: {', '.join(seen.view.missing)}")
    if nodes := seen.fleet.changing:
        lines.append(f"{len(nodes)} nodes are not as declared: {joined(nodes)}. They are changed one after the other, by cortops upgrade.")
    lines += to_accept(seen)
    next = " ".join((again, "--plan", found.digest[:12], *flags_needed(seen.over, seen.lasting)))
    return "\n".join([*lines, f"digest {found.digest[:12]}    next: {next if seen.plan.changes else f'cortops upgrade {file}'}"])


def _to_correct(found: Plan, file: str) -> str:
    edited = [item.resource.removeprefix(ADOPTED) for item in found.differing if item.resource.startswith(ADOPTED)]
    if edited:
        return f"next: cortops adopt {' '.join(edited[:NAMED_MAX])} {file}    records what was edited by hand as it is"
    return f"next: correct {file}, or let cortops discover write it anew"


def to_accept(seen: Look) -> list[str]:
    """Which limits the plan is over, and what of it cannot come back, each named with why."""
    lines = [f"over a limit: {one}" for one in seen.over]
    lines += [f"cannot be taken back: {', '.join(change.resource for change in one.changes)}: {one.why}" for one in seen.lasting]
    if count := with_the_chain(seen.plan, seen.lasting):
        lines.append(f"{count} changes on the development chain go only with it: cortops down --purge.")
    return lines if seen.lasting or count else [*lines, "All of it can be taken back."]


def _attention(found: Plan, *, why: bool) -> list[str]:
    """What no apply may mend: places that could not be looked at, and nodes that were there before us and are gone or not as declared."""
    rows = [(item.target, item.resource, item.why) for item in found.unknown if item.resource]
    rows += [] if why else [(item.target, item.resource, item.reason) for item in found.differing]
    lines = [f"{item.target} could not be looked at: {item.why}" for item in found.unknown if not item.resource]
    return [*lines, "not as declared", table(rows, "  ")] if rows else lines


def row(change: Change) -> tuple[str, str, str, str, str]:
    """A change as a line of a table."""
    return (_MARKS[change.action], change.action, change.target, change.resource, change.reason)
