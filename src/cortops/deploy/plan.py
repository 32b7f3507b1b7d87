"""Desired x observed -> Plan. Pure: the same values give the same plan and the same digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, takewhile

from cortops.deploy import program_plan
from cortops.deploy.observed import Absent, Desired, Observed, Present, Unseen
from cortops.words.change import Action, Change, Plan, Reversal, Unchanged, UnknownPlace
from cortops.words.errors import BadInput
from cortops.words.resource import (
    Certificate,
    Contract,
    ContractState,
    Cortensord,
    Directory,
    DnsRecord,
    Funded,
    NodeProgram,
    Resource,
    Service,
)

_FORWARD_ONLY = (Contract, ContractState, Funded)
_KEPT = (*_FORWARD_ONLY, Certificate, Cortensord, NodeProgram)  # no longer declaring them deletes nothing


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
        decisions[key] = _decide(by_key[key], observed[key], coming, moving)
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


def _decide(desired: Desired, seen: Observed, coming: bool, moving: Collection[str]) -> _Decision:
    """What to do about one resource. coming: something that it needs is changed by this plan. moving: all that is, up to here."""
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
    if isinstance(resource, Service):
        return _service(resource, differences, moving)
    return _Decision(Action.UPDATE, _told(differences)) if differences else _Decision(None, _well(resource))


def _service(service: Service, differences: Mapping[str, tuple[str, str]], moving: Collection[str]) -> _Decision:
    """The least that makes it so: a start reads all files, a reload only what it is said to. A file that is put back as it was is read
    again too: whoever had changed it may have had it read.
    """
    others = differences.keys() - {"loaded"}
    if others == {"running"}:
        return _Decision(Action.START, "defined, but not running")
    if others:
        return _Decision(Action.RESTART, _told(differences))
    changed = [key.partition(" ")[2] for key in service.reload.on if key in moving] if service.reload else []
    if service.reload is None or not (changed or differences):
        return _Decision(None, _well(service))
    after = f"after {', '.join(changed)}" if changed else "its files are newer than what it has read"
    check = _short_command(service.reload.check)
    return _Decision(Action.RELOAD, f"{after}{f'; {check} first' if check else ''}; {service.reload.signal} to what runs, no restart")


def _short_command(words: Sequence[str]) -> str:
    """`nginx -t`: the program, and its words up to the first option that a path follows."""
    plain = [word for word, _ in takewhile(lambda pair: "/" not in pair[1], pairwise(words[1:])) if "/" not in word]
    return " ".join((words[0].rpartition("/")[2], *plain)) if words else ""


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
    if isinstance(resource, DnsRecord):
        return f"leads to {', '.join(resource.values)}"
    if isinstance(resource, Certificate):
        return "obtained, and a third of its life or more is left"
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
        reversal=_reversal(resource, decision.action),
        wave=wave,
    )


def _reversal(resource: Resource, action: Action) -> Reversal:
    """A renewed certificate tells nobody anything new: its name is in public logs since the first."""
    if isinstance(resource, DnsRecord) or (isinstance(resource, Certificate) and action is Action.CREATE):
        return Reversal.EXTERNAL
    return Reversal.FORWARD_ONLY if isinstance(resource, _FORWARD_ONLY) else Reversal.RESTORE


def _gone(recorded: Sequence[Desired], kept: Mapping[str, Desired], observed: Mapping[str, Observed]) -> list[Resource]:
    """What the last apply left and nobody declares any more, in the reverse of its order; chain state and data stay."""
    gone = [item.resource for item in recorded if item.resource.key not in kept]
    return [
        resource
        for resource in reversed(gone)
        if _is_ours(observed.get(resource.key)) and not isinstance(resource, _KEPT) and not _keeps_data(resource)
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
        reversal=_reversal(resource, Action.DELETE),
        wave=wave,
    )


def _is_ours(seen: Observed | None) -> bool:
    """Whether it is there, and nobody else's (a record in a zone)."""
    return isinstance(seen, Present) and seen.attributes.get("of") != "others"


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
