"""Deployment: one environment with everything that observes and changes it. `plan`, `apply` and `up` are these functions and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cortops import surfaces
from cortops.deploy import apply as waves
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.chain_driver import attributes_of
from cortops.deploy.fetch import Artifact, FetchProgress, fetch
from cortops.deploy.fleet_driver import attributes_of as fleet_attributes
from cortops.deploy.fleet_plan import FleetLook, look_fleet, whole
from cortops.deploy.gate import wait_until_well
from cortops.deploy.host_state import HostState
from cortops.deploy.journal import ApplyRecord, Journal
from cortops.deploy.kinds import desire
from cortops.deploy.lock import Lock, Owner
from cortops.deploy.manifest import Manifest, Manifests, next_generation, recorded
from cortops.deploy.observed import Desired, Driver, Observed, Unseen
from cortops.deploy.plan import plan
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.environment.graph import installed_entities
from cortops.surfaces.judging import Ask
from cortops.surfaces.site import HostSite, Site
from cortops.targets.supervision import Supervisor
from cortops.words.change import Action, Plan, UnknownPlace
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import PlanChanged, PortTaken, Refused
from cortops.words.resource import Blob, Content, Contract, ContractState, Cortensord, Funded, Resource, SecretRef

GATE_TIMEOUT_S = 60.0

Report = Callable[[FetchProgress | WaveBegun | StepTold | WaveWell], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """All that an apply touches, made once by the composition root.

    hosts, managers: by host name. drivers: place -> driver, for one view of the secrets. lock, journal, manifests: on one declared host;
    states: those of hosts with adopted nodes, which lie there.
    cache: where releases are fetched to. ask: asks any questions of the world.
    """

    env: Environment
    hosts: Mapping[str, HostSite]
    managers: Mapping[str, Supervisor]
    secrets: SecretStore
    drivers: Callable[[SecretView], Mapping[str, Driver]]
    lock: Lock
    journal: Journal
    manifests: Manifests
    cache: Path
    ask: Ask
    clock: Clock
    tool_version: str
    states: Mapping[str, HostState] = field(default_factory=dict)

    def site(self, view: SecretView) -> Site:
        return Site(hosts=self.hosts, public={want.name: view.public(want.name) for want in view.wanted})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One observation: what should exist, what was seen, and the plan between them.

    plan: of what is ours; fleet: of adopted nodes, which `upgrade` changes. cut_off: the last apply, if nobody wrote its end.
    """

    plan: Plan
    view: SecretView
    desired: tuple[Desired, ...]
    recorded: tuple[Desired, ...]
    observed: Mapping[str, Observed]
    latest: Manifest | None
    cut_off: ApplyRecord | None
    fleet: FleetLook = field(default_factory=FleetLook)

    @property
    def whole(self) -> Plan:
        """The plan of everything, whose digest people are shown."""
        return whole(self.plan, self.fleet)

    @property
    def items(self) -> dict[str, Desired]:
        """Key -> what a change is about; what is declared wins over what was recorded."""
        return {item.resource.key: item for item in (*self.recorded, *self.desired)}

    @property
    def is_recorded(self) -> bool:
        """Whether the newest manifest holds just what is declared; not so after an apply that made all, but whose gate stayed closed."""
        kept = {item.resource.key: item.attributes for item in self.recorded}
        return kept == {item.resource.key: item.attributes for item in _ours(self.desired)}

    @property
    def unseen(self) -> tuple[UnknownPlace, ...]:
        """The places of ours that could not be looked at; a host with nothing of ours on it holds up no apply."""
        places = {item.resource.place for item in (*_ours(self.recorded), *_ours(self.desired))}
        return tuple(place for place in self.plan.unknown if place.target in places and not place.resource)

    @property
    def blocked(self) -> tuple[tuple[Resource, str], ...]:
        """Services that could not be started now, and why."""
        changed = {waves.key_of(change) for change in self.plan.changes}
        return tuple(
            (item.resource, why)
            for item in self.desired
            if item.resource.key in changed and (why := getattr(self.observed[item.resource.key], "blocked", ""))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply did. `notes`: what it found left by others: a lock that it took over, an apply that was cut off and is finished now.

    nodes_left: adopted nodes that are not as declared; only `upgrade` changes those.
    """

    plan: Plan
    made: int
    generation: int
    notes: tuple[str, ...]
    nodes_left: tuple[str, ...] = ()


async def look(deployment: Deployment) -> Look:
    """Observe everything once, changing nothing, and plan."""
    view = deployment.secrets.view(secrets_of(deployment.env))
    desired = _desired(deployment, view)
    latest, last, fleet = await asyncio.gather(
        deployment.manifests.latest(),
        deployment.journal.last_apply(),
        look_fleet(deployment.states, deployment.env, deployment.tool_version),
    )
    kept = tuple(recorded(latest))
    observed = await _observe(deployment.drivers(view), [*kept, *desired])
    return Look(
        plan=plan(deployment.env.name, desired, observed, kept, deployment.tool_version),
        view=view,
        desired=desired,
        recorded=kept,
        observed=observed,
        latest=latest,
        cut_off=last if last is not None and last.finished is None else None,
        fleet=fleet,
    )


async def apply(deployment: Deployment, *, apply_id: str, owner: Owner, digest: str | None, report: Report) -> Applied:
    """Fetch what is missing, take the lock, look again, and make that plan; the manifest is written when every entity is well.

    digest: of the plan that was reviewed; PlanChanged when it no longer holds. Raises LockHeld, PortTaken, StepFailed, GateClosed, what
    fetching raises, and Refused when all that could be seen is as declared, but not all could. Killed anywhere, the next look shows what is
    left to do.
    """
    before = await look(deployment)
    if not before.recorded and not _ours(before.desired):
        # Nothing here is ours to make, now or ever before.
        return Applied(plan=before.plan, made=0, generation=0, notes=(), nodes_left=before.fleet.changing)
    _demand_unblocked(before)  # before anything is fetched or written
    await fetch_missing(deployment, before, report)
    async with deployment.lock.held(owner, apply_id) as held:
        seen = await look(deployment)
        if digest is not None and seen.whole.digest != digest:
            raise PlanChanged(f"the plan is now {seen.whole.digest[:12]}, not {digest[:12]}: something changed since it was made")
        _demand_unblocked(seen)
        notes = tuple(note for note in (held.taken_over, _cut_off(seen)) if note)
        if not seen.plan.changes and (unseen := seen.unseen):
            raise _unseen(unseen[0])
        if not seen.plan.changes and seen.cut_off is None and seen.latest is not None and seen.is_recorded:
            return Applied(plan=seen.plan, made=0, generation=seen.latest.generation, notes=notes, nodes_left=seen.fleet.changing)
        if deployment.secrets.ensure(seen.view.wanted):
            seen = await look(deployment)
        await deployment.journal.begin(apply_id, by=owner.who, digest=seen.plan.digest)
        try:
            made = await _make(deployment, seen, report, apply_id)
        except Exception:
            await deployment.journal.finish(apply_id, "failed")
            raise
        generation = next_generation(seen.latest)
        await deployment.manifests.write(_manifest(deployment, seen, generation, apply_id, owner))
        await deployment.journal.finish(apply_id, "ok")
    return Applied(plan=seen.plan, made=made, generation=generation, notes=notes, nodes_left=seen.fleet.changing)


def _cut_off(seen: Look) -> str:
    """What the journal says of the last apply, when nobody wrote its end."""
    if seen.cut_off is None:
        return ""
    return (
        f"the apply {seen.cut_off.apply} by {seen.cut_off.by} was cut off after {len(seen.cut_off.steps)} steps; this one does what is left"
    )


def _unseen(place: UnknownPlace) -> Refused:
    return Refused(f"{place.target} could not be looked at: {place.why}", where=place.target, why="what could be seen is as declared")


async def fetch_missing(deployment: Deployment, seen: Look, report: Report) -> None:
    """Into the cache, at once, what the plan's blobs are made of; nothing is fetched that a target has already."""
    keys = {waves.key_of(change) for change in seen.plan.changes if change.action is not Action.DELETE}
    blobs = {item.resource.release: item.resource for item in seen.desired if isinstance(item.resource, Blob) and item.resource.key in keys}
    by_archive: dict[str, list[Artifact]] = {}
    for artifact in (_artifact(deployment, blob) for blob in blobs.values()):
        by_archive.setdefault(artifact.archive_sha256, []).append(artifact)

    async def fetch_all(artifacts: Sequence[Artifact]) -> None:
        for artifact in artifacts:  # one after the other: the first brings the others along
            beside = [other for other in artifacts if other is not artifact]
            await fetch(artifact, deployment.cache, report, deployment.clock, beside=beside)

    try:
        async with asyncio.TaskGroup() as group:
            for artifacts in by_archive.values():
                group.create_task(fetch_all(artifacts))
    except ExceptionGroup as failed:  # the first is why the others were ended
        raise failed.exceptions[0] from None


def _demand_unblocked(seen: Look) -> None:
    """PortTaken when a service could not be started now."""
    for resource, why in seen.blocked:
        raise PortTaken(why, where=f"{resource.entity} ({resource.because})")


def _artifact(deployment: Deployment, blob: Blob) -> Artifact:
    declared = deployment.env.releases[blob.release].on(deployment.hosts[blob.place].machine, blob.release)
    return Artifact(
        name=blob.release,
        source=declared.source,
        archive_sha256=declared.archive_sha256,
        file=declared.file,
        sha256=blob.sha256,
        size=blob.size,
    )


async def _make(deployment: Deployment, seen: Look, report: Report, apply_id: str) -> int:
    site = deployment.site(seen.view)
    others = installed_entities(deployment.env)
    checks = tuple(check for check in surfaces.checks(deployment.env, site) if check.entity not in others)
    questions = surfaces.questions(deployment.env, site)

    async def gate(entities: Sequence[Entity]) -> None:
        await wait_until_well(entities, checks, questions, deployment.ask, deployment.clock, deadline_s=GATE_TIMEOUT_S)

    made = await waves.apply(seen.plan, seen.items, deployment.drivers(seen.view.for_apply()), gate, report, apply_id)
    await gate(tuple(dict.fromkeys(check.entity for check in checks)))
    return made


async def _observe(drivers: Mapping[str, Driver], items: Sequence[Desired]) -> dict[str, Observed]:
    by_place: dict[str, dict[str, Desired]] = {}
    for item in items:
        by_place.setdefault(item.resource.place, {})[item.resource.key] = item
    gone: dict[str, Observed] = {
        key: Unseen(f"{place} is not declared any more, so it cannot be asked")
        for place, group in by_place.items()
        if place not in drivers
        for key in group
    }
    asked = [drivers[place].observe(list(group.values())) for place, group in by_place.items() if place in drivers]
    seen = await asyncio.gather(*asked)
    return gone | {key: observed for group in seen for key, observed in group.items()}


def _desired(deployment: Deployment, view: SecretView) -> tuple[Desired, ...]:
    """What should exist, with what is compared; a target's files hold stand-ins where a secret is still to be made."""
    resources = surfaces.render(deployment.env, deployment.site(view))

    def fill(content: Content) -> bytes:
        return "".join(view.value(part.name) if isinstance(part, SecretRef) else part for part in content).encode()

    on_targets = [
        desire([item for item in resources if item.place == name and not isinstance(item, Cortensord)], fill, manager)
        for name, manager in deployment.managers.items()
    ]
    installed = [Desired(resource=item, attributes=fleet_attributes(item)) for item in resources if isinstance(item, Cortensord)]
    on_chain = [
        Desired(resource=item, attributes=attributes_of(item)) for item in resources if isinstance(item, Contract | ContractState | Funded)
    ]
    return (*(item for group in on_targets for item in group), *on_chain, *installed)


def _manifest(deployment: Deployment, seen: Look, generation: int, apply_id: str, owner: Owner) -> Manifest:
    return Manifest(
        generation=generation,
        apply=apply_id,
        at=deployment.clock.now(),
        by=owner.who,
        environment=deployment.env.name,
        digest=seen.plan.digest,
        tool_version=deployment.tool_version,
        resources=_ours(seen.desired),
    )


def _ours(items: Sequence[Desired]) -> tuple[Desired, ...]:
    """What an apply makes and records; nodes that were there before us are looked at only."""
    return tuple(item for item in items if not isinstance(item.resource, Cortensord))
