"""Cross-checks of a chain and its parent: who is asked is there, and is somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.foreign import RpcRelayNode
from cortops.environment.model import ChainNode
from cortops.environment.orbit_nodes import SequencerNode
from cortops.environment.reason import Finding, Path, did_you_mean, printable


def fallbacks_are_others(declared: Declared) -> Iterator[Finding]:
    """A fallback that is the RPC itself, or the one before it, helps nobody."""
    if declared.network is None:
        return
    first: dict[str, str] = {declared.network.rpc.url.rstrip("/"): "rpc"} if declared.network.rpc.url else {}
    for index, url in enumerate(declared.network.fallbacks):
        same = first.setdefault(url.rstrip("/"), f"fallbacks[{index}]")
        if same != f"fallbacks[{index}]":
            what = f"is the same address as network.{same}"
            yield Finding(("network", "fallbacks", index), what, "Name another RPC of this chain, or remove it.")


def chain_is_asked_by_what_there_is(declared: Declared) -> Iterator[Finding]:
    """The parent's RPC is a chain or relay of ours or a URL, and not the chain's own; a feed of ours is served by a sequencer."""
    network = declared.network
    if network is None:
        return
    rpc = network.parent.rpc if network.parent is not None else None
    path: Path = ("network", "parent", "rpc")
    if rpc is not None and rpc.node is not None:
        yield from _is_one_of(declared, path, rpc.node, (ChainNode, RpcRelayNode), "chain")
    if rpc is not None and rpc == network.rpc:
        yield Finding(path, "is the RPC of the chain itself", "Name one of the chain that it settles on.")
    feed = network.sequencer.feed if network.sequencer is not None else None
    if feed is not None and feed.node is not None:
        yield from _is_one_of(declared, ("network", "sequencer", "feed"), feed.node, (SequencerNode,), "sequencer")


def _is_one_of(declared: Declared, path: Path, name: str, models: tuple[type, ...], role: str) -> Iterator[Finding]:
    node = declared.nodes.get(name)
    if isinstance(node, models):
        return
    known = [other for other, candidate in declared.nodes.items() if isinstance(candidate, models)]
    otherwise = f"Name a node of role {role}, or write {{url: …}}."
    if node is not None:
        yield Finding(path, f"names {printable(name)}, of role {node.role} (line {declared.line('nodes', name)})", otherwise)
    elif declared.is_unknown("nodes", name):
        yield Finding(path, f"names {printable(name)}, which is not declared", did_you_mean(name, known, otherwise=otherwise))
