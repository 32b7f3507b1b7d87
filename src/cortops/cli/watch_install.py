"""`cortops watch --install HOST` and `--uninstall HOST`: a watch that runs there for good, with keys that may only look."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import cortops
from cortops.cli.common import Common, new_apply_id
from cortops.cli.fleet import fleet
from cortops.cli.notify import channel_names, secret_store
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.cli.plan import row
from cortops.cli.progress import Phases
from cortops.deploy.fetch import cache_root
from cortops.deploy.lock import this_process
from cortops.deploy.observing import WatchPlace, demand_only_installed
from cortops.deploy.runtime import runtime
from cortops.deploy.watching import Site, WatchLook, apply, first_words, look
from cortops.environment.declared import Environment
from cortops.targets.observed import Login
from cortops.targets.ssh import SshTarget
from cortops.targets.target import Target
from cortops.words.errors import BadInput, GateClosed, PermissionMissing, UnknownName

PENDING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was planned or done. missed: host -> why the watch does not look at it. made: changes, None where only planned.

    told: what the watch said first.
    """

    look: WatchLook
    missed: Mapping[str, str]
    made: int | None = None
    notes: tuple[str, ...] = ()
    told: Mapping[str, object] = field(default_factory=dict)


def install(env: Environment, host: str, port: int, common: Common, *, plan: str, yes: bool, may_act: bool) -> int:
    """Show what would be done and exit 3, or do it. BadInput for a host that cannot hold a watch, and for what one cannot look at."""
    demand_only_installed(env)
    _demand_host(env, host)
    place = WatchPlace(environment=env.name, host=host, port=port)
    done = asyncio.run(_run(env, place, common, plan if plan or not yes else None, remove=False, may_act=may_act))
    if common.json:
        show_json(as_json(place, done))
    else:
        show(installed_text(env, place, done))
    if done.made is None:
        return PENDING if done.look.plan.changes or not done.look.is_recorded else 0
    if not done.told:
        log = f"{place.root}/log/watch.log"
        raise GateClosed(f"the watch on {host} has seen nothing yet", where=host, next=f"Read {log} on {host}, then run the command again.")
    return PENDING if done.missed else 0


def uninstall(env: Environment, host: str, common: Common, *, plan: str, yes: bool) -> int:
    """Show what would go and exit 3, or take all of it away."""
    _demand_host(env, host)
    place = WatchPlace(environment=env.name, host=host, port=1)
    done = asyncio.run(_run(env, place, common, plan if plan or not yes else None, remove=True, may_act=True))
    if common.json:
        show_json(as_json(place, done))
    else:
        show(removed_text(env, place, done))
    return PENDING if done.made is None and _is_there(done.look) else 0


def _demand_host(env: Environment, host: str) -> None:
    if host not in env.hosts:
        raise UnknownName(f"{host} is no host of {env.file}", next=f"It has: {joined(env.hosts, 8)}")
    if not env.hosts[host].ssh:
        raise BadInput(f"{host} is this machine", next=f"Declare monitor: {{on: {host}, port: 8500}} in {env.file}, then: cortops apply")


@asynccontextmanager
async def _site(env: Environment, place: WatchPlace, common: Common, *, may_act: bool) -> AsyncIterator[Site]:
    store = secret_store(env, common)
    by_ssh = {name: host for name, host in env.hosts.items() if host.ssh}
    async with fleet(by_ssh, common) as hosts:
        made = await asyncio.to_thread(runtime, cache_root(os.environ))
        yield Site(
            env=env,
            place=place,
            targets=hosts.targets,
            clock=hosts.clock,
            runtime=made,
            channels=channel_names(store),
            fill=store.value,
            tool_version=cortops.__version__,
            may_act=may_act,
        )


async def _run(env: Environment, place: WatchPlace, common: Common, digest: str | None, *, remove: bool, may_act: bool) -> Outcome:
    """digest: "" to plan only, None to do whatever the plan is."""
    progress = Progress(sys.stderr)
    progress.now("asking hosts …")
    async with _site(env, place, common, may_act=may_act) as site:
        logins, missed = await _logins(env, place, site.targets)
        seen = await look(site, logins, remove=remove)
        progress.say()
        nothing = not seen.plan.changes and (seen.latest is None if remove else seen.is_recorded)
        if digest == "" or nothing:
            told = await first_words(site) if nothing and not remove and digest != "" else {}
            return Outcome(look=seen, missed=missed, made=None if digest == "" else 0, told=told)
        phases = Phases(progress, site.clock)
        done = await apply(
            site, logins, apply_id=new_apply_id(), owner=this_process(), report=phases.report, digest=digest or "", remove=remove
        )
        told = {}
        if not remove:
            progress.now("  it looks at everything once …")
            told = await first_words(site)
        progress.say()
        return Outcome(look=done.look, missed=missed, made=done.made, notes=done.notes, told=told)


async def _logins(env: Environment, place: WatchPlace, targets: Mapping[str, Target]) -> tuple[dict[str, Login], dict[str, str]]:
    """How each host is reached, its own among them, and why some are not. PermissionMissing for one where we are not root."""
    others = {name: one for name, one in targets.items() if isinstance(one, SshTarget)}
    found = dict(zip(others, await asyncio.gather(*(one.login() for one in others.values())), strict=True))
    logins: dict[str, Login] = {}
    missed = {name: "it is this machine, to which the watch has no way" for name, host in env.hosts.items() if host.local}
    for name, login in found.items():
        if not isinstance(login, Login):
            missed[name] = login.why
        elif login.user != "root" and not env.hosts[name].sudo:
            raise PermissionMissing(
                f"{name} lets cortops in as {login.user}, and what nodes say there is read by root",
                where=name,
                next=f"Set hosts.{name}.sudo: true in {env.file}.",
            )
        else:
            logins[name] = login
    return logins, missed


def installed_text(env: Environment, place: WatchPlace, done: Outcome) -> str:
    """The plan and how to make it, or what is there now and how to see it."""
    seen, host = done.look, place.host
    lines = [f"{name} could not be reached, so the watch does not look at it: {why}" for name, why in done.missed.items()]
    changes = seen.plan.changes
    if done.made is None and (changes or not seen.is_recorded):
        lines = [table([row(change) for change in changes]), *lines, *_about(place, seen)]
        lines.append(f"digest {seen.plan.digest[:12]}    next: cortops watch --install {host} {env.file} --plan {seen.plan.digest[:12]}")
        return "\n".join(lines)
    lines += done.notes
    headline = f"{done.made} changes made" if done.made else "Nothing to do"
    lines.append(f"{headline}: the watch of {env.name} runs on {host}, and looks at {_count(seen)}.")
    lines.append(f"Its console: ssh -L {place.port}:127.0.0.1:{place.port} {env.hosts[host].ssh}")
    lines += _ill(done.told)
    return "\n".join(lines)


def _about(place: WatchPlace, seen: WatchLook) -> list[str]:
    channels = seen.watching.channels
    told = f"It tells {joined(channels)}." if channels else "Nobody is told of anything yet: cortops notify add KIND, then install again."
    acting = [f"A second key on {place.host} may run anything on all of them, as root: upgrades that you hand over need it."]
    return [
        *(acting if seen.watching.acting else []),
        f"Its key stays on {place.host}. On {_count(seen)} it can run our observe program and nothing else; no node is touched.",
        f"{told} The watch itself runs as root on {place.host}.",
    ]


def _count(seen: WatchLook) -> str:
    others = len(seen.watching.logins)
    return f"{others} other host{'' if others == 1 else 's'}"


def _ill(told: Mapping[str, object]) -> list[str]:
    """A line for each entity that is not well, as the watch saw it."""
    entities = told.get("entities")
    rows = entities if isinstance(entities, list) else []
    ill = [(str(one["entity"]), str(one["state"]), str(one["reason"])) for one in rows if one["state"] != "ok"]
    return [table(ill, "  ")] if ill else []


def _is_there(seen: WatchLook) -> bool:
    return bool(seen.plan.changes) or seen.latest is not None


def removed_text(env: Environment, place: WatchPlace, done: Outcome) -> str:
    """What would go, or went."""
    seen = done.look
    if not _is_there(seen) and not done.made:
        return f"Nothing to do: no watch of {env.name} is installed on {place.host}."
    hosts = joined(dict.fromkeys(change.target for change in seen.plan.changes), 8)
    if done.made is None:
        lines = [table([row(change) for change in seen.plan.changes]), f"Its history, its journal and its key go too, from {hosts}."]
        lines.append(
            f"digest {seen.plan.digest[:12]}    next: cortops watch --uninstall {place.host} {env.file} --plan {seen.plan.digest[:12]}"
        )
        return "\n".join(lines)
    return "\n".join([*done.notes, f"The watch of {env.name} is gone from {hosts}; nothing of it is left there."])


def as_json(place: WatchPlace, done: Outcome) -> dict[str, object]:
    """The shape of `watch --install --json`."""
    seen = done.look
    return {
        "environment": place.environment,
        "host": place.host,
        "digest": seen.plan.digest,
        "done": done.made is not None,
        "made": done.made or 0,
        "changes": [
            {"target": one.target, "resource": one.resource, "action": one.action, "reason": one.reason} for one in seen.plan.changes
        ],
        "missed": [{"host": name, "why": why} for name, why in done.missed.items()],
        "status": dict(done.told),
    }
