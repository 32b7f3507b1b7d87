"""A Saturday: twelve nodes on three hosts, in all five shapes, earning on a network of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.shapes import Net, Node, ansible, docker, install, nohup, salt, systemd

from cortops.testing.cortensord import GOOD, compiled
from cortops.testing.cortensord.network import CortensorNetwork, cortensor_network
from cortops.testing.hosts import Fleet, hosts
from cortops.testing.secret_grep import strays_in, strays_on

PACE = {"STANDIN_POLL_MS": "500", "STANDIN_PING_EVERY_S": "5", "STANDIN_GAS_PRICE_WEI": "1000000000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturday:
    """programs: a folder for more builds of the stand-in (compiled(BUILD, programs)); program: the one that every node runs."""

    fleet: Fleet
    network: CortensorNetwork
    nodes: tuple[Node, ...]
    net: Net
    programs: Path
    program: Path

    def on(self, host: str) -> tuple[Node, ...]:
        """The nodes of one host."""
        return tuple(node for node in self.nodes if node.host == host)

    def strays(self, environment: str, home: Path) -> list[str]:
        """Where a key of a node stands that must not: on its host, or on the operator's machine, below `home` or among arguments.

        A container's env file lies inside of it, and is not read from its host.
        """
        found = strays_in(home, {node.name: node.private_key for node in self.nodes})
        for host in self.fleet:
            found += strays_on(host, {node.name: node.env_file for node in self.on(host.name) if node.shape != "docker"}, environment)
        return found

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(node.address for node in self.nodes)


def twelve() -> tuple[Node, ...]:
    """Three hosts, each in another mixture."""
    return (
        systemd("h1", env=PACE),
        ansible("h1", 1, env=PACE),
        ansible("h1", 2, env=PACE),
        docker("h1", 1, env=PACE),
        nohup("h2", env=PACE),
        salt("h2", "alpha", env=PACE),
        salt("h2", "beta", env=PACE),
        docker("h2", 1, env=PACE),
        docker("h2", 2, env=PACE),
        ansible("h3", 7, env=PACE),
        salt("h3", "gamma", env=PACE),
        nohup("h3", env=PACE),
    )


@contextmanager
def saturday(programs: Path) -> Iterator[Saturday]:
    """All of it up and pinging; about five seconds, and nothing left afterwards."""
    program = compiled(GOOD, programs)
    with hosts(names=("h1", "h2", "h3")) as fleet, cortensor_network(fleet.gateway) as network:
        net = Net(rpc_url=network.url, chain_id=str(network.chain_id), runtime=network.runtime)
        nodes = twelve()
        network.fund(*(node.address for node in nodes))
        network.register(*(node.address for node in nodes))
        made = Saturday(fleet=fleet, network=network, nodes=nodes, net=net, programs=programs, program=program)
        with ThreadPoolExecutor(len(fleet)) as threads:
            done = [threads.submit(install, host, made.on(host.name), program.read_bytes(), net) for host in fleet]
        for each in done:
            each.result()
        yield made
