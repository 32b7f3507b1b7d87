"""Desired x observed -> Plan. Pure: the same values give the same plan and the same digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cortops.deploy import program_plan
from cortops.deploy.observed import Absent, Desired, Observed, Present, Unseen
from cortops.words.change import Action, Change, Plan, Reversal, Unchanged, UnknownPlace
from cortops.words.errors import BadInput
from cortops.words.resource import Contract, ContractState, Cortensord, Directory, Funded, NodeProgram, Resource, Service

_FORWARD_ONLY = (Contract, ContractState, Funded)
_KEPT = (*_FORWARD_ONLY, Cortensord, NodeProgram)  # no longer declaring them deletes nothing


@dataclass(frozen=True, slots=True)
class _Decision:
    action: Action | None  # None: nothing to do
    reason: str
    differs: bool = False


def plan(
    environment: str,
    desired: Sequence[Desired],
    observed: Mapping[str, Observed],
    recorded: Sequence[Desired],
    tool_version: str,
) -> Plan:
    """Compare what should exist with what was seen.

    desired: in any order; `resource.needs` is the only source of order. observed: key -> what was seen, for desired and recorded alike.
    recorded: what the last manifest left; what is no longer desired is deleted, unless it holds data or could not be seen.
    Raises BadInput when two resources have one key, or needs are unknown or circular.
    """
    order = in_order([item.resource for item in desired])
    by_key = {item.resource.key: item for item in desired}
    decisions: dict[str, _Decision] = {}
    moving: set[str] = set()  # what this plan changes, and all that needs it, however far
    for resource in order:
        key, coming = resource.key, not moving.isdisjoint(resource.needs)
        decisions[key] = _decide(by_key[key], observed[key], coming)
        if coming or decisions[key].action:
            moving.add(key)
    waves = _waves(order, decisions)
    made = [resource for resource in order if decisions[resource.key].action]
    gone = _gone(recorded, by_key, observed)
    freeing = _freeing(gone, made)
    begin = 1 if freeing else 0
    changes = [_delete(resource, 1) for resource in freeing]
    changes += [_change(resource, decisions[resource.key], begin + waves[resource.key]) for resource in made]
    last = begin + max(waves.values(), default=0)
    changes += [_delete(resource, last + 1) for resource in gone if resource not in freeing]
    return Plan(
        environment=environment,
        digest=_digest(environment, tool_version, changes, [*desired, *recorded], observed),
        changes=tuple(sorted(changes, key=lambda change: change.wave)),
        unchanged=tuple(
            Unchanged(
                target=resource.place,
                resource=resource.id,
                reason=decisions[resource.key].reason,
                differs=decisions[resource.key].differs,
            )
            for resource in order
            if not decisions[resource.key].action and not _is_unknown(resource, observed[resource.key])
        ),
        unknown=_unknown([*(item.resource for item in desired), *(item.resource for item in recorded)], observed),
    )


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """Resources so that each stands after what it needs; otherwise in the order given. BadInput for doubles, unknown needs and circles."""
    waiting: dict[str, Resource] = {}
    for resource in resources:
        if resource.key in waiting:
            raise BadInput(f"{resource.key} is declared twice", where=f"{waiting[resource.key].because} and {resource.because}")
        waiting[resource.key] = resource
    done: dict[str, Resource] = {}

    def place(resource: Resource, path: tuple[str, ...]) -> None:
        if resource.key in done:
            return
        if resource.key in path:
            raise BadInput(f"{' needs '.join((*path, resource.key))}: a circle", where=resource.because)
        for need in resource.needs:
            if need not in waiting:
                raise BadInput(f"{resource.key} needs {need}, which is not declared", where=resource.because)
            place(waiting[need], (*path, resource.key))
        done[resource.key] = resource

    for resource in waiting.values():
        place(resource, ())
    return list(done.values())


def _decide(desired: Desired, seen: Observed, coming: bool) -> _Decision:
    """What to do about one resource; `coming`: something that it needs is changed by this plan."""
    resource = desired.resource
    if isinstance(seen, Unseen):
        if coming:
            return _Decision(Action.ENSURE, f"looked at after what it needs is there, made only if missing, declared at {resource.because}")
        return _Decision(None, seen.why)
    if isinstance(resource, Cortensord):
        return _not_adopted(resource, desired.attributes, seen)
    if isinstance(resource, NodeProgram):
        about = program_plan.decide(resource, desired.attributes, seen)
        return _Decision(about.action, about.reason, about.differs)
    if isinstance(seen, Absent):
        return _Decision(Action.CREATE, f"missing, declared at {resource.because}")
    differences = _differences(desired.attributes, seen.attributes)
    if not differences:
        return _Decision(None, _well(resource))
    if isinstance(resource, Service):
        if set(differences) == {"running"}:
            return _Decision(Action.START, "defined, but not running")
        return _Decision(Action.RESTART, _told(differences))
    return _Decision(Action.UPDATE, _told(differences))


def _not_adopted(resource: Cortensord, declared: Mapping[str, str], seen: Present | Absent) -> _Decision:
    """A node of others is told, whatever it is like: nothing is ever planned for it."""
    if isinstance(seen, Absent):
        return _Decision(None, f"{resource.name} is gone: its unit, env file and process are not there, and nothing is planned for it")
    differences = _differences(declared, seen.attributes)
    if differences:
        told = ", ".join(f"{name} is {old}, declared {new}" for name, (old, new) in differences.items())
        return _Decision(None, f"{told} ({resource.because}); not adopted, so nothing is planned", differs=True)
    program, pid, started_at = (seen.attributes.get(name, "") for name in ("program", "pid", "started_at"))
    if seen.attributes.get("running") != "yes":
        return _Decision(None, "as found, and it does not run; not adopted")
    since = f" since {datetime.fromtimestamp(float(started_at), UTC):%Y-%m-%d %H:%M} UTC" if started_at else ""
    return _Decision(None, f"runs {program[:6] or 'a program that we may not read'} as found, pid {pid}{since}; not adopted")


def _is_unknown(resource: Resource, seen: Observed | None) -> bool:
    return isinstance(seen, Unseen) or (isinstance(resource, Cortensord) and isinstance(seen, Absent))


def _differences(desired: Mapping[str, str], seen: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (seen.get(name, "none"), value) for name, value in desired.items() if seen.get(name) != value}


def _told(differences: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{name} {_short(old)} -> {_short(new)}" for name, (old, new) in differences.items())


def _short(value: str) -> str:
    return value if len(value) <= 12 else value[:8] + "…"


def _well(resource: Resource) -> str:
    if isinstance(resource, Service):
        return "running as declared"
    if isinstance(resource, Directory):
        return "there, with the declared mode"
    if isinstance(resource, Contract):
        return "code on chain is the artifact's"
    if isinstance(resource, ContractState):
        return "the contract holds this value"
    if isinstance(resource, Funded):
        return "holds enough"
    return "content and mode as declared"


def _waves(order: Sequence[Resource], decisions: Mapping[str, _Decision]) -> dict[str, int]:
    """Key -> wave. What needs another place, or a service that must answer first, waits for the wave after it."""
    waves: dict[str, int] = {}
    kinds = {resource.key: resource for resource in order}
    for resource in order:
        earliest = 1 if decisions[resource.key].action else 0
        for need in resource.needs:
            gated = kinds[need].place != resource.place or isinstance(kinds[need], Service)
            earliest = max(earliest, waves[need] + (1 if gated and decisions[resource.key].action and waves[need] else 0))
        waves[resource.key] = earliest
    return waves


def _change(resource: Resource, decision: _Decision, wave: int) -> Change:
    assert decision.action is not None
    return Change(
        target=resource.place,
        resource=resource.id,
        action=decision.action,
        reason=decision.reason,
        reversal=Reversal.FORWARD_ONLY if isinstance(resource, _FORWARD_ONLY) else Reversal.RESTORE,
        wave=wave,
    )


def _gone(recorded: Sequence[Desired], kept: Mapping[str, Desired], observed: Mapping[str, Observed]) -> list[Resource]:
    """What the last apply left and nobody declares any more, in the reverse of its order; chain state and data stay."""
    gone = [item.resource for item in recorded if item.resource.key not in kept]
    return [
        resource
        for resource in reversed(gone)
        if isinstance(observed.get(resource.key), Present) and not isinstance(resource, _KEPT) and not _keeps_data(resource)
    ]


def _freeing(gone: Sequence[Resource], made: Sequence[Resource]) -> list[Resource]:
    """The services that must go first, since others are to listen where they do, or since they move: one key on one host, at any
    moment. All else goes last.
    """
    starting = [resource for resource in made if isinstance(resource, Service)]
    wanted = {(service.place, port) for service in starting for port in service.ports}
    moved = {service.name for service in starting}
    services = (resource for resource in gone if isinstance(resource, Service))
    return [service for service in services if service.name in moved or any((service.place, port) in wanted for port in service.ports)]


def _delete(resource: Resource, wave: int) -> Change:
    return Change(
        target=resource.place,
        resource=resource.id,
        action=Action.DELETE,
        reason=f"no longer declared (was {resource.because})",
        reversal=Reversal.RESTORE,
        wave=wave,
    )


def _keeps_data(resource: Resource) -> bool:
    return isinstance(resource, Directory) and resource.keep


def _unknown(resources: Sequence[Resource], observed: Mapping[str, Observed]) -> tuple[UnknownPlace, ...]:
    """Each place that could not be looked at, once; and each node of others that is gone."""
    whys: dict[tuple[str, str], UnknownPlace] = {}
    gone: dict[str, UnknownPlace] = {}
    for resource in resources:
        seen = observed.get(resource.key)
        if isinstance(seen, Unseen):
            one = seen.why if isinstance(resource, Cortensord) else ""  # of ours the first why stands for the place
            whys.setdefault((resource.place, one), UnknownPlace(target=resource.place, why=seen.why))
        elif isinstance(resource, Cortensord) and isinstance(seen, Absent):
            gone[resource.key] = UnknownPlace(target=resource.place, why=_not_adopted(resource, {}, seen).reason, resource=resource.id)
    places = {(place.target, place.why): place for place in whys.values()}
    return tuple(sorted((*places.values(), *gone.values()), key=lambda one: (one.target, one.resource)))


def _digest(
    environment: str, tool_version: str, changes: Sequence[Change], items: Sequence[Desired], observed: Mapping[str, Observed]
) -> str:
    """Of the environment, the places, the compared attributes and the tool: what was not compared cannot make a plan stale."""
    compared = {
        item.resource.key: [item.resource.place, dict(item.attributes), _seen(item.attributes, observed.get(item.resource.key))]
        for item in items
    }
    steps = [[change.target, change.resource, change.action, change.wave] for change in changes]
    text = json.dumps([environment, tool_version, steps, compared], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _seen(compared: Mapping[str, str], seen: Observed | None) -> object:
    if isinstance(seen, Present):
        return {name: seen.attributes.get(name) for name in compared}
    return type(seen).__name__
