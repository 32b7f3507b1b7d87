"""What may be wrong between nodes, their RPCs and the chain, and with the fleet as a whole: one function a check. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from cortops.surfaces.fleet.doctor.ailments import Ailment, Group, Ill, NetworkSeen, NodeSeen, Seen, ill, short, span, told, unseen
from cortops.surfaces.fleet.found.discover import question_id
from cortops.surfaces.fleet.found.flags import Flag
from cortops.surfaces.nodes import logs
from cortops.surfaces.nodes.logs import RpcProbe
from cortops.surfaces.readings import answered_by_chain, json_of, number_of, ok, reply_of
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import NoAnswer, Question, Reply, Rpc, Silence

HEAD_AGE_MAX_S = 120.0
BEHIND_MAX_S = 30.0  # of one RPC's newest block against another's
NODES_OF_ONE_OPERATOR = 25  # about: operators 2.6
SHA_CHARS = 8
RUNTIMES_MAX = 8  # asked for by one look
RPC_TIMEOUT_S = 5.0

# Flags of discover that say that somebody could not look; all others say what is wrong.
_BLIND_KINDS: Final = frozenset(("unreadable", "unseen", "docker-silent", "cut-off", "note"))
# Told by checks of doctor's own, which see more.
_TOLD_ELSEWHERE: Final = frozenset(("clock",))
# Kind of a flag -> where it stands, its name as a check, and what is so when there is no such flag.
_FLAGS: Final[Mapping[str, tuple[Group, str, str]]] = {
    "lfs-pointer": (Group.BINARY, "pointers", "no binary is a Git LFS pointer"),
    "not-restarted": (Group.BINARY, "replaced", "every node runs the binary that stands on disk"),
    "version-check-off": (Group.BINARY, "version check", "no node goes past the version check"),
    "wallet-twice": (Group.NODE, "wallets", "no wallet is on two nodes"),
    "no-key": (Group.NODE, "keys", "every node has a key"),
    "old-role": (Group.NODE, "old roles", "no node starts in an old role"),
    "runs-twice": (Group.NODE, "twins", "no node runs twice"),
    "key-readable": (Group.NODE, "key files", "no key may be read by every user"),
    "loopback-published": (Group.NODE, "published address", "no router publishes an address that nobody reaches"),
    "router-lines-missing": (Group.NODE, "router lines", "every router has the lines that routers need"),
    "default-api-key": (Group.NODE, "router keys", "no router answers to the development key"),
    "encryption-placeholder": (Group.NODE, "encryption", "no router encrypts with the example's seed or allowlist"),
    "address-unquoted": (Group.NODE, "quotes", "every runtime address stands in quotes"),
    "restart-timer": (Group.HOST, "timers", "no timer restarts nodes"),
    "chain-id": (Group.NETWORK, "chain ids", "every env file's chain id is that of its network"),
    "other-network": (Group.NETWORK, "one network", "all nodes mean one network"),
    "rpc-shipped": (Group.NETWORK, "shipped RPC", "no node uses the RPC that everybody is given"),
    "rpc-shared": (Group.NETWORK, "shared RPC", "no two nodes hang on one RPC alone"),
}


def questions(network: NetworkSeen, runtimes: Iterable[str]) -> Iterator[Question]:
    """What is asked of the network from here: chain id and head of each RPC, and the code of each runtime contract by the first."""
    for number, url in enumerate(network.urls):
        yield Rpc(id=f"chain-id:{number}", url=url, method="eth_chainId", timeout_s=RPC_TIMEOUT_S)
        yield Rpc(id=f"head:{number}", url=url, method="eth_getBlockByNumber", params=("latest", False), timeout_s=RPC_TIMEOUT_S)
    for runtime in list(dict.fromkeys(map(str.lower, runtimes)))[:RUNTIMES_MAX]:
        yield Rpc(id=f"runtime:{runtime}", url=network.urls[0], method="eth_getCode", params=(runtime, "latest"), timeout_s=RPC_TIMEOUT_S)


def runtimes_of(seen_nodes: Iterable[NodeSeen], network: NetworkSeen) -> tuple[str, ...]:
    """The runtime contracts that are declared or named by an env file, in small letters."""
    named = [network.runtime, *(node.named.node.env.get("CONTRACT_ADDRESS_RUNTIME", "") for node in seen_nodes)]
    return tuple(dict.fromkeys(address.lower() for address in named if address.startswith("0x")))


def ailments(seen: Seen) -> Iterable[Ailment]:
    """The checks of the network, of each node's way to it, and of the fleet."""
    yield from _of_flags(seen)
    yield from _of_fleet(seen)
    if seen.network is not None:
        yield from _of_network(seen, seen.network)
    for node in seen.nodes:
        asks = (logs.question_id(node.host.name),)
        for name, tell in (("rpc", _rpc), ("runtime", _runtime)):
            yield from told(Group.NETWORK, name, node.entity, asks, tell, (node, seen.network))


# --- flags of discover ---


def _of_flags(seen: Seen) -> Iterator[Ailment]:
    answered = [host for host in seen.hosts if host.found is not None]
    entities = {node.name: node.entity for node in seen.nodes}
    asks = tuple(question_id(host.name) for host in answered)
    for flag in seen.flags:
        group, name, _ = _FLAGS.get(flag.kind, (Group.HOST, flag.kind, ""))
        if flag.kind not in _TOLD_ELSEWHERE:
            entity = _whom(flag, entities, seen.entity)
            yield _always(group, name, entity, asks, _of_flag(flag, entity))
    if not seen.nodes:
        return
    for kind, (group, name, well) in _FLAGS.items():
        if not any(flag.kind == kind for flag in seen.flags):
            yield _always(group, name, seen.entity, asks, ok(well))


def _of_flag(flag: Flag, entity: Entity) -> Ill:
    outcome = unseen if flag.kind in _BLIND_KINDS else ill
    return outcome(flag.text.removeprefix(f"{entity.name}: "), flag.next)


def _whom(flag: Flag, entities: Mapping[str, Entity], fleet: Entity) -> Entity:
    if len(flag.nodes) == 1 and flag.nodes[0] in entities:
        return entities[flag.nodes[0]]
    return Entity("host", flag.host) if flag.host else fleet


def _always(group: Group, name: str, entity: Entity, asks: tuple[str, ...], verdict: Verdict) -> Ailment:
    return Ailment(group=group, check=Check(entity=entity, name=name, asks=asks, judge=lambda _replies, _now: verdict, owner=""))


# --- the fleet ---


def _of_fleet(seen: Seen) -> Iterator[Ailment]:
    asks = tuple(question_id(host.name) for host in seen.hosts if host.found is not None)
    for group, name, tell in ((Group.BINARY, "versions", _versions), (Group.NODE, "number", _number), (Group.LOGS, "ipfs servers", _ipfs)):
        yield from told(group, name, seen.entity, asks, tell, seen)


def _versions(seen: Seen) -> Verdict | None:
    running = [
        node.named.node.running_sha256 or node.named.node.binary_sha256
        for node in seen.nodes
        if node.named.node.binary_kind != "lfs-pointer"
    ]
    counts = Counter(sha256 for sha256 in running if sha256)
    if not counts:
        return None
    if len(counts) == 1:
        return ok(f"one version everywhere: {next(iter(counts))[:SHA_CHARS]}")
    shown = ", ".join(f"{sha256[:SHA_CHARS]} on {count}" for sha256, count in counts.most_common(4))
    return ill(f"{len(counts)} versions: {shown}", "cortops nodes   (column BINARY), then bring the fewer to the version of the more")


def _number(seen: Seen) -> Verdict | None:
    if not seen.nodes and any(host.found is not None for host in seen.hosts):
        return unseen("no cortensord node was found there", "cortops discover USER@HOST --sudo")
    if len(seen.nodes) <= NODES_OF_ONE_OPERATOR:
        return None
    return unseen(f"{len(seen.nodes)} nodes; the network is said to allow one operator about {NODES_OF_ONE_OPERATOR}")


def _ipfs(seen: Seen) -> Verdict | None:
    by_user: dict[tuple[str, str], list[NodeSeen]] = {}
    for node in seen.nodes:
        found = node.named.node
        if found.shape != "docker" and found.env.get("ENABLE_IPFS_SERVER", "").lower() in ("1", "true", "yes", "on"):
            by_user.setdefault((node.host.name, found.user), []).append(node)
    for (host, user), nodes in by_user.items():
        if len(nodes) > 1:
            names = " and ".join(node.name for node in nodes[:3])
            return ill(
                f"{names} of {user} on {host} both start an IPFS server on one repository",
                f"{nodes[-1].named.edit}   (ENABLE_IPFS_SERVER=0)",
            )
    return ok("no two nodes of one user start an IPFS server") if by_user else None


# --- the network, asked from here ---


def _of_network(seen: Seen, network: NetworkSeen) -> Iterator[Ailment]:
    heads = tuple(f"head:{number}" for number in range(len(network.urls)))
    for number, url in enumerate(network.urls):
        yield _judged(Group.NETWORK, "chain", Entity("rpc", _host_of(url)), (f"chain-id:{number}", heads[number]), _chain(number, network))
    if len(network.urls) > 1:
        yield _judged(Group.NETWORK, "references", seen.entity, heads, _agree(network))
    for runtime in runtimes_of(seen.nodes, network)[:RUNTIMES_MAX]:
        entity = Entity("contract", "runtime" if runtime == network.runtime.lower() else short(runtime))
        users = [node for node in seen.nodes if node.named.node.env.get("CONTRACT_ADDRESS_RUNTIME", "").lower() == runtime]
        yield _judged(Group.NETWORK, "code", entity, (f"runtime:{runtime}",), _code(runtime, users, network))


def _judged(group: Group, name: str, entity: Entity, asks: tuple[str, ...], judge: Judge) -> Ailment:
    return Ailment(group=group, check=Check(entity=entity, name=name, asks=asks, judge=judge, owner=""))


def _chain(number: int, network: NetworkSeen) -> Judge:
    """The right chain, and does it move? Of a URL only scheme and host are told: the rest may be a key."""
    place, url = _host_of(network.urls[number]), network.urls[number]

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, f"chain-id:{number}")
        if isinstance(answer, Verdict):
            return _silent(replies.get(f"chain-id:{number}"), url)
        found = number_of(answer.text.strip('"'))
        if found is None:
            return unseen("did not tell its chain id", _curl(url))
        if network.chain_id and found != network.chain_id:
            cure = "correct network.rpc or network.references, then: cortops validate"
            return ill(f"is of chain {found}, and {network.name} is {network.chain_id}", cure)
        head = reply_of(replies, f"head:{number}")
        block = {} if isinstance(head, Verdict) else json_of(head)
        height, made_at = number_of(block.get("number")), number_of(block.get("timestamp"))
        if height is None or made_at is None or isinstance(head, Verdict):
            return unseen(f"chain {found}; its newest block could not be read", _curl(url))
        age_s = max(0.0, head.at - made_at)
        if age_s > HEAD_AGE_MAX_S:
            text = f"its newest block {height} is {span(age_s)} old: the chain, or {place}, stands still"
            return ill(text, "cortops nodes   (which names who is behind)")
        return ok(f"chain {found}, block {height}, {age_s:.0f} s old")

    return judge


def _silent(reply: Reply | None, url: str) -> Verdict:
    """A refusal is certain; that nothing came may be our own way to it."""
    if isinstance(reply, NoAnswer) and reply.silence in (Silence.REFUSED, Silence.UNTRUSTED):
        return ill(f"does not answer from here: {reply.silence}", _curl(url), certain=reply.silence is Silence.REFUSED)
    return unseen(f"does not answer from here: {reply.silence if isinstance(reply, NoAnswer) else 'it was not asked'}", _curl(url))


def _agree(network: NetworkSeen) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        ages: dict[str, float] = {}
        for number, url in enumerate(network.urls):
            answer = reply_of(replies, f"head:{number}")
            made_at = None if isinstance(answer, Verdict) else number_of(json_of(answer).get("timestamp"))
            if made_at is not None and not isinstance(answer, Verdict):
                ages[_host_of(url)] = answer.at - made_at
        if len(ages) < 2:
            return unseen("fewer than two RPCs answered, so nobody can say who is behind")
        last, first = max(ages, key=lambda name: ages[name]), min(ages, key=lambda name: ages[name])
        if ages[last] - ages[first] > BEHIND_MAX_S:
            return ill(
                f"{last} is {span(ages[last] - ages[first])} behind {first}", f"use {first} in place of {last}, or ask who runs {last}"
            )
        return ok(f"{len(ages)} RPCs agree on the head")

    return judge


def _code(runtime: str, users: list[NodeSeen], network: NetworkSeen) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, f"runtime:{runtime}")
        if isinstance(answer, Verdict):
            return unseen(f"nobody could see whether there is code at {short(runtime)}")
        used = f" ({', '.join(node.name for node in users[:3])})" if users else ""
        if answer.text.strip('"') not in ("0x", ""):
            return ok(f"{short(runtime)} has code on {network.name}{used}")
        cure = users[0].named.edit if users else "correct network.contracts.runtime, then: cortops validate"
        return ill(f"no code at {short(runtime)} on {network.name}{used}", cure)

    return judge


def _curl(url: str) -> str:
    """Without the rest of the URL, which may hold a key."""
    return f"curl -sS -o /dev/null -w '%{{http_code}}' {urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"


# --- a node's own way to the network ---


Way = tuple[NodeSeen, NetworkSeen | None]


def _rpc(way: Way) -> Verdict | None:
    one, network = way
    log = one.log
    if log is None or one.logs is None:
        return unseen("its RPC was not asked from its host")
    if log.rpc_why:
        return unseen(log.rpc_why)
    probes = [(log.rpc_hosts.get(sha256, "its RPC"), one.logs.probes.get(sha256)) for sha256 in log.rpcs]
    asked = [(place, probe) for place, probe in probes if probe is not None]
    if not asked:
        return unseen("its RPC did not tell anything from its host")
    for place, probe in asked:
        if probe.error:
            return ill(f"{place} does not answer its host: {probe.error}", f"{one.named.edit}   (HOST, or RPC_HOST_0 …)")
    declared = one.named.node.env.get("CHAINID", "")
    for place, probe in asked:
        if probe.chain_id is None:
            continue
        if declared.isdigit() and int(declared) != probe.chain_id:
            return ill(
                f"its env file says CHAINID {declared}, and {place} is of chain {probe.chain_id}", _set(one, "CHAINID", str(probe.chain_id))
            )
        if network is not None and network.chain_id and network.chain_id != probe.chain_id:
            return ill(
                f"{place} is of chain {probe.chain_id}, and {network.name} is {network.chain_id}", f"{one.named.edit}   (HOST, CHAINID)"
            )
    return _fresh(one, asked)


def _fresh(one: NodeSeen, asked: list[tuple[str, RpcProbe]]) -> Verdict:
    for place, probe in asked:
        age_s = None if probe.head_at is None else probe.at - probe.head_at
        if age_s is not None and age_s > HEAD_AGE_MAX_S:
            return ill(f"the newest block of {place} is {span(age_s)} old", f"{one.named.edit}   (HOST, or RPC_HOST_0 …)")
    place, probe = asked[0]
    more = f", and {len(asked) - 1} more" if len(asked) > 1 else "; no second one (ENABLE_MULTIPLE_RPC_HOST)"
    return ok(f"{place} answers its host in {probe.latency_s * 1000:.0f} ms{more}")


def _runtime(way: Way) -> Verdict | None:
    one, network = way
    named = one.named.node.env.get("CONTRACT_ADDRESS_RUNTIME", "")
    if network is None or not network.runtime.startswith("0x") or not named.startswith("0x"):
        return None
    if named.lower() != network.runtime.lower():
        return ill(
            f"names the runtime {short(named)}, and {network.name} has {short(network.runtime)}",
            _set(one, "CONTRACT_ADDRESS_RUNTIME", network.runtime),
        )
    return ok(f"names the runtime of {network.name}")


def _set(one: NodeSeen, key: str, value: str) -> str:
    """The command that sets one public line of its env file, quoted, whichever form it has now."""
    program = f's|^{key}=.*|{key}="{value}"|'
    if one.named.node.shape == "docker":
        return one.host.there(f"docker exec {one.named.node.unit} sed -i '{program}' {one.named.node.env_file}")
    return one.host.there(f"sed -i '{program}' {one.named.node.env_file}")


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or "?"
