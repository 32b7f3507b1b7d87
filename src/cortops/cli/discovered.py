"""What `cortops discover` found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from cortops.cli.output import table
from cortops.environment.networks import NetworkRecord
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.flags import Flag
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.naming import Identity, by_number, identity
from cortops.surfaces.fleet.found.networks import UNKNOWN, Meant, meant

SHA_CHARS = 6
NODES_SHOWN = 60  # of one host
_HEAD = ("NODE", "RUNS", "SHAPE", "STATE", "BINARY", "ADDRESS", "ENV FILE")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found, named. ways: host -> how it is reached, "" for this machine. failures: host -> why it gave no answer."""

    at: float
    hosts: tuple[HostFound, ...]
    failures: Mapping[str, str]
    names: Mapping[Identity, str]
    ways: Mapping[str, str]
    meant: Meant | None
    flags: tuple[Flag, ...]
    records: Mapping[str, NetworkRecord] = field(repr=False)

    @property
    def nodes(self) -> tuple[Installed, ...]:
        return tuple(node for host in self.hosts for node in host.nodes)

    def name(self, node: Installed) -> str:
        return self.names[identity(node)]

    def of(self, network: str, *, untold: bool = False) -> tuple[Installed, ...]:
        """The nodes of one network. Those whose env file tells none are of the one that most are of, or with `untold` of any."""
        most = network if untold or self.meant is None else self.meant.name
        told = {identity(node): meant(node.env, self.records) for node in self.nodes}
        return tuple(node for node in self.nodes if (told[identity(node)].name if told[identity(node)].runtime else most) == network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `--write` did. state: `new`, `changed` or `same`; left: what the file does not say, each with the reason."""

    file: str
    state: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def as_text(found: Found, written: Written | None) -> str:
    """A table for each host, then the network, the flags, the file, and how much was touched."""
    lines: list[str] = []
    for host in found.hosts:
        lines += [_headline(host), *_table(host, found), ""]
    for name, why in found.failures.items():
        lines += [why if why.startswith(f"{name}:") else f"{name}: {why}", ""]
    lines += _network(found)
    for flag in found.flags:
        lines += [f"!  {flag.text}", f"   next: {flag.next}"]
    if found.flags:
        lines.append("")
    if written is not None:
        lines += [*_written(written), ""]
    elif found.nodes:
        lines += ["next: the same command with --write FILE, for an environment file that says all this", ""]
    return "\n".join([*lines, last_line(found)])


def last_line(found: Found) -> str:
    """How much was found, and that nothing was touched."""
    nodes, hosts = len(found.nodes), len(found.hosts)
    return f"{nodes} node{'s' * (nodes != 1)} on {hosts} host{'s' * (hosts != 1)}, 0 files written there, 0 keys read here"


def _headline(host: HostFound) -> str:
    has = [
        host.system or "unknown system",
        host.machine,
        *(["systemd"] if host.systemd else []),
        *(["docker"] if host.docker == "ok" else []),
    ]
    return " · ".join([host.host, *(part for part in has if part), f"asked as {host.user or 'unknown'}"])


def _table(host: HostFound, found: Found) -> Iterator[str]:
    if not host.nodes:
        yield "  no node was found"
        return
    offset_s = host.clock_offset_s or 0.0
    rows = [
        (
            found.name(node),
            node.runs,
            str(node.shape),
            _state(node, found.at + offset_s),
            _binary(node),
            f"{node.address[:6]}…{node.address[-4:]}" if node.address else "not told",
            node.env_file if node.env_sha256 else f"{node.env_file} (not read)",
        )
        for node in sorted(host.nodes, key=lambda node: by_number(found.name(node)))[:NODES_SHOWN]
    ]
    yield table([_HEAD, *rows], "  ")
    if len(host.nodes) > NODES_SHOWN:
        yield f"  … {len(host.nodes) - NODES_SHOWN} more (--json has all)"


def _state(node: Installed, now: float) -> str:
    if not node.running:
        return "stopped" if node.enabled is not False else "stopped, not enabled"
    if node.started_at is None:
        return "runs"
    since = datetime.fromtimestamp(node.started_at, UTC).strftime("%d %b %H:%M UTC")
    return f"runs since {since} ({span(now - node.started_at)})"


def span(seconds: float) -> str:
    """90 -> `1 min`; the largest unit that fits."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def _binary(node: Installed) -> str:
    if node.binary_kind == "lfs-pointer":
        return "LFS pointer"
    sha = node.running_sha256 or node.binary_sha256
    return sha[:SHA_CHARS] if sha else node.binary_kind.replace("program", "unread")


def _network(found: Found) -> Iterator[str]:
    if found.meant is None:
        if found.nodes:
            yield "network: unknown, since no env file could be read"
            yield ""
        return
    most = found.meant
    record = most.network
    told = f"{record.network} ({record.chain.text}, chain {most.chain_id}), by" if record else f"{UNKNOWN} (chain {most.chain_id}):"
    yield f"network: {told} {most.why}; {len(found.of(most.name))} of {len(found.nodes)} nodes"
    yield ""


def _written(written: Written) -> Iterator[str]:
    next = f"next: cortops nodes {written.file}"
    if written.state == "same":
        yield f"{written.file} says all this already; it was not changed.    {next}"
    else:
        added = f"{len(written.added)} added" if written.state == "changed" else f"{len(written.added)} nodes"
        changed = f", {len(written.changed)} changed: {', '.join(written.changed[:8])}" if written.changed else ""
        yield f"{written.file} {'written' if written.state == 'new' else 'completed'}: {added}{changed}.    {next}"
    yield from (f"  not in it: {reason}" for reason in written.left)


def as_json(found: Found, written: Written | None) -> dict[str, object]:
    """The shape of `discover --json`: hosts, nodes (the fields of Installed, with name and network), flags, failures, network, written."""
    most = found.meant
    return {
        "asked_at": found.at,
        "network": {"name": most.name, "chain_id": most.chain_id, "runtime": most.runtime, "why": most.why} if most else None,
        "hosts": [_host_json(host) for host in found.hosts],
        "nodes": [_node_json(found, node) for node in found.nodes],
        "flags": [asdict(flag) for flag in found.flags],
        "failures": [{"host": name, "why": why} for name, why in found.failures.items()],
        "written": asdict(written) if written else None,
        "files_written_there": 0,
        "keys_read_here": 0,
    }


def _host_json(host: HostFound) -> dict[str, object]:
    fields = ("host", "hostname", "machine", "system", "user", "root", "systemd", "docker", "python", "disk_free_mib", "clock_offset_s")
    return {
        **{name: getattr(host, name) for name in (*fields, "complete", "unseen", "blind", "notes")},
        "timers": [asdict(timer) for timer in host.timers],
        "nodes": len(host.nodes),
    }


def _node_json(found: Found, node: Installed) -> dict[str, object]:
    told = meant(node.env, found.records)
    return {"node": found.name(node), "network": told.name, "network_why": told.why, **asdict(node), "quoted": sorted(node.quoted)}
