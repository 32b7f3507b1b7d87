"""`cortops drill`: deploy, take a bad release back, and roll back, without a node of yours; what was shown, and when, is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

import cortops
from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.compose import Here, here, state_host
from cortops.cli.doctor import counted, split
from cortops.cli.output import joined, show, show_json, table
from cortops.cli.upgrade_told import about
from cortops.deploy.drills import KINDS, Drill, DrillKind, Drills, Held, latest
from cortops.deploy.lock import this_process
from cortops.environment.cortensord import CORTENSORD
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput, UnknownName

FAILED, ATTENTION = 1, 3
SHOWN_MAX = 20  # the newest; --json has all
_HEAD = ("WHEN", "DRILL", "", "TOOK", "BY", "SHOWN", "RELEASES", "WHAT FAILED")


def drill(*words: str, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Hold a drill on copies on this machine, and keep its result; without a kind, list those that were held.

    deploy: another program goes to every copy, wave after wave. bad-release: programs that crash, that die later and that are slow to end
    reach one copy and are taken back. rollback: deploy, and then all of it goes back, with equal hashes. Where no node is adopted and the
    programs of the environment run on this machine, a second environment comes up beside it and goes away again.
    Hosts are read, and nothing is changed there. Exit 0 when it showed all, 1 when something failed, 3 when the newest one listed failed.

    Parameters
    ----------
    words
        [deploy|bad-release|rollback] [RELEASE] [NODE or HOST...] [FILE]: without RELEASE a program that is made for the drill.
    """
    file, rest = split(words)
    env = environment(file, common)
    kind = next((one for one in KINDS if rest and rest[0] == one), None)
    if kind is None:
        if rest:
            raise BadInput(f"{rest[0]} is no drill", next=f"Drills are {joined(KINDS)}; cortops drill lists those that were held.")
        found = asyncio.run(_list(env, common))
        show_json([msgspec.to_builtins(one) for one in found]) if common.json else show(listed(env.name, found))
        return ATTENTION if any(one is not None and one.outcome == "failed" for one in (latest(found, each) for each in KINDS)) else 0
    release, names = meant(env, kind, rest[1:])
    held = asyncio.run(_hold(env, kind, release, names, common))
    show_json(msgspec.to_builtins(held)) if common.json else show(as_text(held))
    return 0 if held.outcome == "ok" else FAILED


def meant(env: Environment, kind: DrillKind, words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Words -> (release or "", adopted nodes). UnknownName for a word that is nothing here, BadInput for what makes no drill."""
    builds = [name for name, release in env.programs.items() if release.program == CORTENSORD]
    nodes = [name for name in words if name in env.installed]
    hosts = [name for name in words if name not in nodes and name in env.hosts]
    rest = [name for name in words if name not in nodes and name not in hosts]
    if strays := [name for name in rest if name not in builds]:
        raise UnknownName(f"{strays[0]} is no release, node or host of {env.file}", next=f"releases: {joined(builds, 8) or 'none'}")
    if len(rest) > 1:
        raise BadInput(f"{rest[0]} and {rest[1]} are two releases, and one drill is about one")
    if kind == "bad-release" and rest:
        raise BadInput(
            f"a drill of bad releases makes its own, and takes no {rest[0]}", next=f"To try that one: cortops upgrade {rest[0]} --rehearse"
        )
    adopted = [name for name, node in env.installed.items() if node.release is not None]
    chosen = [name for name in adopted if not (nodes or hosts) or name in nodes or env.installed[name].host in hosts]
    if (nodes or hosts) and not chosen:
        raise BadInput(f"none of {joined([*nodes, *hosts])} is adopted", next="cortops adopt")
    return (rest[0] if rest else ""), tuple(chosen)


def _store(env: Environment, place: Here) -> Drills:
    """Where lock and journal of the environment are."""
    state = state_host(env)
    sites = place.deployment.hosts
    return Drills(place.targets[state], sites[state].root if state in sites else str(place.root))


async def _list(env: Environment, common: Common) -> tuple[Drill, ...]:
    async with here(env, common) as place:
        return await _store(env, place).all()


async def _hold(env: Environment, kind: DrillKind, release: str, names: Sequence[str], common: Common) -> Drill:
    """Hold it, and keep what it showed; what never began is not kept."""
    at, begun, drill_id = time.time(), time.monotonic(), new_apply_id()
    async with here(env, common) as place:
        held = await _held(env, place, kind, release, names, common)
        done = Drill(
            id=drill_id,
            kind=kind,
            environment=env.name,
            at=round(at, 3),
            took_s=round(time.monotonic() - begun, 1),
            by=this_process().who,
            outcome="ok" if held.steps and all(step.outcome == "ok" for step in held.steps) else "failed",
            on=held.on,
            releases=held.releases,
            steps=held.steps,
            left=held.left,
            tool_version=cortops.__version__,
        )
        await _store(env, place).add(done)
    return done


async def _held(env: Environment, place: Here, kind: DrillKind, release: str, names: Sequence[str], common: Common) -> Held:
    if names:
        from cortops.cli.drill_run import hold

        return await hold(env, place, kind, release, names)
    from cortops.cli.drill_own import hold_own

    return await hold_own(env, kind, release, common)


def listed(name: str, found: Sequence[Drill]) -> str:
    """For people: the newest last, and what is missing."""
    missing = [kind for kind in KINDS if latest(found, kind) is None]
    following = f"next: cortops drill {missing[0]}" if missing else ""
    if not found:
        return f"No drill of {name} was held yet.    {following}"
    rows = [_row(one) for one in found[-SHOWN_MAX:]]
    older = [f"… {len(found) - SHOWN_MAX} older ones: --json"] if len(found) > SHOWN_MAX else []
    return "\n".join(
        [f"{counted(len(found), 'drill')} of {name}", *older, table([_HEAD, *rows], "  "), *([following] if following else [])]
    )


def _row(one: Drill) -> tuple[str, ...]:
    at = datetime.fromtimestamp(one.at, UTC)
    failed = [f"{step.step}: {step.text}" for step in one.steps if step.outcome == "failed"]
    shown = f"{len(one.steps) - len(failed)} of {len(one.steps)}"
    releases = joined([release.release for release in one.releases], 3)
    return (f"{at:%Y-%m-%d %H:%M:%S} UTC", one.kind, one.outcome, about(one.took_s), one.by, shown, releases, "".join(failed[:1]))


def as_text(held: Drill) -> str:
    """For people: each step, what was played on, and the next command."""
    rows = [(step.outcome, f"{step.took_s:.1f} s", step.step, step.text) for step in held.steps]
    lines = [f"{held.kind} drill of {held.environment}: {held.outcome}, in {about(held.took_s)}, on {held.on}", table(rows, "  ")]
    lines += [f"took no part: {one}" for one in held.left]
    ending = "next: cortops drill    lists all" if held.outcome == "ok" else "next: mend what failed, then hold it again: the same command"
    return "\n".join([*lines, f"kept as {held.id}. No host was changed.", ending])
