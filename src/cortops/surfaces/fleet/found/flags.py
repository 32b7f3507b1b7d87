"""What is wrong, or will be, with nodes as they were found: what, with whom, and the next command. Pure. Traps: operators 2.6."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cortops.surfaces.fleet.found.describe import UNNAMED, UNREADABLE
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.surfaces.fleet.found.naming import Identity, by_number, identity
from cortops.surfaces.fleet.found.networks import Records, meant, most_meant

CLOCK_OFFSET_MAX_S = 30.0
# First 16 digits of the sha256 of the RPC addresses that the installer ships in its example, keys and all.
SHIPPED_RPC: Final = frozenset(("1a88bdf63ca4d697", "5e96a24bba0d03e5"))
OLD_ROLES: Final[Mapping[str, str]] = {
    "minerv1": "minerv4",
    "minerv2": "minerv4",
    "minerv3": "minerv4",
    "oraclev1": "oraclev3",
    "oraclev2": "oraclev3",
}
# Addresses that nobody outside reaches: this machine, its own network, a carrier's.
_PRIVATE: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/127",
        "fc00::/7",
        "fe80::/10",
    )
)
# What the example env file lacks and a router needs (facts A.1).
ROUTER_LINES: Final = ("API_ENABLE", "API_KEY", "API_PORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """kind: one word for programs. nodes: the names of those it is about. text: what is so. next: the command that cures or shows it."""

    kind: str
    host: str
    nodes: tuple[str, ...]
    text: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One node with its name, and how its host is reached (`ssh me@h1`, "" for this machine)."""

    name: str
    node: Installed
    way: str

    @property
    def edit(self) -> str:
        """The command that opens its env file."""
        if self.node.shape is Shape.DOCKER:
            return self.there(f"docker exec -it {self.node.unit} vi {self.node.env_file}", tty=True)
        return self.there(f"sudoedit {self.node.env_file}", tty=True)

    @property
    def restart(self) -> str:
        """The command that restarts it."""
        match self.node.shape:
            case Shape.DOCKER:
                return self.there(f"docker restart {self.node.unit}")
            case Shape.NOHUP:
                return self.there(f"'{self.folder}/bin/stop-cortensor.sh; {self.folder}/bin/start-cortensor.sh'")
            case _:
                return self.there(f"sudo systemctl restart {self.node.unit}")

    @property
    def stop(self) -> str:
        """The command that stops it, for good where its manager can."""
        match self.node.shape:
            case Shape.DOCKER:
                return self.there(f"docker update --restart=no {self.node.unit}; docker stop {self.node.unit}")
            case Shape.NOHUP:
                return self.there(f"{self.folder}/bin/stop-cortensor.sh")
            case _:
                return self.there(f"sudo systemctl disable --now {self.node.unit}")

    @property
    def start_line(self) -> str:
        """The command that opens what holds its command line."""
        match self.node.shape:
            case Shape.DOCKER:
                return self.there(f"docker exec -it {self.node.unit} vi {self.folder}/run.sh", tty=True)
            case Shape.NOHUP:
                return self.there(f"vi {self.folder}/bin/start-cortensor.sh", tty=True)
            case _:
                return self.there(f"sudo systemctl edit --full {self.node.unit}", tty=True)

    @property
    def folder(self) -> str:
        return self.node.env_file.rpartition("/")[0]

    def there(self, command: str, *, tty: bool = False) -> str:
        """`command` as it is typed here."""
        way = self.way.replace("ssh ", "ssh -t ", 1) if tty else self.way
        return f"{way} {command}" if way else command


def verb_name(way: str) -> str:
    """How our verbs name what is reached by `ssh -p 2222 me@h1`: `me@h1:2222`; "" for this machine."""
    port, _, place = way.removeprefix("ssh ").removeprefix("-p ").rpartition(" ")
    user, at, host = place.rpartition("@")
    return f"{user}{at}{f'[{host}]' if ':' in host else host}:{port}" if port else place


def flags(hosts: Sequence[HostFound], names: Mapping[Identity, str], ways: Mapping[str, str], records: Records) -> tuple[Flag, ...]:
    """Every flag, those that stop a node from earning first. `ways`: host -> how it is reached; `records`: the known networks."""
    known = [(host, node) for host in hosts for node in host.nodes if identity(node) in names]
    nodes = [Named(name=names[identity(node)], node=node, way=ways.get(host.host, "")) for host, node in known]
    nodes.sort(key=lambda one: by_number(one.name))
    found: list[Flag] = [*_networks(nodes, records)]
    for check in _OF_NODES:
        found += check(nodes)
    for host in hosts:
        found += _of_host(host, ways.get(host.host, ""))
    return tuple(found)


def _flag(kind: str, nodes: Sequence[Named], text: str, next: str) -> Flag:
    hosts = {one.node.host for one in nodes}
    return Flag(kind=kind, host=hosts.pop() if len(hosts) == 1 else "", nodes=tuple(one.name for one in nodes), text=text, next=next)


def _grouped(nodes: Iterable[Named], key: Callable[[Named], str]) -> Mapping[str, list[Named]]:
    groups: dict[str, list[Named]] = {}
    for one in nodes:
        if key(one):
            groups.setdefault(key(one), []).append(one)
    return groups


def _who(nodes: Sequence[Named]) -> str:
    shown = ", ".join(one.name for one in nodes[:4])
    return shown if len(nodes) <= 4 else f"{shown} and {len(nodes) - 4} more"


def _pointers(nodes: Sequence[Named]) -> Iterator[Flag]:
    pointers = [one for one in nodes if one.node.binary_kind == "lfs-pointer"]
    for group in _grouped(pointers, lambda one: f"{one.node.host} {one.node.binary}").values():
        first = group[0].node
        text = f"{first.binary} on {first.host} is a Git LFS pointer to {first.lfs_oid[:12]}, not the program"
        yield _flag(
            "lfs-pointer", group, f"{_who(group)}: {text}", "in the installer's folder: git lfs pull, then copy dist/cortensord again"
        )


def _wallets(nodes: Sequence[Named]) -> Iterator[Flag]:
    for address, group in _grouped(nodes, lambda one: one.node.address.lower()).items():
        if len(group) > 1:
            places = " and ".join(f"{one.name} ({one.node.host} {one.node.env_file})" for one in group[:4])
            spare = next((one for one in reversed(group) if not one.node.running), group[-1])
            running = sum(one.node.running for one in group)
            text = f"{address[:6]}…{address[-4:]} is the wallet of {places}; {running} of them run"
            yield _flag("wallet-twice", group, text, spare.stop)


def _without_key(nodes: Sequence[Named]) -> Iterator[Flag]:
    without = [one for one in nodes if one.node.kept.get("NODE_PRIVATE_KEY") in ("empty", "placeholder")]
    for one in without:
        yield _flag("no-key", [one], f"{one.name} has no key yet: NODE_PRIVATE_KEY is as in the example", one.edit)


def _networks(nodes: Sequence[Named], records: Records) -> Iterator[Flag]:
    for wrong, group in _grouped(nodes, lambda one: meant(one.node.env, records).wrong).items():
        yield _flag("chain-id", group, f"{_who(group)}: {wrong}", group[0].edit)
    read = [one for one in nodes if one.node.env]
    most = most_meant(meant(one.node.env, records) for one in read)
    others = [one for one in read if most and meant(one.node.env, records).name != most.name]
    for name, group in _grouped(others, lambda one: meant(one.node.env, records).name).items():
        hosts = " ".join(sorted({verb_name(one.way) or one.node.host for one in group}))
        text = f"{_who(group)}: of the network {name}, and most are of {most.name if most else ''}; one file holds one network"
        yield _flag("other-network", group, text, f"cortops discover {hosts} --network {name} --write {name}.yaml")


def _replaced(nodes: Sequence[Named]) -> Iterator[Flag]:
    def pair(one: Named) -> str:
        node = one.node
        known = node.running_sha256 and node.binary_sha256 and node.running_sha256 != node.binary_sha256
        return f"{node.host} {node.binary} {node.running_sha256} {node.binary_sha256}" if known else ""

    for group in _grouped(nodes, pair).values():
        node = group[0].node
        text = f"{_who(group)}: still runs {node.running_sha256[:8]}; {node.binary} was replaced by {node.binary_sha256[:8]} since"
        yield _flag("not-restarted", group, text, group[0].restart)


def _old_roles(nodes: Sequence[Named]) -> Iterator[Flag]:
    for runs, group in _grouped(nodes, lambda one: one.node.runs if one.node.runs in OLD_ROLES else "").items():
        text = f"{_who(group)}: starts as {runs}, an old role; today's is {OLD_ROLES[runs]}"
        yield _flag("old-role", group, text, group[0].start_line)


def _version_checks(nodes: Sequence[Named]) -> Iterator[Flag]:
    off = [one for one in nodes if one.node.env.get("DISABLE_VERSION_CHECK", "").lower() in ("1", "true", "yes", "on")]
    if off:
        text = f"{_who(off)}: DISABLE_VERSION_CHECK is on, so a program that is too old for the contracts goes on and earns nothing"
        yield _flag("version-check-off", off, text, off[0].edit)


def _published(nodes: Sequence[Named]) -> Iterator[Flag]:
    for one in nodes:
        env = one.node.env
        keys = ("ROUTER_EXTERNAL_DOMAIN", "ROUTER_EXTERNAL_IP", "ROUTER_REST_BIND_IP")
        key = next((key for key in keys if env.get(key)), "")
        if one.node.role == "router" and key and _is_private(env[key]):
            text = f"{one.name} publishes {env[key]} ({key}) as its address: nobody else reaches it, and private sessions get no keys"
            yield _flag("loopback-published", [one], text, one.edit)


def _is_private(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)


def _router_lines(nodes: Sequence[Named]) -> Iterator[Flag]:
    routers = [one for one in nodes if one.node.role == "router" and one.node.env]

    def those(one: Named, keys: Sequence[str], *words: str) -> str:
        told = {**one.node.env, **one.node.kept}
        return ", ".join(key for key in keys if told.get(key, "") in words)

    for missing, group in _grouped(routers, lambda one: those(one, ROUTER_LINES, "", "empty", "placeholder")).items():
        text = f"{_who(group)}: the env file lacks {missing}, which a router needs and the installer's example has not"
        yield _flag("router-lines-missing", group, text, group[0].edit)
    default = [one for one in routers if those(one, ("API_KEY",), "default")]
    if default:
        yield _flag(
            "default-api-key", default, f"{_who(default)}: answers to the documented development key, so to anybody", default[0].edit
        )
    for keys, group in _grouped(routers, lambda one: those(one, ("ENCRYPTION_SEED", "ENCRYPTION_ALLOWED_LIST"), "placeholder")).items():
        text = f"{_who(group)}: {keys.replace(', ', ' and ')} as in the example, so private payloads are not private"
        yield _flag("encryption-placeholder", group, text, group[0].edit)


def _rpc(nodes: Sequence[Named]) -> Iterator[Flag]:
    for told, group in _grouped(nodes, lambda one: one.node.env.get("HOST", "")).items():
        address, _, digest = told.partition("#sha256:")
        host = address.partition("://")[2].rpartition(":")[0] or address.partition("://")[2]
        if digest in SHIPPED_RPC:
            text = f"{_who(group)}: the RPC address that the installer ships to everybody ({address}); its limits are shared with strangers"
            yield _flag("rpc-shipped", group, text, group[0].edit)
        elif len(group) > 1 and digest and not _is_private(host):
            hosts = len({one.node.host for one in group})
            of = f"{len(group)} nodes on {hosts} host{'s' * (hosts > 1)}"
            text = f"{_who(group)}: {of} share one RPC address ({address}): one limit, one failure"
            yield _flag("rpc-shared", group, text, f"{group[-1].edit}   (ENABLE_MULTIPLE_RPC_HOST=1, NUM_RPC_HOST, RPC_HOST_0 …)")


def _quotes(nodes: Sequence[Named]) -> Iterator[Flag]:
    bare = [one for one in nodes if one.node.env.get("CONTRACT_ADDRESS_RUNTIME") and "CONTRACT_ADDRESS_RUNTIME" not in one.node.quoted]
    if bare:
        text = (
            f"{_who(bare)}: CONTRACT_ADDRESS_RUNTIME has no quotes; use-testnet1.sh changes only quoted ones, and says updated all the same"
        )
        first = bare[0]
        files = " ".join(
            one.node.env_file for one in bare if one.way == first.way and Shape.DOCKER not in (one.node.shape, first.node.shape)
        )
        command = "sudo sed -i 's/^CONTRACT_ADDRESS_RUNTIME=\\(0x[0-9a-fA-F]*\\)/CONTRACT_ADDRESS_RUNTIME=\"\\1\"/' "
        command += files or first.node.env_file
        if first.node.shape is Shape.DOCKER:
            command = f"docker exec {first.node.unit} {command.removeprefix('sudo ')}"
        yield _flag("address-unquoted", bare, text, f'{first.way} "{_escaped(command)}"' if first.way else command)


def _escaped(command: str) -> str:
    return command.replace("\\", "\\\\").replace('"', '\\"')


def _open_files(nodes: Sequence[Named]) -> Iterator[Flag]:
    with_key = [one for one in nodes if one.node.shape is not Shape.DOCKER and one.node.kept.get("NODE_PRIVATE_KEY") == "set"]
    for host, group in _grouped(
        (one for one in with_key if one.node.env_mode[-1:] in ("4", "5", "6", "7")), lambda one: one.node.host
    ).items():
        files = " ".join(one.node.env_file for one in group)
        text = f"{_who(group)}: every user of {host} may read the env file (mode {group[0].node.env_mode}), and the key in it"
        yield _flag("key-readable", group, text, group[0].there(f"sudo chmod 600 {files}"))


def _notes(nodes: Sequence[Named]) -> Iterator[Flag]:
    for one in nodes:
        for note in one.node.notes:
            if note in (UNREADABLE, UNNAMED):
                continue  # told once for the host
            twice = note.startswith("runs ") or "second time" in note
            command = one.there("ps -fC cortensord") if twice else _look(one)
            yield _flag("runs-twice" if twice else "note", [one], f"{one.name}: {note}", command)


def _look(one: Named) -> str:
    if one.node.shape is Shape.DOCKER:
        return one.there(f"docker inspect {one.node.unit}")
    return one.there(f"systemctl status {one.node.unit}") if one.node.unit else one.there(f"ls -l {one.node.env_file}")


_OF_NODES: Final = (
    _pointers,
    _wallets,
    _without_key,
    _replaced,
    _old_roles,
    _version_checks,
    _published,
    _router_lines,
    _notes,
    _rpc,
    _quotes,
    _open_files,
)


def _of_host(host: HostFound, way: str) -> Iterator[Flag]:
    def flag(kind: str, text: str, command: str) -> Flag:
        return Flag(kind=kind, host=host.host, nodes=(), text=text, next=command)

    def there(command: str) -> str:
        return f"{way} {command}" if way else command

    again = f"cortops discover {verb_name(way)} --sudo".replace("  ", " ")
    unread = sum(UNREADABLE in node.notes for node in host.nodes)
    if unread:
        yield flag("unreadable", f"{host.host}: {unread} env files cannot be read as {host.user}, so what they say is not known", again)
    if host.unseen:
        text = f"{host.host}: {len(host.unseen)} homes cannot be looked into as {host.user}; a stopped node in them may be missing here"
        yield flag("unseen", text, again)
    if host.blind:
        yield flag("unseen", f"{host.host}: processes of others are hidden from {host.user}; what runs there is not all known", again)
    if host.docker == "silent":
        text = f"{host.host}: docker is there and does not answer {host.user}; stopped nodes in containers may be missing here"
        yield flag("docker-silent", text, again)
    if not host.complete:
        yield flag("cut-off", f"{host.host}: its answer was cut off; nodes may be missing here", again.removesuffix(" --sudo"))
    for timer in host.timers:
        if timer.enabled and timer.restarts:
            text = f"{host.host}: {timer.name} restarts {', '.join(timer.restarts)} at {timer.schedule}, whatever a node does then"
            if timer.missing:
                text = f"{host.host}: {timer.name} is to restart {', '.join(timer.missing)} at {timer.schedule}; there is no such unit"
            cron = timer.name.startswith("/")
            command = f"sudoedit {timer.name}" if cron else f"sudo systemctl disable --now {timer.name}"
            yield flag("restart-timer", text, there(command))
    if host.clock_offset_s is not None and abs(host.clock_offset_s) > CLOCK_OFFSET_MAX_S:
        ahead = "ahead of" if host.clock_offset_s > 0 else "behind"
        yield flag("clock", f"{host.host}: its clock is {abs(host.clock_offset_s):.0f} s {ahead} this machine's", there("timedatectl"))
    for note in host.notes:
        yield flag("note", f"{host.host}: {note}", again.removesuffix(" --sudo"))
