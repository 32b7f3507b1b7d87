"""Who belongs in the ephemeral pool: what the chain says of each node and our policy -> who is let in and who is taken out. Pure.

A node is eligible when it is registered, alive, high enough and passed its newest network task. A released node stands in neither pool
until it is let in again, so it passes a task first (facts D). Nodes that a session has reserved are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from cortops.contracts.network import Node
from cortops.contracts.network_tasks import LastResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """ping_age_max_s: seconds since its last ping for which a node counts as alive. level_min: CognitiveLevel, 0 and more."""

    ping_age_max_s: float
    level_min: int = 0
    verified_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What network tasks say of a node; without any such tasks in the network nothing is asked of it."""

    level: int
    result: LastResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Node -> why. kept: free nodes that stay."""

    add: Mapping[str, str]
    remove: Mapping[str, str]
    kept: int


def decide(
    nodes: Iterable[Node], standings: Mapping[str, Standing] | None, free: Set[str], held: Set[str], policy: Policy, now: float
) -> Changes:
    """nodes: all registered ones. free: in the ephemeral pool. held: reserved by a session. now: seconds since 1970."""
    add: dict[str, str] = {}
    remove = dict.fromkeys(free, "not registered any more")
    for node in nodes:
        why = _refusal(node, None if standings is None else standings.get(node.address), policy, now)
        if node.address in free:
            if why:
                remove[node.address] = why
            else:
                del remove[node.address]
        elif not why and node.address not in held:
            add[node.address] = "alive" if standings is None else "alive, and passed its newest network task"
    return Changes(add=add, remove=remove, kept=len(free) - len(remove))


def _refusal(node: Node, standing: Standing | None, policy: Policy, now: float) -> str:
    """Why a node is not eligible; "" when it is."""
    if policy.verified_only and not node.verified:
        return "not verified"
    if not node.last_ping_at:
        return "never pinged"
    age_s = now - node.last_ping_at
    if age_s > policy.ping_age_max_s:
        return f"last pinged {age_s:.0f} s ago"
    if standing is None:
        return ""
    if standing.level < policy.level_min:
        return f"level {standing.level}, {policy.level_min} is needed"
    return {LastResult.NONE: "no network task yet", LastResult.FAILED: "failed its newest network task"}.get(standing.result, "")
