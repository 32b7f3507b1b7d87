"""A drill on copies of adopted nodes: what is played, and what it must show."""

from __future__ import annotations

import asyncio
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cortops.cli.compose import Here
from cortops.cli.copied import gather, lines_about, stage_of, told_by
from cortops.cli.output import Progress, joined
from cortops.cli.upgrade_run import signals
from cortops.cli.upgrade_told import Lines
from cortops.deploy.binaries import bring
from cortops.deploy.drills import DrillKind, DrillStep, Held, Released
from cortops.deploy.node_programs import Program
from cortops.deploy.rehearsal.cases import deployed, lingered, taken_back, went_back
from cortops.deploy.rehearsal.copies import Copy, Runs, plan_of
from cortops.deploy.rehearsal.made import CRASHES, DIES, LINGERS, STEADY, demand_machine
from cortops.deploy.rehearsal.play import Played, go_back, play
from cortops.deploy.rehearsal.stage import Stage, now
from cortops.deploy.waves.read import histories
from cortops.deploy.waves.run import Stopping
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.found.discover import question, question_id, read
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match
from cortops.words.errors import BadInput, CortopsError, Refused, Stopped
from cortops.words.question import Answer

BAD_COPIES_MAX = 3  # one that the bad program reaches, and others that it must not


@dataclass(slots=True)
class _Scene:
    """A stage with all that a case needs. steps: what was shown so far."""

    stage: Stage
    stopping: Stopping
    lines: Lines
    was: Mapping[str, str]
    steps: list[DrillStep] = field(default_factory=list)

    async def play(self, program: Program, copies: Sequence[Copy]) -> tuple[Played, float]:
        """How it ended, and how long it took, in seconds. Stopped when people end it."""
        begun = self.lines.took_s
        plan = plan_of(self.stage.env, program.release, program.sha256, copies)
        played = await play(self.stage, plan, program, self.stopping, told_by(self.lines))
        if self.stopping.soon.is_set():
            raise Stopped(
                "the drill was ended before it showed anything", where="this machine", next="Start it again; no host was changed."
            )
        return played, self.lines.took_s - begun

    def say(self, step: DrillStep) -> None:
        """Keep a step, and say how it went."""
        self.steps.append(step)
        self.lines.all(f"{step.outcome}: {step.step}")


async def hold(env: Environment, place: Here, kind: DrillKind, release: str, names: Sequence[str]) -> Held:
    """The drill on copies of those adopted nodes. release: "" for a program that is made for it.

    Raises BadInput where none of them is adopted, Refused where no copy can be made here, Stopped when people end it, and what bringing the
    release raises.
    """
    if not release:
        demand_machine(platform.machine())
    found, runs, left = await _nodes(env, place, names)
    if not runs:
        why = f": {left[0]}" if left else ""
        raise BadInput(f"no adopted node could be looked at, so there is nothing to copy{why}", next="cortops adopt")
    gathered = await gather(env, place, list(runs), found, runs, Progress(sys.stderr))
    left = (*left, *(f"{node}: {why}" for node, why in gathered.cast.left))
    if not gathered.cast.copies:
        raise Refused(f"no copy could be made: {joined(left, 2)}", where="this machine", next="cortops releases add NAME FILE")
    lines, stopping = lines_about(place, gathered), Stopping()
    with tempfile.TemporaryDirectory(prefix="cortops-made-") as folder, signals(stopping, lines):
        programs, files = await _programs(env, place, kind, release, Path(folder))
        lines.all(f"copies of {joined([copy.name for copy in gathered.cast.copies], 8)} start here; hosts are only read")
        async with stage_of(env, place, gathered, files, lines) as stage:
            left = (*left, *(f"{node}: {why}" for node, why in stage.ended))
            if not stage.copies:
                raise Refused(f"no copy stays up here: {joined(left, 2)}", where="this machine")
            scene = _Scene(stage=stage, stopping=stopping, lines=lines, was={copy.name: copy.runs.program for copy in stage.copies})
            try:
                await _CASES[kind](scene, programs)
            except Stopped:
                raise
            except CortopsError as error:
                scene.say(DrillStep(step="the drill itself", outcome="failed", took_s=round(lines.took_s, 1), text=error.what))
    used = {copy.runs.program: copy.runs.release for copy in stage.copies}
    releases = [Released(release=name, sha256=sha256) for sha256, name in used.items()]
    releases += [Released(release=program.release, sha256=program.sha256) for program in programs]
    on = f"copies of {joined([copy.name for copy in stage.copies], 8)} on this machine"
    return Held(on=on, releases=tuple(releases), steps=tuple(scene.steps), left=left)


async def _nodes(env: Environment, place: Here, names: Sequence[str]) -> tuple[dict[str, Installed], dict[str, Runs], tuple[str, ...]]:
    """What is public of these nodes, what their hosts have recorded that they run, and what is left out."""
    hosts = list(dict.fromkeys(env.installed[name].host for name in names))
    states = {host: state for host, state in place.deployment.states.items() if host in hosts}
    replies, records = await asyncio.gather(place.deployment.ask([question(host) for host in states]), histories(states))
    found: dict[str, Installed] = {}
    runs: dict[str, Runs] = {}
    left = [f"{host}: {record.silent}" for host, record in records.items() if record.silent]
    for name in names:
        host = env.installed[name].host
        recorded = records[host].latest.get(name) if host in records else None
        if recorded is None:
            left += [] if host in records and records[host].silent else [f"{name}: it is not adopted"]
            continue
        runs[name] = Runs(program=recorded.program, release=recorded.release)
        reply = replies.get(question_id(host))
        if isinstance(reply, Answer) and not isinstance(here := match(env.installed[name], read(reply.text, host)), Missing):
            found[name] = here
    return found, runs, tuple(left)


async def _programs(
    env: Environment, place: Here, kind: DrillKind, release: str, folder: Path
) -> tuple[tuple[Program, ...], dict[str, Path]]:
    """The programs that the drill changes copies to, and their files."""
    if release:
        deployment, beside = place.deployment, Path(env.file).resolve().parent
        build = env.programs[release]
        path = await bring(release, build, deployment.cache, lambda event: None, deployment.clock, beside=beside, http=place.http)
        return (Program(sha256=build.sha256, release=release, size=path.stat().st_size),), {build.sha256: path}
    made = _BAD if kind == "bad-release" else (STEADY,)
    files = {one.sha256: folder / one.name for one in made}
    for one in made:
        await asyncio.to_thread(files[one.sha256].write_bytes, one.data)
    return tuple(Program(sha256=one.sha256, release=one.name, size=len(one.data)) for one in made), files


async def _deploy(scene: _Scene, programs: Sequence[Program]) -> None:
    played, took_s = await scene.play(programs[0], scene.stage.copies)
    scene.say(deployed(played, await now(scene.stage), programs[0].sha256, took_s))


async def _rollback(scene: _Scene, programs: Sequence[Program]) -> None:
    await _deploy(scene, programs)
    back = await go_back(scene.stage, scene.stopping, told_by(scene.lines))
    scene.say(went_back(back, await now(scene.stage), scene.was))


async def _bad_release(scene: _Scene, programs: Sequence[Program]) -> None:
    copies = scene.stage.copies[:BAD_COPIES_MAX]
    does = {one.sha256: one.does for one in _BAD}
    for program in programs:
        before = await now(scene.stage)
        lingers = program.sha256 == LINGERS.sha256
        played, took_s = await scene.play(program, copies[:1] if lingers else copies)
        if lingers:
            back = await go_back(scene.stage, scene.stopping, told_by(scene.lines))
            scene.say(lingered(does[program.sha256], played, back, await now(scene.stage), scene.was))
        else:
            scene.say(taken_back(does[program.sha256], played, before, await now(scene.stage), took_s))


_BAD = (CRASHES, DIES, LINGERS)
_CASES = {"deploy": _deploy, "rollback": _rollback, "bad-release": _bad_release}
