"""A host with adopted nodes: lock, journal, manifests and programs lie there and nowhere else, so every operator sees the same.

Each change of its nodes is an apply towards what the host should hold (deploy.node_programs): another program, an earlier generation, or
what the environment file says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cortops.deploy import apply as waves
from cortops.deploy.apply import Report
from cortops.deploy.journal import ApplyRecord, Journal
from cortops.deploy.kinds import desire
from cortops.deploy.lock import Lock, Owner
from cortops.deploy.manifest import Manifest, Manifests, recorded
from cortops.deploy.node_programs import HostRecord, not_adopted, programs
from cortops.deploy.observed import Desired, Observed, Present, Unseen
from cortops.deploy.plan import plan
from cortops.deploy.target_driver import TargetDriver
from cortops.surfaces.fleet.adopted import BASE, PASSED_THROUGH, host_root
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.change import Action, Change, Plan, Reversal
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import BadInput, PlanChanged, Refused, StoreUnavailable
from cortops.words.resource import Blob, Content, NodeProgram, Resource, Service

FOUND_GENERATION = 0  # what was there before us
READY_TIMEOUT_S = 15.0

_REFUSES = """
manager_load() { manager_silent="cortops runs no services of its own on this host"; }
manager_state() { definition= running=no pid= uptime_s=; }
manager_set() { manager_load; echo "$manager_silent"; return 1; }
manager_unset() { manager_load; echo "$manager_silent"; return 1; }
"""


@dataclass(frozen=True, slots=True)
class NoServices:
    """Implements targets.supervision.Supervisor for a host that runs no program of ours: whatever it is asked to run it refuses."""

    root: str

    @property
    def prelude(self) -> str:
        return _REFUSES

    def unit(self, service: Service, inputs: str) -> str:
        raise BadInput(f"{service.name} cannot run on a host that is only there for adopted nodes", where=service.because)

    def unit_path(self, service: Service) -> str:
        return self.unit(service, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """All that an apply touches on one such host. host: its declared name; root: our folder there."""

    host: str
    environment: str
    root: str
    target: Target
    clock: Clock
    lock: Lock
    journal: Journal
    manifests: Manifests
    supervisor: NoServices
    driver: TargetDriver


def host_state(target: Target, environment: str, clock: Clock, blobs: Callable[[Blob], Path], by: Sequence[str] = ()) -> HostState:
    """The state of `environment` on a target, which must act as root. blobs: where a program's file is on this side.

    by: who may change it, as of Lock.
    """
    root = host_root(environment)
    supervisor = NoServices(root)
    return HostState(
        host=target.name,
        environment=environment,
        root=root,
        target=target,
        clock=clock,
        lock=Lock(target, root, clock, by),
        journal=Journal(target, root),
        manifests=Manifests(target, root),
        supervisor=supervisor,
        driver=TargetDriver(target, supervisor, blobs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLook:
    """One look at a host: what it should hold, what was seen, and the plan between them."""

    record: HostRecord
    plan: Plan
    desired: tuple[Desired, ...]
    observed: Mapping[str, Observed]

    @property
    def items(self) -> dict[str, Desired]:
        """Key -> what a change is about."""
        return {item.resource.key: item for item in (*recorded(self.record.latest), *self.desired)}

    def node(self, name: str) -> Observed:
        """What was seen of one node; Unseen for one that was not asked for."""
        keys = [item.resource.key for item in self.desired if isinstance(item.resource, NodeProgram) and item.resource.name == name]
        return self.observed[keys[0]] if keys else Unseen(f"{name} was not asked for")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostApplied:
    """What an apply did on a host. notes: what it found left by others, a lock that it took over, an apply that was cut off."""

    host: str
    plan: Plan
    made: int
    generation: int
    observed: Mapping[str, Observed]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """A node that a plan starts. runs_now: it runs already, and is started anew."""

    program: NodeProgram
    runs_now: bool


Want = Callable[[HostRecord], Sequence[Resource]]
Guard = Callable[[Sequence[Starting]], Awaitable[None]]


async def records(state: HostState) -> HostRecord:
    """What the host knows of its adopted nodes; writes nothing. StoreUnavailable when it gives no answer."""
    latest, first, last = await asyncio.gather(state.manifests.latest(), state.manifests.read(FOUND_GENERATION), state.journal.last_apply())
    return HostRecord(
        host=state.host,
        environment=state.environment,
        latest=latest,
        first=first,
        cut_off=last if last is not None and last.finished is None else None,
    )


async def look_host(state: HostState, want: Want, tool_version: str) -> HostLook:
    """Observe once, changing nothing, and plan towards what `want` makes of the host's record."""
    record = await records(state)
    return await _look(state, record, want(record), tool_version)


async def _look(state: HostState, record: HostRecord, wanted: Sequence[Resource], tool_version: str) -> HostLook:
    desired = desire(wanted, _no_content, state.supervisor)
    kept = recorded(record.latest)
    given = {item.resource.key: item for item in (*kept, *desired)}
    observed = await state.driver.observe(list(given.values()))
    return HostLook(record=record, plan=plan(state.environment, desired, observed, kept, tool_version), desired=desired, observed=observed)


async def apply_host(
    state: HostState,
    want: Want,
    *,
    apply_id: str,
    owner: Owner,
    tool_version: str,
    report: Report,
    digest: str | None = None,
    guard: Guard | None = None,
    adopting: bool = False,
    accepted: Sequence[str] = (),
) -> HostApplied:
    """Take the host's lock, look, and make the plan towards `want`; the new generation is written when all of it was made.

    digest: of the plan that was reviewed; PlanChanged when it no longer holds. guard: asked once all is sent, just before nodes are
    started; raises for those that may not be started now.
    accepted: the flags by which people accepted the plan, for the journal.
    adopting: nodes that are not adopted yet may be among what is wanted. Nothing to change makes no generation.
    Raises LockHeld, Refused (a node not adopted, or that cannot be seen), StepFailed (that node runs what it ran before, or says why not),
    StoreUnavailable. Killed anywhere, the next look shows what is left to do.
    """
    state.lock.demand_allowed(owner)
    await _ready(state)
    async with state.lock.held(owner, apply_id) as held:
        record = await records(state)
        seen = await _look(state, record, want(record), tool_version)
        if digest is not None and seen.plan.digest != digest:
            raise PlanChanged(
                f"the plan for {state.host} is now {seen.plan.digest[:12]}, not {digest[:12]}: something changed since it was made"
            )
        _demand(seen, state.host, adopting=adopting)
        notes = tuple(note for note in (held.taken_over, _cut_off(record.cut_off)) if note)
        generation = FOUND_GENERATION if record.latest is None else record.latest.generation
        accepting = changed_by_hand(seen) if adopting else ()
        settled = not seen.plan.changes and not accepting and _is_recorded(seen)
        if settled and record.cut_off is None:
            return HostApplied(host=state.host, plan=seen.plan, made=0, generation=generation, observed=seen.observed, notes=notes)
        await state.journal.begin(
            apply_id, by=owner.who, via=owner.via, digest=seen.plan.digest, tool_version=tool_version, accepted=accepted
        )
        try:
            made = await _make(state, seen, apply_id, report, accepting, guard)
        except Exception:
            with suppress(StoreUnavailable):  # a host that is gone: what went wrong is said, and the next run finds it cut off
                await state.journal.finish(apply_id, "failed")
            raise
        observed = await state.driver.observe(seen.desired)
        if not settled:
            generation = FOUND_GENERATION if record.latest is None else generation + 1
            resources = tuple(_as_made(item, observed[item.resource.key]) for item in seen.desired)
            await state.manifests.write(
                Manifest(
                    generation=generation,
                    apply=apply_id,
                    at=state.clock.now(),
                    by=owner.who,
                    environment=state.environment,
                    digest=seen.plan.digest,
                    tool_version=tool_version,
                    resources=resources,
                )
            )
        await state.journal.finish(apply_id, "ok")
    return HostApplied(host=state.host, plan=seen.plan, made=made, generation=generation, observed=observed, notes=notes)


async def _ready(state: HostState) -> None:
    """Our folder, through which the users of nodes pass to their programs; it holds the lock. Refused for one who is not root there."""
    program = (
        f"base={quote(BASE)} root={quote(state.root)} mode={PASSED_THROUGH:o}\n"
        '[ "$(id -u)" = 0 ] || { echo "acts as $(id -un)"; exit 0; }\n'
        'umask 022; mkdir -p "$root" && chmod "$mode" "$base" "$root"'
    )
    said = await ask(state.target, program, READY_TIMEOUT_S)
    if said.ok and said.out:
        what = f"cortops {said.out[0]} on {state.host}, and only root changes adopted nodes"
        raise Refused(what, where=state.host, next=f"Set hosts.{state.host}.sudo: true in the environment file.")
    if not said.ok:
        raise StoreUnavailable(f"{state.host} gives no place to cortops: {'; '.join(said.err) or said.why}", where=state.host)


async def _make(
    state: HostState, seen: HostLook, apply_id: str, report: Report, accepting: Sequence[NodeProgram], guard: Guard | None
) -> int:
    """What is sent first; then the guard, which may wait for long; then the nodes, so that nothing but the change lies after it."""
    accepted = [
        Change(target=node.place, resource=node.id, action=Action.CREATE, reason="changed by hand", reversal=Reversal.RESTORE, wave=1)
        for node in accepting
    ]
    nodes = {node.key for node in (item.resource for item in seen.desired) if isinstance(node, NodeProgram)}
    deletes = [change for change in seen.plan.changes if change.action is Action.DELETE]
    makes = [change for change in (*seen.plan.changes, *accepted) if change.action is not Action.DELETE]
    parts = (
        [change for change in makes if waves.key_of(change) not in nodes],
        [change for change in makes if waves.key_of(change) in nodes] + deletes,
    )
    made = 0
    for number, changes in enumerate(parts):
        if number == 1 and guard is not None and (starting := _starting(seen)):
            await guard(starting)
        if changes:
            part = replace(seen.plan, changes=tuple(replace(change, wave=number + 1) for change in changes))
            made += await waves.apply(part, seen.items, {state.host: state.driver}, _no_gate, report, apply_id)
    return made


async def _no_gate(started: Sequence[Entity], last: bool) -> None:
    """Whether a node earns with its new program is asked by whoever changes it, and takes longer than a lock is held."""


def _no_content(content: Content) -> bytes:
    raise AssertionError("a host with adopted nodes gets no files with content")


def _demand(seen: HostLook, host: str, *, adopting: bool) -> None:
    """Refused for a node that nobody has adopted, and for what could not be looked at: nothing is changed on missing data."""
    known = programs(seen.record.latest)
    for item in seen.desired:
        observed = seen.observed[item.resource.key]
        if isinstance(item.resource, NodeProgram) and item.resource.untouched:
            continue
        if isinstance(item.resource, NodeProgram) and not adopting and item.resource.name not in known:
            raise not_adopted(item.resource.name, host)
        if isinstance(observed, Unseen):
            raise Refused(f"{item.resource.id} on {host} could not be looked at: {observed.why}", where=host)


def _starting(seen: HostLook) -> tuple[Starting, ...]:
    """The nodes that this plan starts or starts anew."""
    keys = {waves.key_of(change) for change in seen.plan.changes if change.action in (Action.START, Action.RESTART)}
    found = ((item.resource, seen.observed[item.resource.key]) for item in seen.desired if item.resource.key in keys)
    return tuple(
        Starting(program=resource, runs_now=isinstance(observed, Present) and observed.attributes.get("running") == "yes")
        for resource, observed in found
        if isinstance(resource, NodeProgram)
    )


def changed_by_hand(seen: HostLook) -> tuple[NodeProgram, ...]:
    """Recorded nodes that this plan leaves alone, and whose program, unit or env file is not as recorded."""
    known = programs(seen.record.latest)
    planned = {waves.key_of(change) for change in seen.plan.changes}
    found: list[NodeProgram] = []
    for item in seen.desired:
        resource, observed = item.resource, seen.observed[item.resource.key]
        if not isinstance(resource, NodeProgram) or resource.untouched or resource.name not in known or resource.key in planned:
            continue
        if isinstance(observed, Present):
            was, now = known[resource.name], observed.attributes
            same = (was.program, was.unit_sha256, was.env_sha256) == (now.get("program"), now.get("unit"), now.get("env"))
            found += [] if same else [resource]
    return tuple(found)


def _is_recorded(seen: HostLook) -> bool:
    """Whether the newest generation has the nodes as wanted; not so after an apply that was killed before it wrote one."""
    wanted = {item.resource.name: item.resource for item in seen.desired if isinstance(item.resource, NodeProgram)}
    known = programs(seen.record.latest)
    return known.keys() == wanted.keys() and all(_told(known[name]) == _told(node) for name, node in wanted.items())


def _told(node: NodeProgram) -> tuple[str, ...]:
    return (node.program, node.unit_sha256, node.env_sha256)


def _as_made(item: Desired, observed: Observed) -> Desired:
    """For the manifest: a node with its unit and env file as they are now; one that was not touched stays as it is recorded."""
    if isinstance(item.resource, NodeProgram) and item.resource.untouched:
        return replace(item, resource=replace(item.resource, untouched=False))
    if isinstance(item.resource, NodeProgram) and isinstance(observed, Present):
        found = observed.attributes
        made = replace(item.resource, whole=False, unit_sha256=found.get("unit", ""), env_sha256=found.get("env", ""))
        return replace(item, resource=made)
    return item


def _cut_off(last: ApplyRecord | None) -> str:
    if last is None:
        return ""
    return f"the apply {last.apply} by {last.by} was cut off after {len(last.steps)} steps; this one does what is left"
