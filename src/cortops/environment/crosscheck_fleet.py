"""Cross-checks of hosts that are reached by SSH and of nodes that run cortensord: one key, unit, env file and log for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cortops.environment.declared import Declared, host_uses
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


def own_programs_run_here(declared: Declared) -> Iterator[Finding]:
    """What runs our programs needs a release of them on its host, which only this machine has today."""
    for path, name in host_uses(declared):
        host = declared.hosts.get(name)
        if host is not None and not host.local:
            what = f"is {printable(name)} (line {declared.line('hosts', name)}), which is reached by SSH"
            here = list_of(other for other, candidate in declared.hosts.items() if candidate.local)
            instead = f"name {here}" if here else "add hosts.here: {local: true}, and name here"
            yield Finding(path, what, f"For now our own programs run on this machine only: {instead}.")


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
