"""Deployment: one environment with everything that observes and changes it. `plan`, `apply` and `up` are these functions and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from cortops import surfaces
from cortops.deploy import apply as waves
from cortops.deploy.acme.plan import PLACE as ACME
from cortops.deploy.acme.plan import obtaining, once_obtained, without_certificates
from cortops.deploy.alone import Only, alone
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.compared import compared
from cortops.deploy.fetch import FetchProgress
from cortops.deploy.fetch_all import fetch_all, to_fetch
from cortops.deploy.fleet_plan import FleetLook, look_fleet, whole
from cortops.deploy.gate import wait_until_well
from cortops.deploy.going_back import GoingBack, content_of, going_back, off_chain
from cortops.deploy.host_state import HostState
from cortops.deploy.journal import ApplyRecord, Journal
from cortops.deploy.kinds import desire
from cortops.deploy.limits import Accepted, Lasting, demand_accepted, holding, lasting, over_limits, size_of
from cortops.deploy.lock import Lock, Owner
from cortops.deploy.manifest import Manifest, Manifests, next_generation, recorded
from cortops.deploy.moved import hold_moved
from cortops.deploy.observed import Absent, Desired, Driver, Observed, Unseen
from cortops.deploy.plan import plan
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.environment.graph import installed_entities
from cortops.surfaces.dns.render import PLACE as DNS
from cortops.surfaces.judging import Ask
from cortops.surfaces.site import HostSite, Site
from cortops.targets.supervision import Supervisor
from cortops.words.change import Action, Plan, UnknownPlace
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed, PlanChanged, PortTaken, Refused, StepFailed, StoreUnavailable
from cortops.words.resource import Blob, Content, Contract, ContractState, Cortensord, Resource, SecretRef, Service

GATE_TIMEOUT_S = 60.0
LEFT_ALONE = (ACME, DNS)  # places that may leave the file: what is there stays as it is
NOTHING_ACCEPTED = Accepted()

Report = Callable[[FetchProgress | WaveBegun | StepTold | WaveWell], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """All that an apply touches, made once by the composition root.

    hosts, managers: by host name. drivers: place -> driver, for one view of the secrets. lock, journal, manifests: on one declared host;
    states: those of hosts with adopted nodes, which lie there.
    cache: where releases are fetched to. ask: asks any questions of the world.
    goal: the recorded generation to which everything goes back, env being what was declared then; None: what is declared is made.
    only: what alone is looked at and made, the rest stays as it is recorded; None: all.
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
    goal: Manifest | None = None
    only: Only | None = None

    def command(self, digest: str) -> str:
        """The command that makes the plan with this digest, and no other."""
        if self.only is not None:
            return f"cortops contracts deploy {self.env.file} --plan {digest[:12]}"
        verb = f"apply {self.env.file}" if self.goal is None else f"rollback {self.env.file} --to {self.goal.generation}"
        return f"cortops {verb} --plan {digest[:12]}"

    def site(self, view: SecretView) -> Site:
        return Site(hosts=self.hosts, public={want.name: view.public(want.name) for want in view.wanted}, on_host=view.on_host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One observation: what should exist, what was seen, and the plan between them.

    plan: of what is ours; fleet: of adopted nodes, which `upgrade` changes. cut_off: the last apply, if nobody wrote its end.
    back: of one that goes back to a generation, what can come back and what stays. over: the limits that the plan is over; lasting: what of
    it cannot come back; both must be accepted by name. aside: recorded, and not looked at (Deployment.only).
    """

    plan: Plan
    view: SecretView
    desired: tuple[Desired, ...]
    recorded: tuple[Desired, ...]
    observed: Mapping[str, Observed]
    latest: Manifest | None
    cut_off: ApplyRecord | None
    fleet: FleetLook = field(default_factory=FleetLook)
    back: GoingBack | None = None
    over: tuple[str, ...] = ()
    lasting: tuple[Lasting, ...] = ()
    aside: tuple[Desired, ...] = ()

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
    def is_settled(self) -> bool:
        """Whether all is as declared, recorded so, and no apply was cut off."""
        return not self.plan.changes and self.cut_off is None and self.latest is not None and self.is_recorded

    @property
    def unseen(self) -> tuple[UnknownPlace, ...]:
        """The places of ours that could not be looked at; a host with nothing of ours on it holds up no apply."""
        places = {item.resource.place for item in (*_ours(self.recorded), *_ours(self.desired))}
        return tuple(place for place in self.plan.unknown if place.target in places and not place.resource)

    @property
    def blocked(self) -> tuple[tuple[Resource, str], ...]:
        """Services that could not be started now, and why; not for a port that this plan frees before."""
        changed = {waves.key_of(change): change.action for change in self.plan.changes}
        ending = (item.resource for item in self.recorded if changed.get(item.resource.key) is Action.DELETE)
        freed = {(one.place, port) for one in ending if isinstance(one, Service) for port in one.ports}
        return tuple(
            (item.resource, why)
            for item in self.desired
            if item.resource.key in changed
            and (why := getattr(self.observed[item.resource.key], "blocked", ""))
            and freed.isdisjoint((item.resource.place, port) for port in getattr(item.resource, "ports", ()))
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


def back_to(goal: Manifest, now: Deployment, then: Deployment) -> Deployment:
    """The deployment that goes back to `goal`: as it was declared then, with the state, the secrets and every place of now."""
    return replace(
        then,
        secrets=now.secrets,
        drivers=lambda view: {**now.drivers(view), **then.drivers(view)},
        lock=now.lock,
        journal=now.journal,
        manifests=now.manifests,
        states={},
        goal=goal,
    )


async def look(deployment: Deployment) -> Look:
    """Observe everything once, changing nothing, and plan."""
    view = await asyncio.to_thread(deployment.secrets.view, secrets_of(deployment.env))  # others that keep values may take seconds
    drivers, desired = deployment.drivers(view), () if deployment.goal is not None else desired_with(deployment, view)
    latest, last, fleet, observed = await asyncio.gather(
        deployment.manifests.latest(),
        deployment.journal.last_apply(),
        look_fleet(deployment.states, deployment.env, deployment.tool_version),
        _observe(drivers, desired),  # beside what is recorded, which names more only after a change of the file
    )
    kept, aside = tuple(recorded(latest)), tuple[Desired, ...]()
    if deployment.only is not None:
        aside = tuple(item for item in kept if not deployment.only(item.resource))
        kept = tuple(item for item in kept if deployment.only(item.resource))
    back = going_back(deployment.goal, latest) if deployment.goal is not None and latest is not None else None
    if back is not None:
        kept = off_chain(kept)
    if deployment.goal is not None:
        desired = desired_with(deployment, view, back)
    observed |= await _observe(drivers, [item for item in (*kept, *desired) if item.resource.key not in observed])
    observed = hold_moved(observed, desired, kept, drivers)
    found = plan(deployment.env.name, desired, observed, kept, deployment.tool_version)
    return Look(
        plan=found,
        view=view,
        desired=desired,
        recorded=kept,
        observed=observed,
        latest=latest,
        cut_off=last if last is not None and last.finished is None else None,
        fleet=fleet,
        back=back,
        over=over_limits(size_of(found), deployment.env.rules.apply),
        lasting=lasting(found, development=deployment.env.network.development, anew=holding(desired, deployment.secrets.replaced())),
        aside=aside,
    )


async def apply(
    deployment: Deployment, *, apply_id: str, owner: Owner, digest: str | None, report: Report, accepted: Accepted = NOTHING_ACCEPTED
) -> Applied:
    """Fetch what is missing, take the lock, look again, and make that plan; the manifest is written when every entity is well.

    digest: of the plan that was reviewed, or its first digits; PlanChanged when it no longer holds. Raises NotAllowed, NotAccepted (a plan
    that must be accepted by name), LockHeld, PortTaken, StepFailed, GateClosed, what fetching raises, and Refused when all that could be
    seen is as declared, but not all could. Killed anywhere, the next look shows what is left to do.
    """
    deployment.lock.demand_allowed(owner)
    before = await look(deployment)
    _demand_same(before, digest)
    if not before.recorded and not _ours(before.desired):
        # Nothing here is ours to make, now or ever before.
        return Applied(plan=before.plan, made=0, generation=0, notes=(), nodes_left=before.fleet.changing)
    _demand(deployment, before, accepted)  # before anything is fetched or written
    if before.is_settled and before.latest is not None and not before.unseen:  # no lock is taken where nothing is done
        return Applied(plan=before.plan, made=0, generation=before.latest.generation, notes=(), nodes_left=before.fleet.changing)
    await fetch_missing(deployment, before, report)
    async with deployment.lock.held(owner, apply_id) as held:
        seen = await look(deployment)
        _demand_same(seen, digest)
        _demand(deployment, seen, accepted)
        notes = tuple(note for note in (held.taken_over, _cut_off(seen)) if note)
        if not seen.plan.changes and (unseen := seen.unseen):
            raise _unseen(unseen[0])
        if seen.is_settled and seen.latest is not None:
            return Applied(plan=seen.plan, made=0, generation=seen.latest.generation, notes=notes, nodes_left=seen.fleet.changing)
        if deployment.secrets.ensure(seen.view.wanted):
            seen = await look(deployment)
        await deployment.journal.begin(
            apply_id,
            by=owner.who,
            via=owner.via,
            digest=seen.plan.digest,
            tool_version=deployment.tool_version,
            accepted=accepted.flags,
            to=deployment.goal.generation if deployment.goal is not None else None,
        )
        made = await _make_or_say(deployment, seen, report, apply_id)
        if obtaining(seen.plan):  # what was obtained becomes files, and a reload
            seen = await look(deployment)
            seen = replace(seen, plan=once_obtained(seen.plan))
            made += await _make_or_say(deployment, seen, report, apply_id)
        generation = next_generation(seen.latest)
        await deployment.manifests.write(_manifest(deployment, seen, generation, apply_id, owner))
        await deployment.journal.finish(apply_id, "ok")
        deployment.secrets.forget_replaced()
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
    missing = [item.resource for item in seen.desired if isinstance(item.resource, Blob) and item.resource.key in keys]
    machines = {name: host.machine for name, host in deployment.hosts.items()}
    packed_by = deployment.goal.tool_version if deployment.goal is not None else deployment.tool_version
    artifacts = to_fetch(missing, deployment.env.releases, machines, deployment.cache, packed_by)
    await fetch_all(artifacts, deployment.cache, report, deployment.clock)


def _demand_same(seen: Look, digest: str | None) -> None:
    now = seen.whole.digest
    if digest is not None and not now.startswith(digest):
        raise PlanChanged(f"the plan is now {now[:12]}, not {digest[:12]}: something changed since it was made")


def _demand(deployment: Deployment, seen: Look, accepted: Accepted) -> None:
    """NotAccepted, PortTaken when a service could not be started now, SecretMissing when a key that signs stays on its host."""
    demand_accepted(seen.over, seen.lasting, accepted, deployment.command(seen.whole.digest))
    for resource, why in seen.blocked:
        raise (PortTaken if why.startswith("port ") else Refused)(why, where=f"{resource.entity} ({resource.because})")
    signing = (seen.items[waves.key_of(change)].resource for change in seen.plan.changes)
    for signer in {item.signer.name for item in signing if isinstance(item, Contract | ContractState)} & seen.view.on_host.keys():
        seen.view.value(signer, for_apply=True)


async def _make_or_say(deployment: Deployment, seen: Look, report: Report, apply_id: str) -> int:
    """As _make; a failure is journaled, and says what is made already and the ways on from there."""
    done: list[str] = []

    def counted(event: FetchProgress | WaveBegun | StepTold | WaveWell) -> None:
        if isinstance(event, StepTold) and event.progress.event == "done":
            done.append(event.progress.key)
        report(event)

    try:
        return await _make(deployment, seen, counted, apply_id)
    except Exception as error:
        with suppress(StoreUnavailable):  # a host that is gone: what went wrong is said, and the next run finds it cut off
            await deployment.journal.finish(apply_id, "failed")
        if isinstance(error, StepFailed | GateClosed):
            made = f"{len(done)} of {len(seen.plan.changes)} changes are made, and stay"
            error.why = "; ".join(part for part in (error.why, made) if part)
            error.next += f" What is left: cortops plan {deployment.env.file}."
            if seen.latest is not None and deployment.goal is None:
                error.next += f" Back to generation {seen.latest.generation} instead: cortops rollback {deployment.env.file}"
        raise


async def _make(deployment: Deployment, seen: Look, report: Report, apply_id: str) -> int:
    site = deployment.site(seen.view)
    others = installed_entities(deployment.env)
    waiting = obtaining(seen.plan)
    checks = without_certificates([check for check in surfaces.checks(deployment.env, site) if check.entity not in others], waiting)
    questions = surfaces.questions(deployment.env, site)

    async def gate(started: Sequence[Entity], last: bool) -> None:
        """After the last wave everything must be well, also what none of them touched."""
        asked = {item.resource.entity for item in seen.desired} if deployment.only is not None else {check.entity for check in checks}
        entities = dict.fromkeys(check.entity for check in checks if check.entity in asked) if last else started
        await wait_until_well(tuple(entities), checks, questions, deployment.ask, deployment.clock, deadline_s=GATE_TIMEOUT_S)

    return await waves.apply(seen.plan, seen.items, deployment.drivers(seen.view.for_apply()), gate, report, apply_id)


async def _observe(drivers: Mapping[str, Driver], items: Sequence[Desired]) -> dict[str, Observed]:
    by_place: dict[str, dict[str, Desired]] = {}
    for item in items:
        by_place.setdefault(item.resource.place, {})[item.resource.key] = item
    gone: dict[str, Observed] = {
        key: Absent() if place.startswith(LEFT_ALONE) else Unseen(f"{place} is not declared any more, so it cannot be asked")
        for place, group in by_place.items()
        if place not in drivers
        for key in group
    }
    asked = [drivers[place].observe(list(group.values())) for place, group in by_place.items() if place in drivers]
    seen = await asyncio.gather(*asked)
    return gone | {key: observed for group in seen for key, observed in group.items()}


def desired_with(deployment: Deployment, view: SecretView, back: GoingBack | None = None) -> tuple[Desired, ...]:
    """What should exist, with what is compared; a target's files hold stand-ins where a secret is still to be made."""
    resources = surfaces.render(deployment.env, deployment.site(view)) if back is None else back.resources
    resources = alone(resources, deployment.only)

    def fill(content: Content) -> bytes:
        return "".join(view.filled(part) if isinstance(part, SecretRef) else part for part in content).encode()

    on_targets = [
        desire([item for item in resources if item.place == name and not isinstance(item, Cortensord)], fill, manager)
        for name, manager in deployment.managers.items()
    ]
    beside = [Desired(resource=item, attributes=attributes) for item in resources if (attributes := compared(item)) is not None]
    return (*(item for group in on_targets for item in group), *sorted(beside, key=lambda item: isinstance(item.resource, Cortensord)))


def _manifest(deployment: Deployment, seen: Look, generation: int, apply_id: str, owner: Owner) -> Manifest:
    return Manifest(
        generation=generation,
        apply=apply_id,
        at=deployment.clock.now(),
        by=owner.who,
        environment=deployment.env.name,
        digest=seen.plan.digest,
        tool_version=deployment.tool_version,
        resources=(*_ours(seen.desired), *seen.aside, *(seen.back.stays if seen.back is not None else ())),
        declared=deployment.env.text,
        restores=content_of(deployment.goal) if deployment.goal is not None else None,
    )


def _ours(items: Sequence[Desired]) -> tuple[Desired, ...]:
    """What an apply makes and records; nodes that were there before us are looked at only."""
    return tuple(item for item in items if not isinstance(item.resource, Cortensord))
