"""`cortops generations`: what is recorded of our own programs, and on each host with adopted nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.doctor import split
from cortops.cli.generations_own import Recorded, accepted, as_lines, audit_json, who
from cortops.cli.generations_own import as_json as own_json
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.deployment import Deployment
from cortops.deploy.journal import Entry
from cortops.deploy.manifest import Manifest
from cortops.deploy.node_programs import programs
from cortops.deploy.waves.history import HostHistory
from cortops.deploy.waves.read import all_kept, histories
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput, StoreUnavailable, UnknownName

FAILED, ATTENTION = 1, 3
SHA_CHARS = 6
_HEAD = ("", "GEN", "AT", "BY", "NODES RUN", "CHANGED")


def generations(
    *words: str,
    declared: int | None = None,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """What was applied, when, by whom, from where: of our own programs, and of the nodes of each host, as the hosts themselves have it.

    Exit 1 when nobody answered, 3 when a host was silent.

    Parameters
    ----------
    words
        [HOST...] [FILE]: default our own programs, and every host with adopted nodes.
    declared
        Print the environment file that this generation of our own programs was made from.
    """
    file, names = split(words)
    env = environment(file, common)
    strays = [name for name in names if name not in env.hosts]
    if strays:
        raise UnknownName(f"{strays[0]} is no host of {env.file}", next=f"It has: {', '.join(list(env.hosts)[:8])}")
    if declared is not None:
        show(asyncio.run(_declared(env, declared, common)).rstrip("\n"))
        return 0
    own, found = asyncio.run(_read(env, names, common))
    ours = bool(own.generations or own.silent or own.unfinished)
    if not found and not ours:
        raise BadInput(f"nothing is recorded there for {env.file}", next="cortops apply for our own programs, cortops adopt for nodes")
    if common.json:
        show_json([*([own_json(own)] if ours else []), *as_json(found)])
    else:
        show("\n".join([*as_lines(own, env.file), *([as_text(found)] if found else [f"next: cortops rollback {env.file} --to GEN"])]))
    silent = [why for why in (*(one.silent for one in found), own.silent) if why]
    return 0 if not silent else FAILED if len(silent) == len(found) + ours else ATTENTION


async def _read(env: Environment, names: Sequence[str], common: Common) -> tuple[Recorded, tuple[HostHistory, ...]]:
    async with here(env, common, only_asks=True) as place:
        states = {name: state for name, state in place.deployment.states.items() if not names or name in names}
        own = Recorded(environment=env.name)
        if not names:
            own = await _own(place.deployment)
        return own, tuple((await histories(states)).values())


async def _own(deployment: Deployment) -> Recorded:
    try:
        latest, journal = await asyncio.gather(deployment.manifests.latest(), deployment.journal.read())
        kept = await all_kept(deployment.manifests, latest) if latest is not None else ()
    except StoreUnavailable as error:
        return Recorded(environment=deployment.env.name, silent=error.what)
    return Recorded(environment=deployment.env.name, generations=kept, journal=journal)


async def _declared(env: Environment, generation: int, common: Common) -> str:
    async with here(env, common, only_asks=True) as place:
        manifests = place.deployment.manifests
        found = await manifests.read(generation)
        if found is None or not found.declared:
            kept = ", ".join(map(str, await manifests.generations())) or "none"
            raise BadInput(f"no environment file is kept of generation {generation}", next=f"Kept: {kept}. See: cortops generations")
        return found.declared


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
    changes = ["adopted" if kept[0].generation == 0 else "the oldest that is kept"] if kept else []
    changes += [_changed(before, later) for before, later in pairwise(kept)]
    return [_row(one, text, history.begun, newest=one is kept[-1]) for one, text in zip(kept, changes, strict=True)]


def _row(manifest: Manifest, changed: str, begun: Mapping[str, Entry], *, newest: bool) -> tuple[str, ...]:
    at = datetime.fromtimestamp(manifest.at, UTC)
    counts: dict[str, int] = {}
    for node in programs(manifest).values():
        told = f"{node.program[:SHA_CHARS]} ({node.release})"
        counts[told] = counts.get(told, 0) + 1
    run = ", ".join(f"{count} {told}" for told, count in counts.items())
    told = "; ".join(part for part in (changed, accepted(manifest, begun)) if part)
    return ("*" if newest else "", str(manifest.generation), f"{at.day} {at:%b %H:%M:%S} UTC", who(manifest, begun), run, told)


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
                    **audit_json(one, history.begun),
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
