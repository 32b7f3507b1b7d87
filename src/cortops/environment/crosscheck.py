"""What no single section can know: names that lead nowhere, ports and wallets used twice, timeouts that cut each other.

Each check is pure, returns findings, and is silent about entries that could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from cortops.environment.crosscheck_agents import agent_sessions_are_served, cards_have_a_name, paid_tools_can_be_paid
from cortops.environment.crosscheck_chain import chain_is_asked_by_what_there_is, fallbacks_are_others
from cortops.environment.crosscheck_fleet import (
    addresses_are_used_once,
    console_stays_on_its_host,
    dialled_hosts_have_an_address,
    installs_are_apart,
    machines_have_one_name,
    modules_are_known,
    monitor_is_here,
    own_programs_are_made_by_root,
    references_are_of_others,
)
from cortops.environment.crosscheck_foreign import data_folders_are_apart, dependencies_lead_upwards
from cortops.environment.crosscheck_gateway import every_host_has_sessions, several_hosts_share_a_store
from cortops.environment.crosscheck_names import certificates_can_be_had, names_have_a_zone, records_do_not_clash, watch_finds_its_files
from cortops.environment.crosscheck_network_tasks import network_tasks_fit
from cortops.environment.crosscheck_orbit import orbit_nodes_have_a_parent
from cortops.environment.crosscheck_owners import services_have_owners
from cortops.environment.crosscheck_payloads import payloads_can_be_reached, private_sessions_are_there, private_sessions_stay_private
from cortops.environment.crosscheck_portal import portal_has_a_gateway, portal_routes_lead_to_it
from cortops.environment.crosscheck_proxy import families_are_answered, family_sessions_are_served, family_timeouts_do_not_cut
from cortops.environment.crosscheck_releases import builds_have_one_name, minimum_has_a_date, releases_are_of_the_right_kind
from cortops.environment.crosscheck_secrets import secret_sources_are_used
from cortops.environment.declared import Declared, PortUse, host_uses, port_uses
from cortops.environment.foreign import ForeignNode, RpcRelayNode
from cortops.environment.model import ChainNode, EngineNode, MinerNode, OracleNode, RouterNode, ValidatorNode, WalletNode
from cortops.environment.orbit_nodes import BatchPosterNode, StakerNode
from cortops.environment.reason import Finding, Path, did_you_mean, list_of, printable
from cortops.protocol.validation import VALIDATOR_V1, VALIDATOR_V3

FINDINGS_MAX = 200  # of one check; a file with more is not read by people
NAME_RULE = "a to z, 0 to 9 and -, at most 31 characters, beginning with a letter or digit"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_HOSTNAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

Check = Callable[[Declared], Iterator[Finding]]


def crosscheck(declared: Declared) -> Iterator[Finding]:
    """Every finding of every check, at most FINDINGS_MAX of each."""
    for check in CHECKS:
        yield from islice(check(declared), FINDINGS_MAX)


def names_follow_the_rule(declared: Declared) -> Iterator[Finding]:
    """Names become folder, unit and route names, so they are short and plain."""
    if declared.name and not _NAME.fullmatch(declared.name):
        yield Finding(("environment",), "is not a name that can be used", f"Use {NAME_RULE}.")
    for section in ("hosts", "releases", "nodes", "pools"):
        for name in sorted(declared.written.get(section, ())):
            if not _NAME.fullmatch(name):
                yield Finding((section, name), "is not a name that can be used", f"Use {NAME_RULE}.")
    for hostname in sorted(declared.written.get("proxy", ())):
        if not _HOSTNAME.fullmatch(hostname):
            yield Finding(
                ("proxy", hostname), "is not a hostname", "Write it in lower case without scheme, port or path, as api.lab.example."
            )


def hosts_exist(declared: Declared) -> Iterator[Finding]:
    """Whatever runs, runs on a declared host."""
    uses = [*host_uses(declared), *((("nodes", name, "host"), node.host) for name, node in declared.installed.items())]
    for path, name in uses:
        yield from _exists(declared, path, "hosts", name, "host")


def releases_exist(declared: Declared) -> Iterator[Finding]:
    """Whatever is started from a release names a declared one."""
    for name, node in declared.nodes.items():
        if isinstance(node, ChainNode | EngineNode | ValidatorNode):
            yield from _exists(declared, ("nodes", name, "release"), "releases", node.release, "release")
        if isinstance(node, ValidatorNode):
            yield from _exists(declared, ("nodes", name, "tokenizer"), "releases", node.tokenizer, "release")
        if isinstance(node, ForeignNode) and node.release is not None:
            yield from _exists(declared, ("nodes", name, "release"), "releases", node.release, "release")
    for name, installed in declared.installed.items():
        if installed.release is not None:
            yield from _exists(declared, ("nodes", name, "release"), "releases", installed.release, "release")


def releases_can_be_used(declared: Declared) -> Iterator[Finding]:
    """A release whose file nobody measured anywhere can start nothing."""
    for name, release in declared.releases.items():
        if not any(artifact and artifact.measured for artifact in (release.every, release.x86_64, release.aarch64)):
            yield Finding(
                ("releases", name),
                "has a measured file for no machine",
                "Give sha256 and size of the file inside the package, for one machine at least.",
            )


def chain_is_one(declared: Declared) -> Iterator[Finding]:
    """The RPC is a chain node or a URL; a chain node means development, and there is one (and one more as its parent)."""
    network = declared.network
    parent = network.parent.rpc.node if network and network.parent and network.parent.rpc else None
    chains = [name for name, node in declared.nodes.items() if isinstance(node, ChainNode) and name != parent]
    for name in chains[1:]:
        where = f"{printable(chains[0])} (line {declared.line('nodes', chains[0])})"
        yield Finding(("nodes", name, "role"), f"is a second development chain beside {where}", "Keep one: a network has one chain.")
    if network is None:
        return
    if network.rpc.node is not None:
        if not isinstance(declared.nodes.get(network.rpc.node), RpcRelayNode):
            yield from _is_node(declared, ("network", "rpc"), network.rpc.node, "chain")
    elif chains:
        what = f"asks another chain than {printable(chains[0])} (line {declared.line('nodes', chains[0])})"
        yield Finding(("network", "rpc"), what, f"Write rpc: {printable(chains[0])}, or remove that node.")
    if chains and not network.development:
        what = f"is false, and {printable(chains[0])} (line {declared.line('nodes', chains[0])}) is a development chain"
        yield Finding(("network", "development"), what, "Write development: true, or remove that node.")
    if network.development and network.rpc.url is not None and not chains and declared.has_all("nodes"):
        yield Finding(
            ("network", "development"), "is true for a chain that is not ours", "Remove it, or add a node of role chain and name it as rpc."
        )


def node_references_lead_to_the_right_role(declared: Declared) -> Iterator[Finding]:
    """Engines, routers, members and miners are named where their role is wanted, and once."""
    for name, node in declared.nodes.items():
        if isinstance(node, MinerNode | ValidatorNode) and node.engine is not None and node.engine.node is not None:
            yield from _is_node(declared, ("nodes", name, "engine"), node.engine.node, "engine")
        if isinstance(node, MinerNode):
            yield from _are_nodes(declared, ("nodes", name, "routers"), node.routers, "router")
    for name, pool in declared.pools.items():
        yield from _are_nodes(declared, ("pools", name, "members"), pool.members, "router")
    for sid, session in (declared.network.sessions if declared.network else {}).items():
        yield from _are_nodes(declared, ("network", "sessions", str(sid), "nodes"), session.nodes, "miner")
        yield from _are_nodes(declared, ("network", "sessions", str(sid), "routers"), session.routers, "router")


def router_sessions_exist(declared: Declared) -> Iterator[Finding]:
    """A router's sessions are declared, serve that model, and name the router."""
    if declared.network is None:
        return
    sessions = declared.network.sessions
    for name, node in declared.nodes.items():
        seen: dict[int, str] = {}
        for model, ids in node.sessions.items() if isinstance(node, RouterNode) else ():
            for index, sid in enumerate(ids):
                path: Path = ("nodes", name, "sessions", model, index)
                session = sessions.get(sid)
                if sid in seen:
                    yield Finding(
                        path,
                        f"names session {sid} twice (also under {printable(seen[sid])})",
                        "A session serves one model: keep one of the two.",
                    )
                elif session is None:
                    if declared.is_unknown("sessions", str(sid)):
                        known = list_of(str(known) for known in sorted(sessions)) or "none"
                        yield Finding(
                            path, f"names session {sid}, which is not declared", f"Add network.sessions.{sid}; declared: {known}."
                        )
                elif session.model != model:
                    line = declared.line("network", "sessions", str(sid))
                    yield Finding(path, f"names session {sid}, which serves {session.model} (line {line})", f"Move it to {session.model}.")
                elif name not in session.routers:
                    line = declared.line("network", "sessions", str(sid))
                    yield Finding(path, f"names session {sid}, which does not name {name} (line {line})", f"Add {name} to its routers.")
                seen.setdefault(sid, model)


def sessions_can_be_served(declared: Declared) -> Iterator[Finding]:
    """Enough miners with the right model, who dial the session's routers, routers who know the session, and an oracle."""
    if declared.network is None:
        return
    for sid, session in declared.network.sessions.items():
        path: Path = ("network", "sessions", str(sid))
        if session.redundancy > len(set(session.nodes)):
            what = f"is {session.redundancy}, with {len(set(session.nodes))} node(s) in the session"
            yield Finding((*path, "redundancy"), what, "Add nodes, or lower it.")
        for index, name in enumerate(session.routers):
            router = declared.nodes.get(name)
            if isinstance(router, RouterNode) and all(sid not in ids for ids in router.sessions.values()):
                what = f"names {name}, which does not serve it (line {declared.line('nodes', name)})"
                yield Finding((*path, "routers", index), what, f"Add {sid} to nodes.{name}.sessions.{session.model}, or drop {name}.")
        for index, name in enumerate(session.nodes):
            miner = declared.nodes.get(name)
            if isinstance(miner, MinerNode):
                yield from _miner_fits(declared, (*path, "nodes", index), miner, name, session.model, session.routers)
    if (
        declared.network.sessions
        and declared.has_all("nodes")
        and not any(isinstance(node, OracleNode) for node in declared.nodes.values())
    ):
        yield Finding(("network", "sessions"), "has sessions and no oracle to assign their tasks", "Add a node of role oracle.")


def sessions_can_be_validated(declared: Declared) -> Iterator[Finding]:
    """Validators compare answers: they need to be there, and at least two answers."""
    if declared.network is None:
        return
    found = {name: node for name, node in declared.nodes.items() if isinstance(node, ValidatorNode) and node.runs != VALIDATOR_V1}
    validators, judged = len(found), any(node.runs == VALIDATOR_V3 for node in found.values())
    for sid, session in declared.network.sessions.items():
        path: Path = ("network", "sessions", str(sid), "validators")
        if session.validators > validators and declared.has_all("nodes"):
            yield Finding(
                path, f"is {session.validators}, with {validators} node(s) of role validator", "Add nodes of role validator, or lower it."
            )
        if session.validators and session.redundancy == 1 and not judged:
            yield Finding(
                path,
                f"is {session.validators}, with one answer to each task",
                "Set redundancy to 2 or more: one answer has none to compare with.",
            )
        for name, node in found.items() if session.validators else ():
            wanted = (node.validation.replicas if node.validation else None) or 1
            if 2 * session.redundancy <= wanted:
                what = f"is {wanted}, and session {sid} has {session.redundancy} answer(s) to each task: never more than half"
                yield Finding(("nodes", name, "validation", "replicas"), what, f"Lower it, or raise network.sessions.{sid}.redundancy.")


def _miner_fits(declared: Declared, path: Path, miner: MinerNode, name: str, model: str, routers: Iterable[str]) -> Iterator[Finding]:
    engine = declared.nodes.get(miner.engine.node or "")
    served = engine.model if isinstance(engine, EngineNode) else miner.engine.model
    if served is not None and served != model:
        what = f"names {name}, whose engine runs {served} (line {declared.line('nodes', name, 'engine')})"
        yield Finding(path, what, f"Give it an engine with {model}, or drop it.")
    for router in routers if all(dialled in declared.nodes for dialled in miner.routers) else ():
        if router not in miner.routers and isinstance(declared.nodes.get(router), RouterNode):
            what = f"names {name}, which does not dial {router} (line {declared.line('nodes', name, 'routers')})"
            yield Finding(path, what, f"Add {router} to nodes.{name}.routers: answers would never reach it.")


def models_have_pools(declared: Declared) -> Iterator[Finding]:
    """Each model's pool exists, and each of its members has a session for the model."""
    for model, target in declared.gateway.models.items() if declared.gateway else ():
        yield from _exists(declared, ("gateway", "models", model, "pool"), "pools", target.pool, "pool")
        pool = declared.pools.get(target.pool)
        for index, member in enumerate(pool.members if pool else ()):
            router = declared.nodes.get(member)
            if isinstance(router, RouterNode) and not router.sessions.get(model):
                what = f"member {member} has no session for {model}"
                yield Finding(
                    ("pools", target.pool, "members", index), what, f"Add nodes.{member}.sessions.{model}, or drop {member} from members."
                )


def ports_are_free(declared: Declared) -> Iterator[Finding]:
    """One port, one listener; hostnames of one nginx share theirs."""
    taken: dict[tuple[str, int], PortUse] = {}
    for use in port_uses(declared):
        first = taken.setdefault((use.host, use.port), use)
        if first is not use and not (first.shared and use.shared):
            where = f"{_short(first.path)} (line {declared.places.find(first.path)[0]})"
            yield Finding(use.path, f"{use.port} on {printable(use.host)} is also the port of {where}", "Give one of the two another port.")


def wallets_are_used_once(declared: Declared) -> Iterator[Finding]:
    """One key on one node: two senders with one nonce counter block each other, and one key on two hosts is slashed or lost."""
    owners: dict[str, tuple[str, int]] = {}
    if declared.network is not None:
        owners[declared.network.deployer.secret] = ("the deployer", declared.line("network", "deployer"))
    for name, node in declared.nodes.items():
        if isinstance(node, WalletNode | BatchPosterNode | StakerNode):
            first, line = owners.setdefault(node.wallet.secret, (name, declared.line("nodes", name, "wallet")))
            if first != name:
                what = f"is also the wallet of {first} (line {line})"
                yield Finding(("nodes", name, "wallet"), what, f"One key on one host: give {name} its own, or remove it.")


def timeouts_do_not_cut(declared: Declared) -> Iterator[Finding]:
    """Each box waits at least as long as the one behind it: router <= gateway <= proxy."""
    if declared.gateway is None:
        return
    limit = declared.gateway.request_timeout_s
    for hostname, route in declared.proxy.items():
        if route.to == "gateway" and route.read_timeout_s < limit:
            what = f"{route.read_timeout_s} is below the gateway's request limit of {limit}"
            yield Finding(("proxy", hostname, "read_timeout_s"), what, f"Long answers would be cut: set at least {limit}.")
    for name, node in declared.nodes.items():
        if isinstance(node, RouterNode) and node.request_timeout_s > limit:
            line = declared.line("nodes", name, "request_timeout_s")
            what = f"is {limit}, below the {node.request_timeout_s} of router {name} (line {line})"
            yield Finding(("gateway", "request_timeout_s"), what, f"Long answers would be cut: set at least {node.request_timeout_s}.")
            return


def proxy_leads_somewhere(declared: Declared) -> Iterator[Finding]:
    """What a public hostname leads to is declared, and ours."""
    for hostname, route in declared.proxy.items():
        path: Path = ("proxy", hostname, "to")
        if route.to == "gateway" and declared.gateway is None and "gateway" not in declared.incomplete:
            yield Finding(path, "names gateway, which is not declared", "Add the section gateway.")
        if route.to == "console" and declared.monitor is None and "monitor" not in declared.incomplete:
            yield Finding(path, "names console, and nothing here shows one", "Add the section monitor.")
        if route.to == "rpc" and declared.network is not None and declared.network.rpc.node is None:
            yield Finding(path, "names rpc, which is a url of others", "Drop this hostname: that address is not ours to serve.")
        if route.pool is not None:
            yield from _exists(declared, path, "pools", route.pool, "pool")


def _exists(declared: Declared, path: Path, section: str, name: str, noun: str) -> Iterator[Finding]:
    if declared.is_unknown(section, name):
        known = sorted(declared.written.get(section, ()))
        otherwise = f"Declared {section}: {list_of(known)}." if known else f"Add {section}.{printable(name)}."
        yield Finding(path, f"names {noun} {printable(name)}, which is not declared", did_you_mean(name, known, otherwise=otherwise))


def _is_node(declared: Declared, path: Path, name: str, role: str) -> Iterator[Finding]:
    node = declared.nodes.get(name)
    if node is not None and node.role == role:
        return
    known = [other for other, candidate in declared.nodes.items() if candidate.role == role]
    otherwise = f"Name a node of role {role}: {list_of(known, limit=5)}." if known else f"Name a node of role {role}, or add one."
    if name in declared.installed:
        what = f"names {printable(name)}, which runs cortensord (line {declared.line('nodes', name)}) and not our program"
        yield Finding(path, what, otherwise)
    elif node is not None:
        yield Finding(path, f"names {printable(name)}, of role {node.role} (line {declared.line('nodes', name)})", otherwise)
    elif declared.is_unknown("nodes", name):
        yield Finding(path, f"names {role} {printable(name)}, which is not declared", did_you_mean(name, known, otherwise=otherwise))


def _are_nodes(declared: Declared, path: Path, names: tuple[str, ...], role: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Finding((*path, index), f"names {printable(name)} twice", "Keep one of the two.")
        else:
            yield from _is_node(declared, (*path, index), name, role)
        seen.add(name)


def _short(path: Path) -> str:
    return printable(str(path[1] if len(path) == 3 else path[0]))


CHECKS: tuple[Check, ...] = (
    names_follow_the_rule,
    machines_have_one_name,
    hosts_exist,
    own_programs_are_made_by_root,
    dialled_hosts_have_an_address,
    monitor_is_here,
    console_stays_on_its_host,
    secret_sources_are_used,
    network_tasks_fit,
    releases_exist,
    releases_can_be_used,
    releases_are_of_the_right_kind,
    builds_have_one_name,
    minimum_has_a_date,
    chain_is_one,
    orbit_nodes_have_a_parent,
    modules_are_known,
    references_are_of_others,
    fallbacks_are_others,
    chain_is_asked_by_what_there_is,
    node_references_lead_to_the_right_role,
    dependencies_lead_upwards,
    data_folders_are_apart,
    router_sessions_exist,
    sessions_can_be_served,
    sessions_can_be_validated,
    models_have_pools,
    ports_are_free,
    wallets_are_used_once,
    addresses_are_used_once,
    installs_are_apart,
    timeouts_do_not_cut,
    proxy_leads_somewhere,
    families_are_answered,
    family_timeouts_do_not_cut,
    family_sessions_are_served,
    agent_sessions_are_served,
    cards_have_a_name,
    paid_tools_can_be_paid,
    names_have_a_zone,
    records_do_not_clash,
    certificates_can_be_had,
    watch_finds_its_files,
    several_hosts_share_a_store,
    every_host_has_sessions,
    portal_has_a_gateway,
    portal_routes_lead_to_it,
    private_sessions_are_there,
    private_sessions_stay_private,
    payloads_can_be_reached,
    services_have_owners,
)
