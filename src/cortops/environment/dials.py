"""Which of our programs connect to which others, read off the declaration: what a host must be reached for, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cortops.environment.declared import Declared, Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.model import MinerNode, ValidatorNode, WalletNode
from cortops.environment.orbit_nodes import OrbitNode
from cortops.environment.portal import Portal
from cortops.environment.private import private_miners
from cortops.environment.reason import Path
from cortops.environment.traffic import Gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """`who` on the host `at` connects to `to`, a node or the gateway, on the host `on`; declared at `path`.

    link: to the port of a router that miners stream to.
    """

    who: str
    at: str
    to: str
    on: str
    path: Path
    link: bool = False


def dials(declared: Declared | Environment) -> Iterator[Dial]:
    """Every connection between programs that can be read; those within one host included. The console is never left to another host."""
    yield from _to_chain(declared)
    keys_from = private_miners(declared)
    for name, node in declared.nodes.items():
        for other in node.depends_on:
            yield from _to_node(declared, name, node.host, other, ("nodes", name, "depends_on"))
        path: Path = ("nodes", name)
        if isinstance(node, MinerNode | ValidatorNode) and node.engine is not None and node.engine.node is not None:
            yield from _to_node(declared, name, node.host, node.engine.node, path)
        if isinstance(node, MinerNode):
            for router in node.routers:
                yield from _to_node(declared, name, node.host, router, path, link=True)
            for router in keys_from.get(name, ()):
                yield from _to_node(declared, name, node.host, router, path)
        if isinstance(node, ForeignNode):
            for other in node.depends_on:
                yield from _to_node(declared, name, node.host, other, ("nodes", name, "depends_on"))
    gateway = declared.gateway
    for model in gateway.models.values() if gateway else ():
        pool = declared.pools.get(model.pool)
        for member in pool.members if gateway and pool else ():
            for host in gateway.hosts if gateway else ():
                yield from _to_node(declared, Gateway.NAME, host, member, ("pools", model.pool, "members"))
    yield from _through_proxy(declared)


def needed_elsewhere(declared: Declared | Environment, *, links: bool = False, on: str = "") -> frozenset[str]:
    """The programs that one on another host connects to; with `links`, the routers that a miner there streams to. on: only those there."""
    return frozenset(dial.to for dial in dials(declared) if dial.at != dial.on and dial.link == links and on in ("", dial.on))


def _to_chain(declared: Declared | Environment) -> Iterator[Dial]:
    network = declared.network
    chain = network.rpc.node if network is not None else None
    parent = network.parent.rpc.node if network is not None and network.parent is not None and network.parent.rpc is not None else None
    for name, node in declared.nodes.items():
        if isinstance(node, WalletNode | OrbitNode):
            yield from _to_node(declared, name, node.host, chain or "", ("nodes", name))
        if isinstance(node, OrbitNode):
            yield from _to_node(declared, name, node.host, parent or "", ("nodes", name))


def _through_proxy(declared: Declared | Environment) -> Iterator[Dial]:
    for hostname, route in declared.proxy.items():
        path: Path = ("proxy", hostname)
        pool = declared.pools.get(route.pool or "")
        for member in pool.members if pool else ():
            yield from _to_node(declared, hostname, route.on, member, path)
        if route.to == "gateway" and declared.gateway is not None:
            yield from (Dial(who=hostname, at=route.on, to=Gateway.NAME, on=host, path=path) for host in declared.gateway.hosts)
        if Portal.NAME in (route.to, *route.families) and declared.portal is not None:
            yield Dial(who=hostname, at=route.on, to=Portal.NAME, on=declared.portal.on, path=path)
        if route.to == "rpc" and declared.network is not None:
            yield from _to_node(declared, hostname, route.on, declared.network.rpc.node or "", path)


def _to_node(declared: Declared | Environment, who: str, at: str, to: str, path: Path, *, link: bool = False) -> Iterator[Dial]:
    node = declared.nodes.get(to)
    if node is not None:
        yield Dial(who=who, at=at, to=to, on=node.host, path=path, link=link)
