"""The plan of a whole environment: what is ours, and the programs of adopted nodes on every host."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cortops.deploy.host_state import HostLook, HostState, look_host
from cortops.deploy.node_programs import declared, strangers
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.adopted import declared_on
from cortops.words.change import Plan, UnknownPlace
from cortops.words.errors import StoreUnavailable
from cortops.words.resource import NodeProgram


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLook:
    """hosts: those that were looked at. silent: those that gave no answer. strangers: nodes that have a release and were never adopted."""

    hosts: Mapping[str, HostLook] = field(default_factory=dict)
    silent: tuple[UnknownPlace, ...] = ()
    strangers: tuple[UnknownPlace, ...] = ()

    @property
    def changing(self) -> tuple[str, ...]:
        """The nodes that are not as the file says."""
        return tuple(
            item.resource.name
            for look in self.hosts.values()
            for item in look.desired
            if isinstance(item.resource, NodeProgram) and any(change.resource == item.resource.id for change in look.plan.changes)
        )


async def look_fleet(states: Mapping[str, HostState], env: Environment, tool_version: str) -> FleetLook:
    """Look at every host with adopted nodes, all at once; one that gives no answer hides no other."""
    looks = await asyncio.gather(*(_look(state, env, tool_version) for state in states.values()))
    return FleetLook(
        hosts={look.record.host: look for look in looks if isinstance(look, HostLook)},
        silent=tuple(look for look in looks if isinstance(look, UnknownPlace)),
        strangers=tuple(stranger for look in looks if isinstance(look, HostLook) for stranger in _strangers(look, env)),
    )


async def _look(state: HostState, env: Environment, tool_version: str) -> HostLook | UnknownPlace:
    try:
        return await look_host(state, lambda record: declared(record, declared_on(env, state.host)), tool_version)
    except StoreUnavailable as error:
        return UnknownPlace(target=state.host, why=error.what)


def _strangers(look: HostLook, env: Environment) -> list[UnknownPlace]:
    host = look.record.host
    names = strangers(look.record, declared_on(env, host))
    why = "it has a release, and it was never adopted: cortops adopt "
    return [UnknownPlace(target=host, resource=f"node-program:{name}", why=f"{why}{name} {env.file}") for name in names]


def whole(own: Plan, fleet: FleetLook) -> Plan:
    """Both in one, with one digest. Without adopted nodes it is the plan itself."""
    if not fleet.hosts and not fleet.silent:
        return own
    plans = [look.plan for look in fleet.hosts.values()]
    last = max((change.wave for change in own.changes), default=0)
    later = [replace(change, wave=change.wave + last) for plan in plans for change in plan.changes]
    unknown = (*own.unknown, *(place for plan in plans for place in plan.unknown), *fleet.silent, *fleet.strangers)
    text = "\n".join([own.digest, *(plan.digest for plan in plans), *(f"{place.target} {place.resource}" for place in unknown)])
    return replace(
        own,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        changes=(*own.changes, *later),
        unchanged=(*own.unchanged, *(item for plan in plans for item in plan.unchanged)),
        unknown=tuple(dict.fromkeys(unknown)),
    )
