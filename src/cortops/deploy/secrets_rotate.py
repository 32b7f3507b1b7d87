"""What follows from a secret made anew: which files and services the next apply changes, and what people must do beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortops.deploy.observed import Desired
from cortops.deploy.wanted import Kind, Wanted
from cortops.environment.declared import Environment
from cortops.environment.model import WalletNode
from cortops.words.resource import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """One thing that the next apply changes: at its place, made anew, changed, restarted or deleted."""

    place: str
    resource: str
    what: str


def follows(before: Sequence[Desired], after: Sequence[Desired]) -> tuple[Follow, ...]:
    """What differs between what should exist with the old value and with a new one, in the order of the new."""
    old, new = ({item.resource.key: item for item in items} for items in (before, after))
    changed = [item for key, item in new.items() if key not in old or _told(old[key]) != _told(item)]
    gone = [item for key, item in old.items() if key not in new]
    return (
        *(
            Follow(place=item.resource.place, resource=item.resource.id, what=_what(item, new=item.resource.key not in old))
            for item in changed
        ),
        *(Follow(place=item.resource.place, resource=item.resource.id, what="deleted") for item in gone),
    )


def notes(env: Environment, want: Wanted) -> tuple[str, ...]:
    """What the plan cannot show of a secret made anew, one fact a line."""
    if want.kind is Kind.AUTHORITY:
        return ("Whoever trusts the old authority trusts nothing of this environment until it has the new one.",)
    if want.kind is not Kind.WALLET:
        return ()
    kept = "The old key stays here: what its wallet holds can be moved."
    if want.name == env.network.deployer.secret:
        return ("Every contract of ours is deployed anew, at another address: that is another network.", kept)
    nodes = [name for name, node in env.nodes.items() if isinstance(node, WalletNode) and node.wallet.secret == want.name]
    who = ", ".join(nodes)
    if env.network.development:
        return (f"{who} has a new address, which the apply funds and registers.", kept)
    return (f"{who} has a new address: it must be funded and registered before it earns. The old one stays registered.", kept)


def _told(item: Desired) -> tuple[object, object]:
    """What of it is compared: a value on chain is asked by an address that only the resource has."""
    return item.attributes, item.resource


def _what(item: Desired, *, new: bool) -> str:
    if new:
        return "made"
    return "restarted" if isinstance(item.resource, Service) else "changed"
