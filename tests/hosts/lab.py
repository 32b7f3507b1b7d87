"""Four adopted nodes on two small hosts that earn on a chain of their own: for faults, which change and break what they find."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.hosts.operator import Operator, everywhere, operator, running
from tests.hosts.saturday import PACE
from tests.hosts.shapes import Net, Node, ansible, install, salt
from tests.hosts.test_discover import Run
from tests.hosts.wire import Wire, wire

from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.testing.cortensord import GOOD, Build, compiled, sha256
from cortops.testing.cortensord.network import CortensorNetwork, cortensor_network, wait_until
from cortops.testing.hosts import Fleet, SystemHost, hosts

FILE = "lab.yaml"
ROOT = "/var/lib/cortops/lab"
FAST = ("--soak", "3s")
NODES = ("f1-m1", "f1-m2", "f1-alpha", "f2-m3")
UP_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """me: the operator whose file it is. programs: a folder of builds; found: the sha256 of what all nodes ran when they were adopted."""

    fleet: Fleet
    network: CortensorNetwork
    wire: Wire
    nodes: tuple[Node, ...]
    programs: Path
    found: str
    me: Operator

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(node.address for node in self.nodes)

    def address(self, node: str) -> str:
        """Of a node by its name in the file, in lower case."""
        return str(self.env.installed[node].address).lower()

    @property
    def env(self) -> Environment:
        env = load_file(self.me.home / FILE)
        assert isinstance(env, Environment)
        return env

    def upgrade(self, release: str, *words: str, by: Operator | None = None) -> Run:
        """With --yes, and a short soak."""
        return (by or self.me)("upgrade", release, FILE, *FAST, "--yes", *words)

    def knows(self, build: Build, *, mib: int = 0) -> str:
        """A build becomes the release of its name, with so many MiB behind it; its sha256."""
        program = compiled(build, self.programs)
        if mib:
            large = program.with_name(f"{program.name}-{mib}")
            large.write_bytes(program.read_bytes() + bytes(range(256)) * (mib << 12))
            program = large
        added = self.me("releases", "add", build.name, str(program), "--write", FILE)
        assert added.status == 0, added.err
        return sha256(program)

    def program_of(self, node: str) -> str:
        """sha256 of what runs for a node now; "" for nothing."""
        return self.process_of(node).partition(" ")[2]

    def process_of(self, node: str) -> str:
        """`PID SHA256` of a node now; "" for none."""
        unit = self.env.installed[node].unit
        script = f"pid=$(systemctl show --value -p MainPID {unit}); [ $pid = 0 ] || echo $pid $(sha256sum </proc/$pid/exe)"
        return " ".join(self.host_of(node).do(script).split()[:2])

    def processes(self) -> dict[str, str]:
        """`PID SHA256` of every node."""
        return {node: self.process_of(node) for node in NODES}

    def changed(self, before: Mapping[str, str]) -> set[str]:
        """Nodes that are another process than before, or none."""
        return {node for node, line in self.processes().items() if line != before[node]}

    def host_of(self, node: str) -> SystemHost:
        return self.fleet[self.env.installed[node].host]

    def is_whole(self, node: str) -> bool:
        """Whether its next start takes what it runs, and nothing half written lies beside it."""
        plan = self.me("plan", FILE, "--json")
        telling = [one for kind in ("changes", "unknown") for one in plan.told[kind] if one["resource"].endswith(f":{node}")]
        half = self.host_of(node).run("ls /etc/systemd/system/*.d/*.new /var/lib/cortops/lab/adopted/*/new").stdout
        return not half and all("next start would take" not in str(one) and "half done" not in str(one) for one in telling)

    def wait_until_up(self, host: SystemHost) -> None:
        """Every node of a host runs again after a boot."""
        count = sum(node.host == host.name for node in self.nodes)
        wait_until(lambda: len(running(host)) == count, UP_WITHIN_S)
        assert len(running(host)) == count, running(host)

    def is_as_found(self) -> bool:
        lines = [line for group in everywhere(self.fleet).values() for line in group]
        return len(lines) == len(self.nodes) and all(line.endswith(self.found) for line in lines)

    def another(self, home: Path) -> Operator:
        """Somebody else, on another machine as far as anyone can tell, with a copy of the environment file and nothing more."""
        other = replace(operator(self.fleet, home), machine=("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"))
        shutil.copy(self.me.home / FILE, home / FILE)
        return other


def four() -> tuple[Node, ...]:
    """Their names in the file are NODES. A release that dies after some work lets the first one work a little longer."""
    return (
        ansible("f1", 1, env=PACE | {"STANDIN_ROUNDS": "4"}),
        ansible("f1", 2, env=PACE),
        salt("f1", "alpha", env=PACE),
        ansible("f2", 3, env=PACE),
    )


@contextmanager
def lab_of(programs: Path, home: Path) -> Iterator[Lab]:
    """All of it up, adopted, and pinging; about ten seconds, and nothing left afterwards."""
    program, nodes = compiled(GOOD, programs), four()
    with hosts(names=("f1", "f2")) as fleet, cortensor_network(fleet.gateway) as network, wire(fleet.gateway, network.url) as line:
        net = Net(rpc_url=line.url, chain_id=str(network.chain_id), runtime=network.runtime)
        network.fund(*(node.address for node in nodes))
        network.register(*(node.address for node in nodes))
        with ThreadPoolExecutor(len(fleet)) as threads:
            done = [threads.submit(install, host, _on(host, nodes), program.read_bytes(), net) for host in fleet]
        for each in done:
            each.result()
        me = operator(fleet, home)
        assert me("discover", "f1", "f2", "--sudo", "--write", FILE).status == 0
        adopted = me("adopt", FILE, "--yes")
        assert adopted.status == 0, adopted.out + adopted.err
        yield Lab(fleet=fleet, network=network, wire=line, nodes=nodes, programs=programs, found=sha256(program), me=me)


def _on(host: SystemHost, nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.host == host.name]
