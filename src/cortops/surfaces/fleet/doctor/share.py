"""What doctor saw, fit for a public chat: no name, address, path or key of anybody, by value and by shape. Pure.

Every variable part of a finding comes out of what was seen. So each string that was seen and is not a public word is replaced by what it
stands for; a line in which one is left all the same is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cortops.surfaces.fleet.doctor.ailments import Finding, HostSeen, NodeSeen, Seen
from cortops.surfaces.fleet.found.installed import Shape
from cortops.surfaces.fleet.found.naming import plain

NODES_SHOWN = 40
FINDINGS_SHOWN = 40
TEXT_MAX_CHARS = 160
SHA_CHARS = 8
VALUE_MIN_CHARS = 3  # shorter names are replaced as whole words only

_MACHINES = frozenset(("x86_64", "aarch64", "armv7l", "riscv64"))
_SYSTEM = re.compile(
    r"(Debian|Ubuntu|Fedora|Rocky|AlmaLinux|Arch|Alpine|openSUSE|CentOS|Red Hat)([A-Za-z/ ]{0,20} [0-9]{1,3}(\.[0-9]{1,3})?)?"
)
_OWN_UNIT = re.compile(r"cortensord?(-restart|-[0-9]{1,4}|@)?\.(service|timer)|cortensor-[0-9]{1,4}")
# What installers, we and the system name so for everybody.
_PUBLIC_WORDS = """
root deploy cortensor cortensord docker ubuntu debian node nodes miner miners router routers oracle validator pool host hosts user
log logs file files binary env rpc chain network wallet service running dead failed active inactive exited start-limit-hit exit-code
signal core-dump timeout success auto-restart systemd nohup ansible salt local here lab test testnet mainnet devnet own
"""
_PUBLIC = frozenset(_PUBLIC_WORDS.split())
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,10}://[^\s,;)\"']+", re.IGNORECASE)
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])(?=[0-9a-fA-F:]*::|(?:[0-9a-fA-F]{1,4}:){4})[0-9a-fA-F:]{3,45}(?![\w:])")
_HEX = re.compile(r"\b(0x)?[0-9a-fA-F]{16,}\b")
_HOSTNAME = re.compile(
    r"\b(?=[a-z0-9.-]*[a-z])[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.(?!sh\b|log\b|service\b|timer\b|env\b|bak\b|conf\b|json\b|yaml\b)[a-z]{2,24}\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?<![\w~.])(/[\w.@+-]+)+/?|~/[\w./@+-]+")
_ROOM = frozenset(("/", "/var", "/var/log", "/home", "/opt", "/tmp", "/var/lib/docker", "/usr"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNode:
    """One node for strangers: who is its role and short wallet."""

    who: str
    host: str
    shape: str
    runs: str
    state: str
    binary: str
    restarts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """All that may be shown to anybody. findings: (who, check, outcome, text). left_out: lines that still held something private."""

    version: str
    network: str
    chain_id: int
    at: float
    hosts: tuple[str, ...]
    nodes: tuple[SharedNode, ...]
    binaries: Mapping[str, int]
    counts: Mapping[str, int]
    findings: tuple[tuple[str, str, str, str], ...]
    left_out: int


def share(seen: Seen, found: Sequence[Finding], *, version: str, networks: Iterable[str], redact: Callable[[str], str]) -> Shared:
    """What was seen -> what may be shown. networks: names of public networks. redact: takes secrets out, by value and shape."""
    hosts = {host.name: f"h{number}" for number, host in enumerate(seen.hosts, start=1)}
    names = {node.name: _who(node, number) for number, node in enumerate(seen.nodes, start=1)}
    veil = _Veil(seen, hosts, names, redact)
    shown: list[tuple[str, str, str, str]] = []
    left_out = 0
    for finding in found:
        if finding.outcome != "ok":
            text = veil.over(finding.text)
            who = (
                hosts.get(finding.entity.name)
                or names.get(finding.entity.name)
                or ("all" if finding.entity.kind == "environment" else finding.entity.kind)
            )
            if text is None:
                left_out += 1
            shown.append((who, finding.check, finding.outcome, text or "(left out: it names something private)"))
    public = seen.network is not None and seen.network.name in set(networks)
    binaries = Counter(
        sha256[:SHA_CHARS] for node in seen.nodes if (sha256 := node.named.node.running_sha256 or node.named.node.binary_sha256)
    )
    return Shared(
        version=version,
        network=seen.network.name if public and seen.network else "a network of its own" if seen.network else "unknown network",
        chain_id=seen.network.chain_id if seen.network else 0,
        at=seen.now,
        hosts=tuple(_host(host, hosts[host.name]) for host in seen.hosts),
        nodes=tuple(_node(node, names[node.name], hosts[node.host.name]) for node in seen.nodes),
        binaries=dict(binaries.most_common()),
        counts={outcome: sum(finding.outcome == outcome for finding in found) for outcome in ("bad", "inconclusive", "ok")},
        findings=tuple(shown),
        left_out=left_out,
    )


def as_block(shared: Shared) -> str:
    """One block to paste."""
    asked = datetime.fromtimestamp(shared.at, UTC)
    chain = f" (chain {shared.chain_id})" if shared.chain_id else ""
    counts = shared.counts
    lines = [
        f"cortops {shared.version} · {shared.network}{chain} · {asked:%Y-%m-%d %H:%M} UTC",
        f"{counts['bad']} bad, {counts['inconclusive']} not known, {counts['ok']} well",
        *shared.hosts,
        *(_node_line(node) for node in shared.nodes[:NODES_SHOWN]),
    ]
    if len(shared.nodes) > NODES_SHOWN:
        lines.append(f"and {len(shared.nodes) - NODES_SHOWN} more nodes")
    if shared.binaries:
        lines.append("binaries " + ", ".join(f"{sha256} on {count}" for sha256, count in shared.binaries.items()))
    for outcome, mark in (("bad", "■"), ("inconclusive", "◌")):
        mine = [finding for finding in shared.findings if finding[2] == outcome]
        lines += [f"{mark} {who} · {check}: {text}" for who, check, _, text in mine[:FINDINGS_SHOWN]]
        if len(mine) > FINDINGS_SHOWN:
            lines.append(f"{mark} and {len(mine) - FINDINGS_SHOWN} more")
    return "\n".join(["```", *lines, "```"])


def short_wallet(address: str) -> str:
    """`0x12ab..9f`."""
    return f"{address[:6].lower()}..{address[-2:].lower()}"


def _who(node: NodeSeen, number: int) -> str:
    address = node.named.node.address
    return f"{node.named.node.role} {short_wallet(address)}" if address else f"{node.named.node.role} #{number}"


def _host(host: HostSeen, name: str) -> str:
    if host.found is None:
        return f"{name}: did not answer"
    system = _SYSTEM.match(host.found.system)
    parts = [system[0].strip() if system else "", host.found.machine if host.found.machine in _MACHINES else ""]
    count = len(host.found.nodes)
    return f"{name}: {' '.join(part for part in parts if part) or 'a host'}, {count} node{'s' * (count != 1)}"


def _node(node: NodeSeen, who: str, host: str) -> SharedNode:
    found = node.named.node
    return SharedNode(
        who=who,
        host=host,
        shape=str(found.shape),
        runs=found.runs if re.fullmatch(r"[a-z]{3,12}v[0-9]{1,2}", found.runs) else "?",
        state="runs" if found.running else "does not run",
        binary=(found.running_sha256 or found.binary_sha256)[:SHA_CHARS] or found.binary_kind,
        restarts=found.restarts,
    )


def _node_line(node: SharedNode) -> str:
    restarts = f", {node.restarts} restarts" if node.restarts else ""
    return f"{node.host} {node.who}: {node.runs} ({node.shape}), {node.state} {node.binary}{restarts}"


class _Veil:
    """Covers private texts: by value, then by shape; and looks whether anything shows through."""

    def __init__(self, seen: Seen, hosts: Mapping[str, str], names: Mapping[str, str], redact: Callable[[str], str]) -> None:
        self._redact = redact
        said = dict(_private(seen, hosts, names))
        # Longest first, so that no name is cut out of a longer one.
        self._values = [
            (re.compile(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", re.IGNORECASE), said[value])
            for value in sorted(said, key=len, reverse=True)
        ]
        stand_ins = {word.lower() for text in said.values() for word in text.split()}
        self._guarded = tuple(value.lower() for value in said if len(value) >= VALUE_MIN_CHARS and value.lower() not in stand_ins)

    def over(self, text: str) -> str | None:
        """The text as it may be shown; None where something private would show through."""
        covered = self._redact(text)
        for value, stand_in in self._values:
            covered = value.sub(stand_in.replace("\\", ""), covered)
        covered = _shapes(covered)
        covered = covered if len(covered) <= TEXT_MAX_CHARS else covered[: TEXT_MAX_CHARS - 1] + "…"
        return None if any(value in covered.lower() for value in self._guarded) else covered


def _shapes(text: str) -> str:
    text = _URL.sub("URL", text)
    text = _MAIL.sub("USER@HOST", text)
    text = _IPV4.sub("ADDRESS", text)
    text = _IPV6.sub("ADDRESS", text)
    text = _HEX.sub(lambda match: match[0][:6] + "..", text)
    text = _PATH.sub(lambda match: match[0] if match[0] in _ROOM else "PATH", text)
    return _HOSTNAME.sub("NAME", text)


def _private(seen: Seen, hosts: Mapping[str, str], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every string that was seen and says something of its owner -> what stands for it."""
    found: list[tuple[str, str]] = []
    for host in seen.hosts:
        found += _of_host(host, hosts[host.name])
    for node in seen.nodes:
        found += _of_node(node, names[node.name])
    for name, (declared, _) in seen.gone.items():
        found += [
            (name, f"{declared.role} (gone)"),
            (declared.env_file, "its env file"),
            (declared.log, "its log"),
            (declared.unit, "its unit"),
        ]
    if seen.network is not None:
        found += [(url, "RPC") for url in seen.network.urls] + [(_domain(url), "RPC") for url in seen.network.urls]
        found += [(seen.network.name, "the network")] if seen.network.name == seen.name else []
    found += [(path, "our key file") for path in seen.machine.keys] + [(seen.machine.file, "the file"), (seen.name, "this environment")]
    for value, stand_in in found:
        if value and value.lower() not in _PUBLIC and value not in _ROOM:
            yield value, stand_in


def _of_host(host: HostSeen, name: str) -> list[tuple[str, str]]:
    way = host.way.removeprefix("ssh ").split()[-1:] or [""]
    user, _, place = way[0].rpartition("@")
    texts = [
        (host.name, name),
        (host.way, name),
        (way[0], name),
        (place, name),
        (place.partition(".")[0], name),
        (user, "user"),
        (host.why, "…"),
    ]
    if host.found is not None:
        texts += [(host.found.hostname, name), (host.found.user, "user")]
        texts += [(note, "…") for note in host.found.notes] + [(home, "a home") for home in host.found.unseen]
        for timer in host.found.timers:
            texts += [(unit, "a unit") for unit in (timer.name, *timer.restarts, *timer.missing) if not _OWN_UNIT.fullmatch(unit)]
    if host.look is not None:
        texts += [(unit, "a unit") for unit in host.look.failed_units if not _OWN_UNIT.fullmatch(unit)]
        texts += [(host.look.name, name), *((room.folder, "a folder") for room in (*host.look.rooms, *host.look.inodes))]
    return texts


def _of_node(node: NodeSeen, who: str) -> list[tuple[str, str]]:
    found = node.named.node
    texts = [(node.name, who), (found.user, "user"), (found.address, who.rpartition(" ")[2])]
    texts += [
        (found.env_file, "its env file"),
        (found.log, "its log"),
        (found.log.removeprefix("docker:"), "its log"),
        (found.binary, "its binary"),
    ]
    texts += [(found.unit, "its unit")] if not _OWN_UNIT.fullmatch(found.unit) or found.shape is Shape.SALT else []
    texts += [(found.instance, "an instance")] if plain(found.instance) and not found.instance.isdigit() else []
    texts += [(note, "…") for note in found.notes]
    for key, value in found.env.items():
        if key in ("ROUTER_EXTERNAL_DOMAIN", "ROUTER_EXTERNAL_IP", "WS_HOST_ROUTER", "LLM_HOST", "ROUTER_REST_BIND_IP") or "://" in value:
            texts += [(value, "an address"), (value.partition("#")[0], "RPC"), (_domain(value), "RPC")]
    if node.log is not None:
        texts += [(place, "RPC") for place in node.log.rpc_hosts.values()] + [
            (_domain(place), "RPC") for place in node.log.rpc_hosts.values()
        ]
        texts += [(node.log.facts.version_mismatch[:80], "…")] if node.log.facts else []
    return texts


def _domain(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("#")[0].rpartition("@")[2].partition(":")[0]
