"""Declared: what could be read of a file, right or wrong. Environment: a whole one, frozen, that knows where each thing stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cortops.environment.certificates import Acme
from cortops.environment.cortensord import CortensordNode
from cortops.environment.dns import Dns
from cortops.environment.model import DEPLOY, ChainNode, Host, Monitor, Network, Node, RouterNode, WalletNode
from cortops.environment.payloads import Payloads
from cortops.environment.portal import Portal
from cortops.environment.reason import Path, Position
from cortops.environment.release import Minimum, ProgramRelease, Release
from cortops.environment.rules import Rules
from cortops.environment.traffic import Gateway, Pool, Route
from cortops.words.entity import Entity
from cortops.words.errors import BadInput

PORT_MAX = 65535

N = TypeVar("N", bound=Node)


@dataclass(frozen=True, slots=True)
class Places:
    """Where each path of one file stands. `origins` leads a path written out from a range back to the range."""

    at: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    origins: Mapping[Path, Path] = field(default_factory=dict)

    def source(self, path: Path) -> Path:
        """The path as it is written in the file: ("nodes", "m3", "host") -> ("nodes", "m[1-12]", "host")."""
        source: Path = ()
        for index, step in enumerate(path):
            source = self.origins.get(path[: index + 1]) or self.origins.get((*source, step), (*source, step))
        return source

    def find(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of a path, or of the nearest block around it that is written in the file."""
        source = self.source(path)
        while source and source not in self.at:
            source = source[:-1]
        return self.at.get(source, (1, 1))

    def split(self, text: str) -> Path:
        """`proxy.gateway.localhost.port` -> its steps; a name may hold dots."""
        parts, path = text.split("."), ()  # type: tuple[list[str], Path]
        while parts:
            for size in range(len(parts), 0, -1):
                longer = (*path, ".".join(parts[:size]))
                if size == 1 or self.source(longer) in self.at:
                    path, parts = longer, parts[size:]
                    break
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The sections, without the entries that could not be read.

    written: section -> every name that stands there, unreadable entries included, so that nobody is told that a name is unknown
    because its entry has a spelling mistake. incomplete: sections of which not every name is known.
    """

    name: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    releases: Mapping[str, Release] = field(default_factory=dict)
    programs: Mapping[str, ProgramRelease] = field(default_factory=dict)
    minimum: Minimum | None = None
    network: Network | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    installed: Mapping[str, CortensordNode] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    gateway: Gateway | None = None
    portal: Portal | None = None
    payloads: Payloads | None = None
    proxy: Mapping[str, Route] = field(default_factory=dict)
    dns: Dns | None = None
    acme: Acme | None = None
    monitor: Monitor | None = None
    rules: Rules = field(default_factory=Rules)
    written: Mapping[str, frozenset[str]] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()
    places: Places = field(default_factory=Places)

    def is_unknown(self, section: str, name: str) -> bool:
        """Whether `name` certainly does not stand in `section`."""
        return section not in self.incomplete and name not in self.written.get(section, frozenset())

    def has_all(self, *sections: str) -> bool:
        """Whether every entry of these sections could be read, so that a missing one is really missing."""
        read: Mapping[str, Mapping[str, object]] = {"nodes": {**self.nodes, **self.installed}, "pools": self.pools, "hosts": self.hosts}
        return all(section not in self.incomplete and len(read[section]) == len(self.written.get(section, ())) for section in sections)

    def line(self, *path: str) -> int:
        return self.places.find(path)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment, whole and checked: what deployment, traffic, checks and alerts are derived from.

    nodes: those that run our programs. installed: those of the section `nodes` that run cortensord, as found.
    releases: files of packages. programs: those of the section `releases` that are one build of a program. minimum: the oldest to be run.
    text: the file as it was read. port_base: what has been added to every port of this machine since.
    stands_on: the host from which it is looked at, where that is not the one that is declared as this machine.
    """

    name: str
    file: str
    owners: Mapping[str, str]
    hosts: Mapping[str, Host]
    releases: Mapping[str, Release]
    network: Network
    nodes: Mapping[str, Node]
    installed: Mapping[str, CortensordNode]
    pools: Mapping[str, Pool]
    gateway: Gateway | None
    proxy: Mapping[str, Route]
    monitor: Monitor | None
    text: str = field(repr=False, compare=False)
    programs: Mapping[str, ProgramRelease] = field(default_factory=dict)
    minimum: Minimum | None = None
    portal: Portal | None = None
    payloads: Payloads | None = None
    dns: Dns | None = None
    acme: Acme | None = None
    rules: Rules = field(default_factory=Rules)
    port_base: int = field(default=0, compare=False)
    stands_on: str = field(default="", compare=False)
    places: Places = field(default_factory=Places, repr=False, compare=False)

    @property
    def salt(self) -> str:
        """The text that decides the addresses of deployed contracts."""
        return self.network.contracts.salt or self.name

    @property
    def here(self) -> str:
        """The host that is this machine; "" where the file declares none."""
        return self.stands_on or next((name for name, host in self.hosts.items() if host.local), "")

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """The hosts that run our programs, in the order of the file; the others are only looked at."""
        used = {host for _, host in host_uses(self)}
        return tuple(name for name in self.hosts if name in used)

    @property
    def takes_part(self) -> bool:
        """Whether anything of ours acts on the network: contracts that we deploy, sessions, nodes with a wallet. Else we only look."""
        ours = any(isinstance(node, WalletNode) for node in self.nodes.values())
        return ours or bool(self.network.sessions) or self.network.contracts.runtime == DEPLOY

    def position(self, path: Path | str) -> Position:
        """Where a path stands, given as steps or as `nodes.miner-1.host`; of a default, the block that it would stand in."""
        line, column = self.places.find(self.places.split(path) if isinstance(path, str) else path)
        return Position(self.file, line, column)

    def nodes_of(self, kind: type[N]) -> Iterator[tuple[str, N]]:
        """Name and node of every node of one role, in the order of the file."""
        return ((name, node) for name, node in self.nodes.items() if isinstance(node, kind))

    def owner_of(self, entity: Entity) -> str:
        """Who is asked about an entity: its own owner, else owners by name, by kind, then the default; "" where nobody is."""
        own = ""
        if entity.name in self.nodes and entity.kind in ("rpc", self.nodes[entity.name].role):
            own = self.nodes[entity.name].owner
        elif entity.name in self.installed and entity.kind == self.installed[entity.name].role:
            own = self.installed[entity.name].owner
        elif entity.kind == "gateway" and self.gateway:
            own = self.gateway.owner
        elif entity.kind == "portal" and self.portal:
            own = self.portal.owner
        elif entity.kind == Payloads.NAME and self.payloads:
            own = self.payloads.owner
        elif entity.kind == "monitor" and self.monitor:
            own = self.monitor.owner
        elif entity.kind in ("proxy", "dns") and entity.name in self.proxy:
            own = self.proxy[entity.name].owner
        return own or declared_owner(self.owners, entity.name, entity.kind)


def declared_owner(owners: Mapping[str, str], name: str, kind: str) -> str:
    """The owner by name, else by kind, else the default, else ""."""
    return owners.get(name) or owners.get(kind) or owners.get("default", "")


def host_uses(declared: Declared | Environment) -> Iterator[tuple[Path, str]]:
    """Where each of our own programs is said to run, and on which host; nodes that run cortensord are not ours."""
    yield from ((("nodes", name, "host"), node.host) for name, node in declared.nodes.items())
    if declared.gateway is not None:
        yield from ((("gateway", "on"), host) for host in declared.gateway.hosts)
    if declared.portal is not None:
        yield ("portal", "on"), declared.portal.on
    yield from ((("proxy", hostname, "on"), route.on) for hostname, route in declared.proxy.items())
    if declared.monitor is not None:
        yield ("monitor", "on"), declared.monitor.on


@dataclass(frozen=True, slots=True)
class PortUse:
    """A TCP port that is listened on, where that is declared, and which hostnames may share it (those of one nginx)."""

    host: str
    port: int
    path: Path
    shared: bool = False


def port_uses(declared: Declared | Environment) -> Iterator[PortUse]:
    """Every port of a file, in its order."""
    for name, node in declared.nodes.items():
        for key in _port_keys(node):
            yield PortUse(node.host, getattr(node, key), ("nodes", name, key))
        if isinstance(node, RouterNode) and node.mcp is not None:
            yield PortUse(node.host, node.mcp.port, ("nodes", name, "mcp", "port"))
    if declared.gateway is not None:
        yield from (PortUse(each.host, each.port, ("gateway", "port")) for each in declared.gateway.instances())
    if declared.portal is not None:
        yield PortUse(declared.portal.on, declared.portal.port, ("portal", "port"))
    for hostname, route in declared.proxy.items():
        yield PortUse(route.on, route.port, ("proxy", hostname, "port"), shared=True)
    if declared.acme is not None:
        yield from (PortUse(host, declared.acme.http_port, ("acme", "http_port"), shared=True) for host in challenge_hosts(declared))
    if declared.monitor is not None:
        yield PortUse(declared.monitor.on, declared.monitor.port, ("monitor", "port"))


def challenge_hosts(declared: Declared | Environment) -> tuple[str, ...]:
    """The hosts whose nginx answers the authority that gives certificates, in plain HTTP."""
    if declared.acme is None or declared.acme.challenge != "http-01":
        return ()
    return tuple(dict.fromkeys(route.on for route in declared.proxy.values() if route.tls.by == "acme"))


def _port_keys(node: Node) -> tuple[str, ...]:
    if isinstance(node, ChainNode):
        return ("port", "health_port")
    return ("port", "ws_port") if isinstance(node, RouterNode) else ("port",)


def shift_ports(env: Environment, base: int) -> Environment:
    """Every port on this machine + `base`, so that two environments run side by side. BadInput where one leaves 1 to 65535."""
    local = {name for name, host in env.hosts.items() if host.local}
    for use in port_uses(env):
        if use.host in local and not 1 <= use.port + base <= PORT_MAX:
            raise BadInput(
                f"port {use.port} + {base} is not a TCP port",
                where=str(env.position(use.path)),
                next="choose another --port-base: every port must stay within 1 to 65535",
            )

    def shifted(section: Any, host: str, *keys: str) -> Any:
        return section.model_copy(update={key: getattr(section, key) + base for key in keys}) if host in local else section

    def moved(node: Node) -> Any:
        after = shifted(node, node.host, *_port_keys(node))
        tools = isinstance(node, RouterNode) and node.mcp is not None
        return after.model_copy(update={"mcp": shifted(after.mcp, node.host, "port")}) if tools else after

    return replace(
        env,
        nodes={name: moved(node) for name, node in env.nodes.items()},
        gateway=shifted(env.gateway, env.gateway.on, "port") if env.gateway else None,
        portal=shifted(env.portal, env.portal.on, "port") if env.portal else None,
        proxy={hostname: shifted(route, route.on, "port") for hostname, route in env.proxy.items()},
        acme=shifted(env.acme, next((host for host in challenge_hosts(env) if host in local), ""), "http_port") if env.acme else None,
        monitor=shifted(env.monitor, env.monitor.on, "port") if env.monitor else None,
        port_base=env.port_base + base,
    )
