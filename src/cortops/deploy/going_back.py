"""Back to a recorded generation of our own programs: which one is meant, and what of it can come back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cortops.deploy.journal import ApplyRecord
from cortops.deploy.manifest import Manifest
from cortops.deploy.observed import Desired
from cortops.words.errors import BadInput
from cortops.words.resource import Contract, ContractState, Funded, Resource

_ON_CHAIN = (Contract, ContractState, Funded)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBack:
    """resources: what should exist, all of it on targets. stays: what the newest generation has on chain; it is recorded on as it is.

    named: what of that the earlier generation had not, or otherwise, for people.
    """

    resources: tuple[Resource, ...]
    stays: tuple[Desired, ...]
    named: tuple[str, ...]


def going_back(goal: Manifest, latest: Manifest) -> GoingBack:
    """What a plan towards `goal` wants. Chain state goes forward only: it is left, and named."""
    then = {item.resource.key: item for item in goal.resources}
    stays = tuple(item for item in latest.resources if isinstance(item.resource, _ON_CHAIN))
    return GoingBack(
        resources=tuple(
            replace(item.resource, needs=_off_chain(item.resource.needs, then))
            for item in goal.resources
            if not isinstance(item.resource, _ON_CHAIN)
        ),
        stays=stays,
        named=tuple(
            item.resource.id
            for item in stays
            if not isinstance(item.resource, Funded) and _changed(item, then.get(item.resource.key))  # a balance is nobody's state
        ),
    )


def off_chain(items: Sequence[Desired]) -> tuple[Desired, ...]:
    """Those that are on targets."""
    return tuple(item for item in items if not isinstance(item.resource, _ON_CHAIN))


def _changed(now: Desired, then: Desired | None) -> bool:
    return then is None or dict(then.attributes) != dict(now.attributes)


def _off_chain(needs: Sequence[str], by_key: Mapping[str, Desired]) -> tuple[str, ...]:
    """Needs without those on chain, each of which stands for what it needs itself: the chain's own service, for example."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    open_ = list(reversed(needs))
    while open_:
        key = open_.pop()
        if key in seen:
            continue
        seen.add(key)
        needed = by_key[key].resource
        if isinstance(needed, _ON_CHAIN):
            open_ += reversed(needed.needs)
        else:
            found[key] = None
    return tuple(found)


def content_of(manifest: Manifest) -> int:
    """The generation that first held what this one holds: after going back from 3 to 2, generation 4 holds what 2 did."""
    return manifest.generation if manifest.restores is None else manifest.restores


def generation_meant(kept: Sequence[int], latest: Manifest | None, last: ApplyRecord | None, to: int | None) -> int:
    """The generation to go back to.

    kept: numbers that are kept. last: the newest apply that the journal knows. to: as asked for, None: what an apply that did not end well
    was meant to leave, or had before it; else the generation before the present one held what it holds, so that going back twice leads
    further back and never to what was left.
    BadInput where there is none.
    """
    if latest is None:
        raise BadInput("nothing is recorded yet, so there is nothing to go back to", next="cortops plan shows what is left to make")
    if to is not None:
        if to not in kept:
            raise BadInput(f"generation {to} is not kept", next=f"Kept: {', '.join(map(str, kept))}. See: cortops generations")
        return to
    if last is not None and last.finished != "ok":
        return last.to if last.to in kept and last.to is not None else latest.generation
    earlier = [number for number in kept if number < content_of(latest)]
    if not earlier:
        present = f"generation {latest.generation}" + (f", which is as {latest.restores} was," if latest.restores is not None else "")
        raise BadInput(f"before {present} nothing is kept", next="See: cortops generations")
    return earlier[-1]
