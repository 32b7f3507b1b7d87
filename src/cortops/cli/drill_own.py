"""A drill of an environment whose programs run on this machine: a second one comes up beside it, and goes away again."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cortops.cli.common import Common, new_apply_id
from cortops.cli.compose import Here, here
from cortops.cli.output import Progress, joined
from cortops.cli.progress import Phases
from cortops.cli.rollback_own import scene_of
from cortops.deploy import deployment as engine
from cortops.deploy.drills import DrillKind, DrillStep, Held
from cortops.deploy.lock import this_process
from cortops.deploy.manifest import Manifest, Manifests
from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.model import ChainNode
from cortops.local.down import down
from cortops.local.here import data_root, demand_writable
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, CortopsError, Refused

BASES = (10_000, 12_000, 14_000, 16_000)  # so far from the ports of the environment itself; the first that is free
MARK = "of-a-drill"  # a file in the folder of a second environment, by which one that was cut off is known
CHANGED = "# changed by a drill\n"  # the change that is taken back: a line of its file, which its watch reads, so that is started anew


@dataclass(slots=True)
class _Shown:
    """What was shown so far, in order; the first thing that fails ends the drill."""

    clock: Clock
    progress: Progress
    steps: list[DrillStep] = field(default_factory=list)

    async def step(self, what: str, work: Callable[[], Awaitable[str]]) -> bool:
        """Whether it worked; work returns what was seen."""
        begun = self.clock.monotonic()
        try:
            text, good = await work(), True
        except CortopsError as error:
            text, good = error.what, False
        took_s = round(self.clock.monotonic() - begun, 1)
        self.steps.append(DrillStep(step=what, outcome="ok" if good else "failed", took_s=took_s, text=text))
        self.progress.say(f"{took_s:8.1f} s  {what}: {text}")
        return good


async def hold_own(env: Environment, kind: DrillKind, release: str, common: Common) -> Held:
    """The drill, beside the environment; what it made is removed, whatever it showed.

    Raises BadInput where such a drill says nothing, Refused where the environment beside it would act outside of this machine.
    """
    demand_own(env, kind, release)
    progress = Progress(sys.stderr)
    await _clear(env, common, progress)
    base = free_base(env, common)
    async with _beside(env, common, base) as place:
        demand_writable(place.root)
        await asyncio.to_thread(_mark, place.root)
        shown = _Shown(place.deployment.clock, progress)
        try:
            await _play(place, replace(common, port_base=common.port_base + base), kind, shown)
        finally:
            await shown.step("all of it goes away again", lambda: _away(place))
    on = f"a second {env.name} on this machine, {base} ports higher"
    return Held(on=on, releases=(), steps=tuple(shown.steps))


def _beside(env: Environment, common: Common, base: int) -> AbstractAsyncContextManager[Here]:
    return here(shift_ports(env, base), replace(common, port_base=common.port_base + base))


def _root(env: Environment, common: Common, base: int) -> Path:
    return data_root(os.environ, env.name, common.port_base + base)


def _mark(root: Path) -> None:
    root.mkdir(parents=True)
    (root / MARK).touch()


def free_base(env: Environment, common: Common) -> int:
    """The first of BASES at which no port is taken and no environment lives. Refused where there is none."""
    why = ""
    for base in BASES:
        try:
            taken = next((use.port for use in port_uses(shift_ports(env, base)) if not _is_free(use.port)), None)
        except BadInput as error:
            taken, why = 0, error.what
        if taken is None and not _root(env, common, base).exists():
            return base
        why = f"port {taken} is taken" if taken else why or f"{_root(env, common, base)} is there already"
    raise Refused(f"there is no room for a second {env.name} on this machine: {why}", where="this machine", next="End what listens there.")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _clear(env: Environment, common: Common, progress: Progress) -> None:
    """What a drill that was cut off has left."""
    for base in BASES:
        root = _root(env, common, base)
        if (root / MARK).exists():
            progress.say(f"a drill was cut off, and left {root}: it goes away first")
            async with _beside(env, common, base) as place:
                await _away(place)


def demand_own(env: Environment, kind: DrillKind, release: str) -> None:
    """BadInput or Refused for an environment of which no second one may run here."""
    if not env.own_hosts:
        raise BadInput(f"{env.file} has no adopted node, and no program of ours", next="cortops adopt")
    if kind == "bad-release" or release:
        raise BadInput(f"{env.file} has no adopted node to copy", next="cortops adopt; or drill its own programs: cortops drill deploy")
    if far := [name for name in env.own_hosts if not env.hosts[name].local]:
        raise Refused(
            f"programs of ours run on {joined(far)}, and a second environment can only be made on this machine",
            where=env.file,
            next="Drill the bundled one: cortops drill deploy local.yaml",
        )
    if not any(isinstance(node, ChainNode) for node in env.nodes.values()):
        raise Refused(
            f"{env.name} has no chain of its own, so a second one would act on its network",
            where=env.file,
            why="two programs with one key would block each other",
            next="Drill the bundled one: cortops drill deploy local.yaml",
        )


async def _play(place: Here, common: Common, kind: DrillKind, shown: _Shown) -> None:
    """common: with the ports of the second environment."""
    deployment = place.deployment
    if not await shown.step("it comes up beside", lambda: _applied(deployment)):
        return
    if kind == "deploy":
        await shown.step("a second apply has nothing to do", lambda: _nothing(deployment))
        return
    first = await deployment.manifests.latest()
    changed = replace(deployment.env, text=deployment.env.text + CHANGED)
    if await shown.step("a change is made", lambda: _applied(replace(deployment, env=changed))):
        await shown.step("rollback takes it back", lambda: _back(changed, common, deployment.manifests, first))


async def _applied(deployment: engine.Deployment) -> str:
    """An apply up to its gate: every entity is well."""
    phases = Phases(Progress(sys.stderr), deployment.clock)
    done = await engine.apply(deployment, apply_id=new_apply_id(), owner=this_process(), digest=None, report=phases.report)
    phases.finish()
    if not done.made:
        raise Refused("there was nothing to change")
    return f"{done.made} changes made, every entity is well, generation {done.generation}"


async def _nothing(deployment: engine.Deployment) -> str:
    seen = await engine.look(deployment)
    if seen.plan.changes:
        raise Refused(f"{len(seen.plan.changes)} changes are left, the first {seen.plan.changes[0].resource}")
    return f"{len(seen.plan.unchanged)} resources need no change"


async def _back(changed: Environment, common: Common, manifests: Manifests, first: Manifest | None) -> str:
    """The rollback of the environment, and whether the newest generation holds what the first did."""
    if first is None:
        raise Refused("its first generation could not be read")
    async with scene_of(changed, first.generation, common) as (before, _):
        told = await _applied(before)
    now = await manifests.latest()
    was, held = ({item.resource.key: item.attributes for item in one.resources} if one else {} for one in (first, now))
    if differing := [key for key in was.keys() | held.keys() if was.get(key) != held.get(key)]:
        raise Refused(f"{joined(sorted(differing))} differ from generation {first.generation}")
    return f"{told}; its {len(held)} resources are those of generation {first.generation}"


async def _away(place: Here) -> str:
    """Stopped, then removed: the folder bears the mark, so all that is in it is of this drill."""
    await down(
        place.deployment, place.target, place.manager, targets=place.targets, owner=this_process(), apply_id=new_apply_id(), purge=False
    )
    if (place.root / MARK).exists():
        await asyncio.to_thread(shutil.rmtree, place.root)
    return "its programs are stopped, its data is removed"
