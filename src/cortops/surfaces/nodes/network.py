"""Does the network itself move? One judgement for the whole fleet, from independent looks at the chain and from others' work. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cortops.surfaces.nodes.blocks import Look
from cortops.surfaces.nodes.chain_facts import NetworkChain
from cortops.surfaces.nodes.chain_places import ChainPlaces
from cortops.surfaces.nodes.sight import NetworkSeen, Window, clock_text, span

HEAD_AGE_MAX_S = 900.0  # nodes ping every five minutes, so a chain that makes blocks on demand makes one in this time too
QUIET_MAX_S = 3_600.0  # without a new network task (operators 2.5: 60 min until an operator's tool calls it stuck)
IDLE_OTHERS_MIN, MISSED_ROUNDS_MIN = 2, 2
CLOCK_OFF_S = 120.0


def advanced(looks: Sequence[Look]) -> bool:
    """Whether an endpoint showed a newer block at its second look."""
    numbers: dict[str, set[int]] = {}
    for look in looks:
        numbers.setdefault(look.url, set()).add(look.number)
    return any(len(seen) > 1 for seen in numbers.values())


def clock_error_s(looks: Sequence[Look], now: float) -> float:
    """What to add to our clock: the chain's newest block is of now while it moves. 0 within CLOCK_OFF_S, or where that cannot be told."""
    head_at = max((look.head_at for look in looks), default=now)
    error = head_at - now
    return error if abs(error) > CLOCK_OFF_S and (error > 0 or advanced(looks)) else 0.0


def network_of(
    chain: NetworkChain | None, looks: Sequence[Look], at_of: Callable[[int], float], window: Window, *, places: ChainPlaces, why: str
) -> NetworkSeen:
    """chain: None where its logs could not be read, then `why`. places: where the tasks were looked for."""
    if not looks:
        return NetworkSeen(moving=None, text="no RPC answers here: whether the network moves is not known")
    head_at = max(look.head_at for look in looks)
    age_s = window.now - head_at
    if age_s > HEAD_AGE_MAX_S and not advanced(looks):
        seen = len({look.url for look in looks})
        told = f"the chain makes no block since {clock_text(head_at, window.now)} UTC, by {seen} RPC{'s' if seen > 1 else ''}"
        return NetworkSeen(moving=False, text=told, since=head_at)
    block = f"block {max(0.0, age_s):.0f} s ago"
    if chain is None:
        return NetworkSeen(moving=None, text=f"the chain moves ({block}); its tasks could not be read: {why}")
    return _work(chain, at_of, window, places, block)


def _work(chain: NetworkChain, at_of: Callable[[int], float], window: Window, places: ChainPlaces, block: str) -> NetworkSeen:
    stuck = chain.others_idle >= IDLE_OTHERS_MIN and chain.others_missed_rounds >= MISSED_ROUNDS_MIN
    if stuck and chain.last_commit_block < chain.others_missed_since_block:
        since = at_of(chain.others_missed_since_block)
        told = f"nobody has committed since {clock_text(since, window.now)} UTC, {chain.others_idle} miners of others neither"
        return NetworkSeen(moving=False, text=told, since=since)
    if not chain.rounds and not chain.commits:
        if not window.complete and window.now - window.begins_at < QUIET_MAX_S:
            return NetworkSeen(moving=None, text=f"the chain moves ({block}); no task in {window.text}")
        if set(places.how.values()) == {"env file"}:  # which may name a contract that the network has left
            told = f"no task in {window.text} at the contracts that the nodes' env files name; declare network.contracts"
            return NetworkSeen(moving=None, text=f"the chain moves ({block}); {told}")
        return NetworkSeen(moving=False, text=f"nobody in the network was selected in {window.text}")
    last_at = at_of(max(chain.last_round_block, chain.last_commit_block))
    if "cognitive" in places.addresses and window.now - last_at > QUIET_MAX_S:
        told = f"nobody in the network was selected since {clock_text(last_at, window.now)} UTC"
        return NetworkSeen(moving=False, text=told, since=last_at)
    hour = "in the last hour" if window.now - window.begins_at >= QUIET_MAX_S else f"in the last {span(window.now - window.begins_at)}"
    return NetworkSeen(moving=True, text=f"moving ({block}, {_rounds(chain.rounds_last_hour)} {hour})")


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"
