"""`cortops upgrade --detach HOST`: the same upgrade, by the same plan, done by the host with the installed watch; the laptop may close."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import cortops
from cortops.cli.channel_files import FOLDER
from cortops.cli.common import new_apply_id
from cortops.cli.compose import Here
from cortops.cli.release_file import ReleaseFile
from cortops.cli.upgrade_run import Scene
from cortops.deploy.binaries import bring
from cortops.deploy.fetch import FetchProgress
from cortops.deploy.kinds import desire
from cortops.deploy.limits import demand_allowed
from cortops.deploy.lock import this_process
from cortops.deploy.manifest import Manifests
from cortops.deploy.observed import Step
from cortops.deploy.observing import WatchPlace
from cortops.deploy.target_driver import TargetDriver
from cortops.deploy.watching import demand_no_upgrade
from cortops.environment.declared import Environment
from cortops.surfaces.monitoring.render import WATCH
from cortops.targets.ask import ask
from cortops.targets.systemd import Systemd
from cortops.words.change import Action
from cortops.words.errors import BadInput, Refused, StepFailed, UnknownName
from cortops.words.resource import AuthorizedKey, Blob, Content, File, SecretRef, Tree

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3_600  # a polite end waits for the node that is being changed


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """An upgrade that a host does now. unit: what does it there; log: what it says."""

    host: str
    unit: str
    log: str

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"{self.host} does it now, and goes on when this machine closes.\n"
            f"It says there what it does: tail -f {self.log}; systemctl stop {self.unit} ends it after the current node."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """To whom an upgrade is handed over. words: of the command line, without the file. flags: its options, and what was said of them."""

    host: str
    words: Sequence[str]
    flags: Mapping[str, str | int | bool]
    accept: Sequence[str] = ()


async def hand_over(env: Environment, place: Here, scene: Scene, handing: Handing) -> HandedOver:
    """Bring program and file there, start it, and write into our file what its nodes are changed to.

    Raises Refused where no watch is installed that may act, where it is of another version, and where an upgrade is under way already.
    """
    host = handing.host
    if handing.accept:
        raise BadInput("a node is accepted by people who look, not by a host", next="Accept it first, without --detach.")
    if host not in env.hosts or host not in place.targets or not env.hosts[host].ssh:
        raise UnknownName(f"{host} is no host of {env.file} that is reached by SSH", next="Name the one with the installed watch.")
    if not scene.plan.steps:
        raise BadInput("there is nothing to hand over: no node would change")
    demand_allowed(this_process().who, env.rules.apply.by, where=host)
    file = ReleaseFile(Path(env.file))
    file.demand_writable()
    watch = WatchPlace(environment=env.name, host=host, port=1)
    target = place.targets[host]
    python = await _python(env, place, watch)
    await demand_no_upgrade(target, watch)
    await _send(env, place, scene, watch)
    argv = [
        python,
        "-m",
        "cortops.cli",
        "upgrade",
        *handing.words,
        _file(watch, env),
        *_options({**handing.flags, "plan": scene.plan.digest}),
    ]
    said = await ask(target, _start(watch, argv), START_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"the upgrade could not be started on {host}: {said.why}", where=host, next="Nothing was changed on any node.")
    for step in scene.plan.steps:
        file.declare(step.node, scene.plan.release)
    return HandedOver(host=host, unit=watch.upgrade_unit, log=watch.upgrade_log)


async def _python(env: Environment, place: Here, watch: WatchPlace) -> str:
    """The interpreter of the installed watch. Refused where there is none that may act, or one of another version."""
    again = f"cortops watch {env.file} --install {watch.host} --may-act"
    latest = await Manifests(place.targets[watch.host], watch.root).latest()
    items = [item.resource for item in latest.resources] if latest is not None else []
    if not any(isinstance(item, AuthorizedKey) and item.mark == watch.acting_mark for item in items):
        raise Refused(f"no watch of {env.name} that may act is installed on {watch.host}", where=watch.host, next=again)
    assert latest is not None
    reached = {item.place for item in items if isinstance(item, AuthorizedKey) and item.mark == watch.acting_mark}
    if missing := [node.host for node in env.installed.values() if node.host not in reached]:
        raise Refused(f"the watch on {watch.host} has no key for {missing[0]}", where=watch.host, next=again)
    if latest.tool_version != cortops.__version__:
        what = f"the watch on {watch.host} is cortops {latest.tool_version}, and this is {cortops.__version__}"
        raise Refused(what, where=watch.host, next=again)
    return next(f"{item.path}/bin/python" for item in items if isinstance(item, Tree))


async def _send(env: Environment, place: Here, scene: Scene, watch: WatchPlace) -> None:
    """The program into its cache and the environment file beside it, by the engine's own kinds."""
    deployment = place.deployment
    build = env.programs[scene.program.release]

    def quiet(event: FetchProgress) -> None:
        """Nothing is shown: it lies in our cache, or fails by name."""

    beside = Path(env.file).resolve().parent
    path = await bring(scene.program.release, build, deployment.cache, quiet, deployment.clock, beside=beside, http=place.http)
    because = "upgrade --detach"
    blob = Blob(
        place=watch.host,
        entity=WATCH,
        because=because,
        path=f"{watch.home}/cache/artifacts/{build.sha256}",
        release=scene.program.release,
        sha256=build.sha256,
        size=path.stat().st_size,
        mode=0o600,
    )
    text = File(place=watch.host, entity=WATCH, because=because, path=_file(watch, env), content=(env.text,), mode=0o600)

    def fill(content: Content) -> bytes:
        return "".join("" if isinstance(part, SecretRef) else part for part in content).encode()

    manager = Systemd(watch.root, watch.prefix)
    steps = [Step(action=Action.CREATE, desired=item) for item in desire((blob, text), fill, manager)]
    driver = TargetDriver(place.targets[watch.host], manager, lambda _blob: path)
    async with aclosing(driver.apply(steps, new_apply_id())) as events:
        async for event in events:
            if event.event == "failed":
                raise StepFailed(f"{event.key.partition(' ')[2]} could not be brought to {watch.host}: {event.text}", where=watch.host)


def _file(watch: WatchPlace, env: Environment) -> str:
    return f"{watch.home}/{env.name}.yaml"


def _options(flags: Mapping[str, str | int | bool]) -> list[str]:
    """`--wave 3`, `--again`: what was said, and nothing that was not."""
    said: list[str] = []
    for name, value in flags.items():
        if value is True:
            said.append(f"--{name}")
        elif value:
            said += [f"--{name}", str(value)]
    return said


def _start(watch: WatchPlace, argv: Sequence[str]) -> str:
    """A transient unit: it outlives our connection, ends politely, and is gone when it has ended."""
    env = {
        "HOME": watch.home,
        "CORTOPS_DATA": f"{watch.home}/data",
        "CORTOPS_HOME": f"{watch.home}/cache",
        FOLDER: watch.channels,
    }
    words = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={watch.upgrade_unit}",
        f"--description=upgrade of {watch.environment} (cortops)",
        f"--property=StandardOutput=append:{watch.upgrade_log}",
        "--property=StandardError=inherit",
        f"--property=TimeoutStopSec={STOP_TIMEOUT_S}",
        f"--property=WorkingDirectory={watch.home}",
        *(f"--setenv={name}={value}" for name, value in env.items()),
        *argv,
    ]
    return shlex.join(words)
