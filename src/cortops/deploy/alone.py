"""A part of an environment looked at and made by itself: what it needs of the rest is taken to be there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Funded, Resource

Only = Callable[[Resource], bool]


def alone(resources: Sequence[Resource], only: Only | None) -> tuple[Resource, ...]:
    """Those that `only` lets through, each needing only others of them; all as they are without `only`."""
    if only is None:
        return tuple(resources)
    chosen = [item for item in resources if only(item)]
    keys = {item.key for item in chosen}
    return tuple(replace(item, needs=tuple(need for need in item.needs if need in keys)) for item in chosen)


def is_contract(resource: Resource) -> bool:
    """Contracts, what each knows of the others, and the gas that making them takes."""
    if isinstance(resource, Contract | ContractState):
        return resource.entity.kind == "contract"
    return isinstance(resource, Funded) and resource.entity == Entity("wallet", "deployer")
