"""`cortops generations`: what each host with adopted nodes has recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.doctor import split
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.journal import Entry
from cortops.deploy.manifest import Manifest
from cortops.deploy.node_programs import programs
from cortops.deploy.waves.history import HostHistory
from cortops.deploy.waves.read import histories
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput, UnknownName

FAILED, ATTENTION = 1, 3
SHA_CHARS = 6
_HEAD = ("", "GEN", "AT", "BY", "NODES RUN", "CHANGED")


def generations(*words: str, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """What each host with adopted nodes has recorded: what its nodes ran, when, and by whom; read from the hosts themselves.

    Exit 1 when no host answered, 3 when one was silent.

    Parameters
    ----------
    words
        [HOST...] [FILE]: default every host with adopted nodes.
    """
    file, names = split(words)
    env = environment(file, common)
    strays = [name for name in names if name not in env.hosts]
    if strays:
        raise UnknownName(f"{strays[0]} is no host of {env.file}", next=f"It has: {', '.join(list(env.hosts)[:8])}")
    found = asyncio.run(_read(env, names, common))
    if not found:
        raise BadInput(f"no node of {env.file} is adopted there, so nothing is recorded", next="cortops adopt")
    if common.json:
        show_json(as_json(found))
    else:
        show(as_text(found))
    silent = [one for one in found if one.silent]
    return 0 if not silent else FAILED if len(silent) == len(found) else ATTENTION


async def _read(env: Environment, names: Sequence[str], common: Common) -> tuple[HostHistory, ...]:
    async with here(env, common) as place:
        states = {name: state for name, state in place.deployment.states.items() if not names or name in names}
        return tuple((await histories(states)).values())


def as_text(found: Sequence[HostHistory]) -> str:
    """A table a host, the newest first; then how the gates of its nodes ended, and the next command."""
    lines: list[str] = []
    for history in found:
        if history.silent:
            lines.append(f"{history.host}  could not be asked: {history.silent}")
            continue
        lines.append(f"{history.host}  {len(history.generations)} generations")
        lines.append(table([_HEAD, *reversed(_rows(history))], "  "))
        lines += [f"  {one}" for one in _gates(history)]
    return "\n".join([*lines, "next: cortops rollback NODE or HOST, and --to GEN for one of these"])


def _rows(history: HostHistory) -> list[tuple[str, ...]]:
    kept = history.generations
    first = [_row(kept[0], "adopted" if kept[0].generation == 0 else "the oldest that is kept", newest=len(kept) == 1)] if kept else []
    later = [_row(later, _changed(before, later), newest=later is kept[-1]) for before, later in pairwise(kept)]
    return [*first, *later]


def _row(manifest: Manifest, changed: str, *, newest: bool) -> tuple[str, ...]:
    at = datetime.fromtimestamp(manifest.at, UTC)
    counts: dict[str, int] = {}
    for node in programs(manifest).values():
        told = f"{node.program[:SHA_CHARS]} ({node.release})"
        counts[told] = counts.get(told, 0) + 1
    run = ", ".join(f"{count} {told}" for told, count in counts.items())
    return ("*" if newest else "", str(manifest.generation), f"{at.day} {at:%b %H:%M:%S} UTC", manifest.by, run, changed)


def _changed(before: Manifest, later: Manifest) -> str:
    """`m07 3f2a1b -> 9a3f1c`; of more than a few only which."""
    then, now = programs(before), programs(later)
    both = [(name, then[name], node) for name, node in now.items() if name in then]
    moved = [f"{name} {was.program[:SHA_CHARS]} -> {node.program[:SHA_CHARS]}" for name, was, node in both if was.program != node.program]
    new = [name for name in now if name not in then]
    gone = [name for name in then if name not in now]
    edited = [name for name, was, node in both if (was.unit_sha256, was.env_sha256) != (node.unit_sha256, node.env_sha256)]
    parts = [
        joined(moved, 3),
        f"adopted {joined(new)}" if new else "",
        f"left {joined(gone)}" if gone else "",
        f"unit or env of {joined(edited)}" if edited else "",
    ]
    return "; ".join(part for part in parts if part) or "nothing that nodes run"


def _gates(history: HostHistory) -> list[str]:
    """The newest word on each node with what it runs now, and on each program that was found bad."""
    newest: dict[tuple[str, str], Entry] = {(one.resource.partition(":")[2], one.digest): one for one in history.judged}
    return [
        f"{node} with {program[:SHA_CHARS]}: {entry.outcome}{': ' if entry.text else ''}{entry.text}"
        for (node, program), entry in newest.items()
        if entry.outcome == "bad" or (node in history.latest and history.latest[node].program == program)
    ]


def as_json(found: Sequence[HostHistory]) -> list[dict[str, object]]:
    """The shape of `generations --json`: the newest generation first."""
    return [
        {
            "host": history.host,
            "silent": history.silent,
            "generations": [
                {
                    "generation": one.generation,
                    "at": one.at,
                    "by": one.by,
                    "apply": one.apply,
                    "nodes": {name: {"sha256": node.program, "release": node.release} for name, node in programs(one).items()},
                }
                for one in reversed(history.generations)
            ],
            "gates": [
                {
                    "node": one.resource.partition(":")[2],
                    "sha256": one.digest,
                    "outcome": one.outcome,
                    "text": one.text,
                    "at": one.at,
                    "by": one.by,
                }
                for one in history.judged
            ],
        }
        for history in found
    ]
