"""Install a watch on a host, change it, and take it away: one plan over its own host and all that it looks at, kept on its own host.

The key is made there before the plan is made real, and only its public half leaves: so a plan before that stands with NO_KEY, and what was
reviewed is that plan.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cortops.deploy import apply as waves
from cortops.deploy.apply import Report
from cortops.deploy.host_state import NoServices
from cortops.deploy.journal import Journal
from cortops.deploy.kinds import desire
from cortops.deploy.lock import Lock, Owner
from cortops.deploy.manifest import Manifest, Manifests, next_generation, recorded
from cortops.deploy.observed import Desired, Observed, Unseen
from cortops.deploy.observing import NO_KEY, Watching, WatchPlace, public_half, resources
from cortops.deploy.plan import plan
from cortops.deploy.runtime import Runtime
from cortops.deploy.target_driver import TargetDriver
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.adopted import BASE, PASSED_THROUGH
from cortops.targets.ask import ask
from cortops.targets.observed import Login
from cortops.targets.systemd import Systemd
from cortops.targets.target import Target
from cortops.words.change import Plan
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import PlanChanged, Refused, StepFailed, StoreUnavailable
from cortops.words.resource import Blob, Content, SecretRef

HELD_TIMEOUT_S = 20.0
KNOWN_WAIT_S = 15.0  # for those that need a second look, its earnings above all
UP_TIMEOUT_S = 60.0  # from the start of the service until it has asked everything once

_HELD = r"""
[ "$(id -u)" = 0 ] || { echo "cortops acts as $(id -un) there" >&2; exit 1; }
cat "$key.pub" 2>/dev/null || echo
cat "$acting_key.pub" 2>/dev/null || echo
cat "$logins" 2>/dev/null || echo {}
"""
_MAKE_KEYS = r"""
umask 077; mkdir -p "${key%/*}" || exit 1
for made in "$key" $wanted; do
  [ ! -s "$made" ] || [ ! -s "$made.pub" ] || continue
  rm -f "$made" "$made.pub" && ssh-keygen -q -t ed25519 -N "" -C "$mark" -f "$made" </dev/null >&2 && sync "$made" || exit 1
done
"""
_REMOVE = """
case $root in "$base"/?*.watch | "$base"/?*.observe.?*) ;; *) echo "$root is no folder of a watch" >&2; exit 1 ;; esac
[ ! -d "$root" ] || rm -rf "$root" || exit 1
rmdir "$base" 2>/dev/null; exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that an install touches. targets: every host that can be asked, the watch's own among them. fill: secrets of channels by name."""

    env: Environment
    place: WatchPlace
    targets: Mapping[str, Target]
    clock: Clock
    runtime: Runtime
    channels: Sequence[str]
    fill: Callable[[str], str]
    tool_version: str
    may_act: bool = False

    @property
    def own(self) -> Target:
        return self.targets[self.place.host]

    @property
    def manager(self) -> Systemd:
        return Systemd(self.place.root, self.place.prefix)

    def manager_of(self, host: str) -> Systemd | NoServices:
        return self.manager if host == self.place.host else NoServices(self.place.observe_root)

    def driver(self, host: str) -> TargetDriver:
        return TargetDriver(self.targets[host], self.manager_of(host), self._file)

    def _file(self, blob: Blob) -> Path:
        return self.runtime.path


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLook:
    """One look. kept: what an earlier install left; where all is to go, also what one that was killed may have made."""

    plan: Plan
    watching: Watching
    desired: tuple[Desired, ...]
    kept: tuple[Desired, ...]
    observed: Mapping[str, Observed]
    latest: Manifest | None

    @property
    def items(self) -> dict[str, Desired]:
        """Key -> what a change is about."""
        return {item.resource.key: item for item in (*self.kept, *self.desired)}

    @property
    def has_key(self) -> bool:
        return NO_KEY not in (self.watching.public, self.watching.acting)

    @property
    def is_recorded(self) -> bool:
        """Whether the newest manifest holds just what is wanted; not so after an install that was killed before it wrote one."""
        kept = {item.resource.key: item.attributes for item in self.kept}
        return self.latest is not None and kept == {item.resource.key: item.attributes for item in self.desired}


async def look(site: Site, logins: Mapping[str, Login], *, remove: bool = False) -> WatchLook:
    """What an install of these hosts would change, or with `remove` what would go; writes nothing.

    logins: of the hosts that were reached now; those that the last install knew and that are still declared stay.
    Raises Refused where we are not root on the watch's host, StoreUnavailable where it gives no answer.
    """
    public, acting, known = await _held(site)
    latest = await Manifests(site.own, site.place.root).latest()
    every = {name: one for name, one in known.items() if name in site.env.hosts} | dict(logins)
    own = every.pop(site.place.host, None)
    watching = Watching(
        place=site.place,
        public=public,
        logins=every,
        runtime=site.runtime,
        channels=site.channels,
        acting=acting if site.may_act else "",
        own=own,
    )
    desired = _desired(replace(site, fill=lambda name: "") if remove else site, watching)
    kept = tuple(recorded(latest))
    if remove:  # and what an install that was killed has made, but not recorded
        known_keys = {item.resource.key for item in kept}
        kept += tuple(item for item in desired if item.resource.key not in known_keys)
        desired = ()
    observed = await _observe(site, [*kept, *desired])
    found = plan(site.env.name, desired, observed, kept, site.tool_version)
    return WatchLook(plan=found, watching=watching, desired=desired, kept=kept, observed=observed, latest=latest)


async def _held(site: Site) -> tuple[str, str, dict[str, Login]]:
    """The public halves of both keys, and how the last install reached each host."""
    said = await ask(site.own, f"{_words(site)}{_HELD}", HELD_TIMEOUT_S)
    if not said.ok:
        if "cortops acts as" in said.why:
            raise Refused(
                f"{said.why}, and a watch is installed by root", where=site.place.host, next=f"Set hosts.{site.place.host}.sudo: true."
            )
        raise StoreUnavailable(f"{site.place.host} could not be looked at: {said.why}", where=site.place.host)
    key, acting, *rest = said.out
    return public_half(key), public_half(acting), {name: Login(**one) for name, one in json.loads("".join(rest) or "{}").items()}


def _words(site: Site) -> str:
    place = site.place
    given = {
        "key": place.key,
        "acting_key": place.acting_key,
        "wanted": place.acting_key if site.may_act else "",
        "logins": place.logins,
        "mark": place.mark,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())


def _desired(site: Site, watching: Watching) -> tuple[Desired, ...]:
    def fill(content: Content) -> bytes:
        return "".join(site.fill(part.name) if isinstance(part, SecretRef) else part for part in content).encode()

    every = resources(site.env, watching)
    hosts = dict.fromkeys(item.place for item in every)
    return tuple(one for host in hosts for one in desire([item for item in every if item.place == host], fill, site.manager_of(host)))


async def _observe(site: Site, items: Sequence[Desired]) -> dict[str, Observed]:
    by_host: dict[str, dict[str, Desired]] = {}
    for item in items:
        by_host.setdefault(item.resource.place, {})[item.resource.key] = item

    async def one(host: str, group: Mapping[str, Desired]) -> Mapping[str, Observed]:
        if host not in site.targets:
            return dict.fromkeys(group, Unseen(f"{host} is not declared any more, so it cannot be asked"))
        return await site.driver(host).observe(list(group.values()))

    found = await asyncio.gather(*(one(host, group) for host, group in by_host.items()))
    return {key: seen for told in found for key, seen in told.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchApplied:
    """What an install or its removal did. notes: what it found left by others."""

    look: WatchLook
    made: int
    notes: tuple[str, ...]


async def apply(
    site: Site,
    logins: Mapping[str, Login],
    *,
    apply_id: str,
    owner: Owner,
    report: Report,
    digest: str,
    remove: bool = False,
) -> WatchApplied:
    """Take the lock on the watch's host, look again, make the key where there is none, and make the plan. digest: of what was reviewed.

    With `remove`, all that a plan towards nothing leaves goes too: data, journal and the key. Raises LockHeld, PlanChanged, StepFailed.
    Killed anywhere, the same command goes on.
    """
    await _ready(site)
    await demand_no_upgrade(site.own, site.place)
    journal, manifests = Journal(site.own, site.place.root), Manifests(site.own, site.place.root)
    async with Lock(site.own, site.place.root, site.clock, site.env.rules.apply.by).held(owner, apply_id) as held:
        seen = await look(site, logins, remove=remove)
        if not seen.plan.digest.startswith(digest):
            raise PlanChanged(f"the plan is now {seen.plan.digest[:12]}, not {digest[:12]}: something changed since it was made")
        if remove and (unseen := [one for one in seen.plan.unknown if one.target in site.targets]):
            what = f"{unseen[0].target} could not be looked at: {unseen[0].why}"
            raise Refused(what, next=f"Run it again when {unseen[0].target} answers; or take that host out of the file, and its key there.")
        await journal.begin(apply_id, by=owner.who, via=owner.via, digest=seen.plan.digest, tool_version=site.tool_version)
        try:
            if not remove and not seen.has_key:
                await _run(site.own, f"{_words(site)}{_MAKE_KEYS}", f"the key on {site.place.host} could not be made")
                seen = await look(site, logins)
            drivers = {host: site.driver(host) for host in site.targets}
            made = await waves.apply(seen.plan, seen.items, drivers, _no_gate, report, apply_id)
        except Exception:
            with suppress(StoreUnavailable):  # a host that is gone: what went wrong is said
                await journal.finish(apply_id, "failed")
            raise
        if not remove:
            await manifests.write(_manifest(site, seen, apply_id, owner))
        await journal.finish(apply_id, "ok")
    if remove:
        await _remove_all(site, seen)
    return WatchApplied(look=seen, made=made, notes=(held.taken_over,) if held.taken_over else ())


async def demand_no_upgrade(target: Target, place: WatchPlace) -> None:
    """Refused while an upgrade that was handed over is under way there: it runs from these files, by these keys."""
    said = await ask(target, f"systemctl is-active {shlex.quote(place.upgrade_unit)} || :", HELD_TIMEOUT_S)
    if not said.ok:
        raise StoreUnavailable(f"{place.host} could not be looked at: {said.why}", where=place.host)
    if said.out and said.out[0] in ("active", "activating", "deactivating"):
        what = f"an upgrade is under way on {place.host}"
        raise Refused(what, where=place.host, next=f"See it there: tail -f {place.upgrade_log}")


async def _no_gate(started: Sequence[Entity], last: bool) -> None:
    """What it sees is asked by whoever installed it, once all is made."""


def _manifest(site: Site, seen: WatchLook, apply_id: str, owner: Owner) -> Manifest:
    """What is there now: what was wanted, and what an earlier install left where nobody could look."""
    wanted = {item.resource.key for item in seen.desired}
    unseen = tuple(item for item in seen.kept if item.resource.key not in wanted and isinstance(seen.observed[item.resource.key], Unseen))
    return Manifest(
        generation=next_generation(seen.latest),
        apply=apply_id,
        at=site.clock.now(),
        by=owner.who,
        environment=site.env.name,
        digest=seen.plan.digest,
        tool_version=site.tool_version,
        resources=(*seen.desired, *unseen),
    )


async def _ready(site: Site) -> None:
    """Our folders on the watch's host: others pass through the first to programs of nodes, and see nothing of it."""
    base, root = shlex.quote(BASE), shlex.quote(site.place.root)
    program = f"umask 022; [ -d {base} ] || mkdir -m {PASSED_THROUGH:o} -p {base} && mkdir -m 700 -p {root}"
    await _run(site.own, program, f"{site.place.host} gives no place to cortops")


async def _remove_all(site: Site, seen: WatchLook) -> None:
    """The folders with all that is in them, those of hosts that are looked at first, the lock with the watch's own."""
    places = dict.fromkeys(item.resource.place for item in seen.kept)
    others = [host for host in places if host in site.targets and host != site.place.host]
    for host, root in (*((host, site.place.observe_root) for host in others), (site.place.host, site.place.root)):
        program = f"root={shlex.quote(root)} base={shlex.quote(BASE)}\n{_REMOVE}"
        await _run(site.targets[host], program, f"our files on {host} could not be removed")


async def _run(target: Target, program: str, what: str) -> None:
    said = await ask(target, program, HELD_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"{what}: {'; '.join(said.err) or said.why}", where=target.name)


async def first_words(site: Site) -> Mapping[str, object]:
    """What the watch answers at /status.json once it has asked everything; {} when it does not within UP_TIMEOUT_S, or in time."""
    python = f"{site.place.root}/runtime/{site.runtime.sha256[:16]}/bin/python"
    script = (
        "import json, time, urllib.request as u\n"
        "begun = time.time()  # a round that began before is of another time\n"
        f"until = time.monotonic() + {UP_TIMEOUT_S}; PATIENCE = {UP_TIMEOUT_S - KNOWN_WAIT_S}\n"
        "while time.monotonic() < until:\n"
        "    try:\n"
        f"        told = json.load(u.urlopen('http://127.0.0.1:{site.place.port}/status.json', timeout=5))\n"
        "        known = [one for one in told['entities'] if one['state'] != 'unknown']\n"
        "        if known and told['at'] > begun and (len(known) == len(told['entities']) or time.monotonic() > until - PATIENCE):\n"
        "            print(json.dumps(told)); break\n"
        "    except Exception: pass\n"
        "    time.sleep(0.5)\n"
    )
    said = await ask(site.own, f"{shlex.quote(python)} -I -c {shlex.quote(script)}", UP_TIMEOUT_S + 20)
    told = json.loads(said.out[0]) if said.ok and said.out else {}
    return told if isinstance(told, dict) else {}
