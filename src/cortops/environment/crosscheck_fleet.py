"""Cross-checks of hosts that are reached by SSH and of nodes that run cortensord: one key, unit, env file and log for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cortops.environment.declared import Declared, host_uses
from cortops.environment.dials import dials
from cortops.environment.model import DEPLOY, WalletNode
from cortops.environment.reason import Finding, Path, list_of, printable

Use = tuple[str, Path, tuple[str, ...]]  # what must be one's own: who has it, where that stands, and the thing itself


def machines_have_one_name(declared: Declared) -> Iterator[Finding]:
    """Two names of one machine would hold two locks and two truths."""
    local = [(name, ("hosts", name), ("",)) for name, host in declared.hosts.items() if host.local]
    by_ssh: list[Use] = [
        (name, ("hosts", name, "ssh"), (host.ssh.rpartition("@")[2].lower(),)) for name, host in declared.hosts.items() if host.ssh
    ]
    one = "Keep one of the two: a machine has one name."
    for path, where in _twice(declared, local):
        yield Finding(path, f"is this machine, as {where} is", one)
    for path, where in _twice(declared, by_ssh):
        yield Finding(path, f"leads to the same machine as {where}", one)
    by_ip: list[Use] = [(name, ("hosts", name, "address"), (host.address,)) for name, host in declared.hosts.items() if host.address]
    for path, where in _twice(declared, by_ip):
        yield Finding(path, f"is also the address of {where}", "Give each host its own.")


def own_programs_are_made_by_root(declared: Declared) -> Iterator[Finding]:
    """Units of systemd are root's; who logs in without a name is asked when we are there."""
    first: dict[str, str] = {}
    for path, name in host_uses(declared):
        first.setdefault(name, f"{printable(str(path[-2]))} (line {declared.places.find(path)[0]})")
    for name, who in first.items():
        host = declared.hosts.get(name)
        user = host.ssh.rpartition("@")[0] if host is not None and host.ssh else ""
        if host is not None and user not in ("", "root") and not host.sudo:
            what = f"logs in as {printable(user)}, and only root can start {who} there"
            yield Finding(("hosts", name, "ssh"), what, "Add sudo: true, or log in as root.")


def dialled_hosts_have_an_address(declared: Declared) -> Iterator[Finding]:
    """Loopback ends at the host: what a program on another one connects to needs a place on a network that both share."""
    told: set[str] = set()
    for dial in dials(declared):
        host = declared.hosts.get(dial.on)
        if dial.at == dial.on or dial.at not in declared.hosts or host is None or host.address is not None or dial.on in told:
            continue
        told.add(dial.on)
        who = f"{printable(dial.who)} on {printable(dial.at)} (line {declared.places.find(dial.path)[0]})"
        what = f"has no address, and {who} connects to {printable(dial.to)} there"
        yield Finding(("hosts", dial.on), what, "Add address: IP, on a network that our hosts share; it is used without TLS.")


def monitor_is_here(declared: Declared) -> Iterator[Finding]:
    """Our programs are asked on loopback of their hosts, by way of SSH, and the keys for that are here."""
    monitor = declared.monitor
    host = declared.hosts.get(monitor.on) if monitor is not None else None
    if monitor is None or host is None or host.local:
        return
    here = list_of(name for name, candidate in declared.hosts.items() if candidate.local)
    what = f"is {printable(monitor.on)} (line {declared.line('hosts', monitor.on)}), which has no keys for the other hosts"
    instead = f"Write on: {here}" if here else "Add hosts.here: {local: true}, and write on: here"
    yield Finding(("monitor", "on"), what, f"{instead}. For nodes that run cortensord: cortops watch --install {printable(monitor.on)}")


def console_stays_on_its_host(declared: Declared) -> Iterator[Finding]:
    """It has no login, so it listens on loopback only."""
    for hostname, route in declared.proxy.items():
        if route.to == "console" and declared.monitor is not None and route.on != declared.monitor.on:
            on = printable(declared.monitor.on)
            what = f"is {printable(route.on)}, and the console listens on loopback of {on} only (line {declared.line('monitor', 'on')})"
            yield Finding(("proxy", hostname, "on"), what, f"Write on: {on}; a console without login is not served from elsewhere.")


def addresses_are_used_once(declared: Declared) -> Iterator[Finding]:
    """One key on one host: the second one is slashed, or blocks the first."""
    uses: list[Use] = [
        (name, ("nodes", name, "address"), (node.address.lower(),)) for name, node in declared.installed.items() if node.address
    ]
    for path, where in _twice(declared, uses):
        name = printable(str(path[1]))
        yield Finding(path, f"is also the address of {where}", f"One key on one host: give {name} its own, or remove it.")


def installs_are_apart(declared: Declared) -> Iterator[Finding]:
    """One unit, env file and log for each node of a host; paths of containers are their own."""
    for key, noun in (("unit", "unit"), ("env_file", "env file"), ("log", "log")):
        uses: list[Use] = [
            (name, ("nodes", name, key), (node.host, getattr(node, key)))
            for name, node in declared.installed.items()
            if getattr(node, key) and (key != "env_file" or node.shape != "docker")
        ]
        for path, where in _twice(declared, uses):
            what = f"is also the {noun} of {where}, on the same host"
            yield Finding(path, what, "Each node has its own: correct one of the two, or remove it.")


def modules_are_known(declared: Declared) -> Iterator[Finding]:
    """Our own nodes, sessions and gateway call the network's modules, so their addresses are needed where the runtime is of others."""
    if declared.network is None or declared.network.contracts.runtime == DEPLOY:
        return
    contracts = declared.network.contracts
    missing = [name for name in contracts.modules if name not in contracts.places()]
    users = [f"{name} (line {declared.line('nodes', name)})" for name, node in declared.nodes.items() if isinstance(node, WalletNode)]
    if declared.network.sessions:
        users.append(f"network.sessions (line {declared.line('network', 'sessions')})")
    if declared.gateway is not None:
        users.append(f"gateway (line {declared.line('gateway')})")
    if missing and users:
        what = f"has the address of the runtime, and none of {list_of(missing)}, which {users[0]} calls"
        yield Finding(("network", "contracts"), what, "Give the address of every one.")


def references_are_of_others(declared: Declared) -> Iterator[Finding]:
    """An RPC is compared with others: itself would always agree."""
    if declared.network is None:
        return
    first: dict[str, str] = {declared.network.rpc.url.rstrip("/"): "rpc"} if declared.network.rpc.url else {}
    for index, url in enumerate(declared.network.references):
        same = first.setdefault(url.rstrip("/"), f"references[{index}]")
        if same != f"references[{index}]":
            what = f"is the same address as network.{same}"
            yield Finding(("network", "references", index), what, "Name an RPC that somebody else runs, or remove it.")


def _twice(declared: Declared, uses: Iterable[Use]) -> Iterator[tuple[Path, str]]:
    """The path of each thing that somebody before has already, and who: `m7 (line 23)`."""
    owners: dict[tuple[str, ...], tuple[str, Path]] = {}
    for name, path, thing in uses:
        first, first_path = owners.setdefault(thing, (name, path))
        if first != name:
            yield path, f"{printable(first)} (line {declared.places.find(first_path)[0]})"
