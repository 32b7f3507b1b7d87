"""`cortops upgrade --rehearse`: the upgrade that is planned, played on copies of the nodes on this machine."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cortops.cli.common import Common
from cortops.cli.compose import Here, here
from cortops.cli.copied import Gathered, gather, lines_about, stage_of, told_by
from cortops.cli.doctor import counted
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.cli.upgrade_run import Scene, look, signals
from cortops.cli.upgrade_told import about, plan_json, plan_text
from cortops.deploy.binaries import bring
from cortops.deploy.limits import flags_needed
from cortops.deploy.node_programs import Program
from cortops.deploy.rehearsal.copies import SOAK_S, Runs, as_played
from cortops.deploy.rehearsal.play import Played, WentBack, go_back, play
from cortops.deploy.rehearsal.programs import at_hand, read_back
from cortops.deploy.waves.machine import Phase
from cortops.deploy.waves.plan import Wishes
from cortops.deploy.waves.run import Stopping
from cortops.environment.declared import Environment
from cortops.words.errors import ArtifactUnavailable, Refused

FAILED, ATTENTION = 1, 3
SHOWN = (
    "the program starts with each node's role and public values, by its hash",
    f"it stays up for {SOAK_S:g} s",
    "all of it goes back: program, start line and env file have equal hashes",
)
NOT_SHOWN = (
    "whether it earns: each copy has a key of its own, which no session selects",
    "units and containers: copies are started by hand",
    "what it needs of its own host: engine, GPU, disk, ports, and what its env file keeps to itself",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How it went. scene: the real upgrade as it is planned now; played: None where no copy could be made. left: (node, why) not copied."""

    scene: Scene
    left: tuple[tuple[str, str], ...]
    played: Played | None
    back: WentBack | None
    took_s: float

    @property
    def nodes(self) -> tuple[str, ...]:
        """Those that were played."""
        return tuple(self.played.upgrade.nodes) if self.played is not None else ()

    @property
    def good(self) -> bool:
        """Whether all that could be shown was shown."""
        return self.played is not None and self.back is not None and self.played.upgrade.outcome == "passed" and not self.back.failed

    @property
    def status(self) -> int:
        """0 when all copies did well, or nothing is to be done; 1 when one did not; 3 where nothing could be shown, or people ended it."""
        if self.played is None:
            return ATTENTION if self.scene.plan.steps else 0
        return 0 if self.good else ATTENTION if self.played.upgrade.outcome == "stopped" else FAILED


async def rehearse(env: Environment, release: str, wishes: Wishes, accept: Sequence[str], common: Common) -> Rehearsal:
    """Look as the upgrade looks, copy its nodes, play it, and go back. Hosts are read, and nothing is written there.

    Raises Refused where this machine gives no place for copies, and what looking and bringing the program raise.
    """
    async with here(env, common) as place:
        scene = await look(env, place, release, wishes, accept)
        names = [step.node for step in scene.plan.steps]
        if not names:
            return Rehearsal(scene=scene, left=(), played=None, back=None, took_s=0.0)
        progress = Progress(sys.stderr)
        gathered = await gather(env, place, names, scene.observed.found, _runs(env, scene), progress)
        new = await _program(env, place, scene)
        return await _played(env, place, scene, gathered, new)


def _runs(env: Environment, scene: Scene) -> dict[str, Runs]:
    found: dict[str, Runs] = {}
    for step in scene.plan.steps:
        recorded = scene.histories[step.host].latest.get(step.node)
        found[step.node] = Runs(program=step.was, release=recorded.release if recorded is not None else "")
    return found


async def _program(env: Environment, place: Here, scene: Scene) -> Path:
    """The new program's file, also where only hosts have it any more."""
    deployment, program = place.deployment, scene.program
    if (path := await at_hand(program.sha256, deployment.cache)) is not None:
        return path
    try:
        beside = Path(env.file).resolve().parent
        return await bring(
            program.release,
            env.programs[program.release],
            deployment.cache,
            lambda event: None,
            deployment.clock,
            beside=beside,
            http=place.http,
        )
    except ArtifactUnavailable:
        host = next((name for name, record in scene.histories.items() if record.has(program.sha256)), "")
        if not host:
            raise
        return await read_back(program.sha256, deployment.states[host], deployment.cache)


async def _played(env: Environment, place: Here, scene: Scene, gathered: Gathered, new: Path) -> Rehearsal:
    lines, stopping = lines_about(place, gathered), Stopping()
    left = gathered.cast.left
    if not gathered.cast.copies:
        return Rehearsal(scene=scene, left=left, played=None, back=None, took_s=lines.took_s)
    lines.all(f"copies of {joined([copy.name for copy in gathered.cast.copies], 8)} start here; hosts are only read")
    program = Program(sha256=scene.program.sha256, release=scene.program.release, size=new.stat().st_size)
    with signals(stopping, lines):
        async with stage_of(env, place, gathered, {program.sha256: new}, lines) as stage:
            left = (*left, *stage.ended)
            plan = as_played(scene.plan, [copy.name for copy in stage.copies], SOAK_S)
            if not plan.steps:
                return Rehearsal(scene=scene, left=left, played=None, back=None, took_s=lines.took_s)
            played = await play(stage, plan, program, stopping, told_by(lines))
            back = await go_back(stage, stopping, told_by(lines)) if not stopping.now.is_set() else None
            return Rehearsal(scene=scene, left=left, played=played, back=back, took_s=lines.took_s)


def rehearsed(env: Environment, release: str, wishes: Wishes, accept: Sequence[str], shown: str, common: Common) -> int:
    """Do it and print it. shown: the command of the real upgrade, as people gave it. Returns the exit status."""
    found = asyncio.run(rehearse(env, release, wishes, accept, common))
    demand_one(found)
    plan, scene = found.scene.plan, found.scene
    if common.json:
        show_json(as_json(found))
    else:
        again = " ".join((shown, "--plan", plan.digest[:12], *flags_needed(scene.over, ())))
        show(as_text(found, plan_text(plan, time.time(), notes=scene.notes, again=again)))
    return found.status


def demand_one(rehearsal: Rehearsal) -> None:
    """Refused where there is something to rehearse, and no copy could be made of it."""
    if rehearsal.played is None and rehearsal.scene.plan.steps:
        node, why = rehearsal.left[0] if rehearsal.left else ("", "no node can be copied")
        raise Refused(
            f"nothing could be rehearsed: {node}{': ' if node else ''}{why}",
            where="this machine",
            next="Without a rehearsal the first node is the first to know: cortops upgrade goes one node first.",
        )


def as_text(rehearsal: Rehearsal, real: str) -> str:
    """For people: each copy, what that shows and what not, then the real upgrade. real: its plan as text, with the next command."""
    if rehearsal.played is None:
        return real
    release = f"{rehearsal.scene.program.release} ({rehearsal.scene.program.sha256[:6]})"
    who = counted(len(rehearsal.nodes), "node")
    head = f"Rehearsed on this machine in {about(rehearsal.took_s)}: {release} on copies of {who}. No host was changed."
    lines = [head, table([(name, *_cells(rehearsal, name)) for name in rehearsal.nodes], "  ")]
    lines += [f"not copied: {name}: {why}" for name, why in rehearsal.left]
    if not rehearsal.good:
        lines.append(f"{release} did not do well here: {_what(rehearsal)}")
        lines.append("next: cortops releases    names another build; nothing is to be taken back, for no host was changed")
        return "\n".join(lines)
    lines += [f"{'shown' if number == 0 else '':9}  {text}" for number, text in enumerate(SHOWN)]
    lines += [f"{'not shown' if number == 0 else '':9}  {text}" for number, text in enumerate(NOT_SHOWN)]
    return "\n".join([*lines, "", "The real one:", real])


def _cells(rehearsal: Rehearsal, name: str) -> tuple[str, str, str]:
    assert rehearsal.played is not None
    node, took_s = rehearsal.played.upgrade.nodes[name], rehearsal.played.switch_s.get(name)
    back = rehearsal.back
    went = "" if back is None or took_s is None else back.failed.get(name, "back with equal hashes")
    return f"switched in {took_s:.1f} s" if took_s is not None else "not begun", _word(node.phase, node.text), went


def _word(phase: Phase, text: str) -> str:
    return f"stays up for {SOAK_S:g} s" if phase is Phase.PASSED else text or str(phase)


def _what(rehearsal: Rehearsal) -> str:
    assert rehearsal.played is not None
    upgrade = rehearsal.played.upgrade
    if upgrade.outcome != "passed":
        return upgrade.stopped or upgrade.outcome
    failed = rehearsal.back.failed if rehearsal.back is not None else {}
    return "; ".join(f"{name} did not go back: {why}" for name, why in failed.items()) or "it was ended before it went back"


def as_json(rehearsal: Rehearsal) -> dict[str, object]:
    """The shape of `upgrade --rehearse --json`: the real plan, and what its rehearsal showed."""
    played, back = rehearsal.played, rehearsal.back
    nodes = [
        {
            "node": name,
            "state": str(played.upgrade.nodes[name].phase),
            "text": played.upgrade.nodes[name].text,
            "switch_s": round(played.switch_s[name], 1) if name in played.switch_s else None,
            "back": back is not None and name in back.equal,
        }
        for name in rehearsal.nodes
        if played is not None
    ]
    return {
        "plan": plan_json(rehearsal.scene.plan),
        "rehearsed": {
            "outcome": "passed" if rehearsal.good else played.upgrade.outcome if played is not None else "nothing",
            "nodes": nodes,
            "left": [{"node": name, "why": why} for name, why in rehearsal.left],
            "shown": list(SHOWN) if rehearsal.good else [],
            "not_shown": list(NOT_SHOWN),
            "back_s": round(back.took_s, 1) if back is not None else None,
            "took_s": round(rehearsal.took_s, 1),
        },
    }
