"""The dependency graph that follows from an environment: what there is, and what each depends on. No circles by construction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.chain_parts import FALLBACK, OWN, PARENT, RUN_BY, STANDS_ON, has, parent_modules
from cortops.environment.declared import Environment
from cortops.environment.dns import zone_of
from cortops.environment.foreign import FOREIGN_ROLES
from cortops.environment.model import (
    ChainNode,
    Engine,
    EngineNode,
    MinerNode,
    Monitor,
    Node,
    OracleNode,
    RouterNode,
    ValidatorNode,
    WalletNode,
)
from cortops.environment.network_tasks import CONTRACTS as TASK_CONTRACTS
from cortops.environment.network_tasks import PoolOracleNode
from cortops.environment.orbit_nodes import ORBIT_ROLES, OrbitNode
from cortops.environment.payloads import Payloads
from cortops.environment.portal import Portal
from cortops.environment.private import private_routers
from cortops.environment.reason import Path, Position
from cortops.environment.traffic import Route
from cortops.protocol.validation import VALIDATOR_V1
from cortops.words.entity import Entity

# From what stands on nothing to what clients see; every edge leads from a later kind to an earlier one, or within a kind upwards in the
# file (`depends_on`).
KINDS = (
    "host",
    "database",
    "object-store",
    "ipfs",
    "rpc",
    "rpc-relay",
    "sequencer",
    "batch-poster",
    "staker",
    "contract",
    "chain",
    "wallet",
    "engine",
    "miner",
    "oracle",
    "validator",
    "pool-oracle",
    "quality-oracle",
    "session",
    "router",
    "payloads",
    "pool",
    "gateway",
    "portal",
    "monitor",
    "dns",
    "proxy",
)

EXTERNAL_RPC = "rpc"  # the name of an RPC that is only a URL
ALLOWLIST = "allowlist"  # `payloads/allowlist`
DEPLOYER = "deployer"  # `wallet/deployer`
_ROLE_KINDS: Mapping[type[Node], str] = {
    ChainNode: "rpc",
    EngineNode: "engine",
    RouterNode: "router",
    MinerNode: "miner",
    OracleNode: "oracle",
    ValidatorNode: "validator",
    PoolOracleNode: "pool-oracle",
    **{model: role for role, model in (*ORBIT_ROLES.items(), *FOREIGN_ROLES.items())},
}


def entities(env: Environment) -> tuple[Entity, ...]:
    """Everything that can be well or ill, ordered by kind (see KINDS), then as in the file."""
    return tuple(sorted(_declared(env), key=lambda entity: KINDS.index(entity.kind)))


def depends_on(env: Environment) -> Mapping[Entity, tuple[Entity, ...]]:
    """Entity -> what it directly needs in order to be well; every entity is a key, and every value is one of `entities`."""
    edges = dict.fromkeys(entities(env), ())  # type: dict[Entity, tuple[Entity, ...]]
    for entity in edges:
        edges[entity] = tuple(dict.fromkeys(_needs(env, entity)))
    return edges


def declared_at(env: Environment, entity: Entity) -> Position:
    """Where an entity is declared; of one that is only a URL, where the URL stands."""
    return env.position(_path(env, entity))


def node_entity(name: str, node: Node) -> Entity:
    """`miner/m1`; a node of role chain is the entity `rpc/NAME`."""
    return Entity(_ROLE_KINDS[type(node)], name)


def rpc_entity(env: Environment) -> Entity:
    """The chain's RPC: its node or relay, or `rpc/rpc` where it is only a URL."""
    name = env.network.rpc.node
    return node_entity(name, env.nodes[name]) if name is not None else Entity("rpc", EXTERNAL_RPC)


def parent_entity(env: Environment) -> Entity:
    """The RPC of the parent: its node, or `rpc/parent` where it is only a URL or not declared."""
    parent = env.network.parent
    name = parent.rpc.node if parent is not None and parent.rpc is not None else None
    return node_entity(name, env.nodes[name]) if name is not None and name in env.nodes else Entity("rpc", PARENT)


def _of_chain(env: Environment) -> Iterator[Entity]:
    """RPCs that are only URLs, parts of the chain, the parent's contracts, and wallets: none where nothing of it is declared."""
    yield from (Entity("rpc", f"{FALLBACK}{at}") for at, _ in enumerate(env.network.fallbacks, 1))
    if has(env.network, "parent") and (parent := parent_entity(env)).name == PARENT:
        yield parent
    yield from (Entity("contract", name) for name in parent_modules(env.network))
    yield from (Entity("chain", part) for part in OWN if has(env.network, part))
    yield from (Entity("wallet", name) for name in wallet_names(env))


def wallet_names(env: Environment) -> tuple[str, ...]:
    """Whose gas is looked at: the deployer and every node of ours with a wallet; nobody's where gas costs nothing."""
    if not has(env.network, "wallets") or not env.takes_part:
        return ()
    return (DEPLOYER, *(name for name, node in env.nodes.items() if isinstance(node, WalletNode)))


def _chain_needs(env: Environment, entity: Entity) -> Iterator[Entity]:
    if entity.kind == "wallet":
        yield rpc_entity(env)
        return
    there = parent_modules(env.network)
    role = RUN_BY.get(entity.name, "")
    yield from (node_entity(name, node) for name, node in env.nodes.items() if node.role == role)
    yield from (Entity("contract", name) for name in STANDS_ON.get(entity.name, ()) if name in there)
    if entity.name in ("arbos", "fees", "retryables", "owners"):
        yield rpc_entity(env)


def engines_of(env: Environment) -> Iterator[tuple[str, Engine]]:
    """Every node that asks an engine, and which."""
    for name, node in env.nodes.items():
        if isinstance(node, MinerNode | ValidatorNode) and node.engine is not None:
            yield name, node.engine


def engine_entity(engine: Engine) -> Entity:
    """The engine of a miner; one that is only a URL is named by its host and port."""
    return Entity("engine", engine.node or (engine.url or "").split("//", 1)[-1].split("/", 1)[0])


def own_contracts(env: Environment) -> tuple[str, ...]:
    """Contracts of the chain itself, as its entities name them."""
    return (*env.network.contracts.places(), *(TASK_CONTRACTS if env.network.tasks is not None else ()))


def gateway_entities(env: Environment) -> tuple[Entity, ...]:
    """One for each process of the gateway, in order."""
    return tuple(Entity("gateway", name) for name in env.gateway.ports()) if env.gateway else ()


def payload_entities(env: Environment) -> tuple[Entity, ...]:
    """The list of who may have keys, where it is on chain, and the payloads of each router of a private session."""
    on_chain = (ALLOWLIST,) if env.payloads is not None and env.payloads.allowlist == "contract" else ()
    return tuple(Entity(Payloads.NAME, name) for name in (*on_chain, *private_routers(env)))


def _payload_needs(env: Environment, entity: Entity) -> Iterator[Entity]:
    if entity.name == ALLOWLIST:
        yield rpc_entity(env)
    else:
        yield Entity("router", entity.name)
        yield from (other for other in payload_entities(env) if other.name == ALLOWLIST)


def installed_entities(env: Environment) -> frozenset[Entity]:
    """What is not ours to make and only looked at: nodes that run cortensord, hosts that run nothing of ours, and the DNS servers of
    others that lead a name to a host by SSH or answer from a zone that we keep.
    """
    nodes = {Entity(node.role, name) for name, node in env.installed.items()}
    names = {Entity("dns", hostname) for hostname, route in env.proxy.items() if is_asked_of_others(env, hostname, route)}
    return frozenset(nodes | names | {Entity("host", name) for name in env.hosts if name not in env.own_hosts})


def is_asked_of_others(env: Environment, hostname: str, route: Route) -> bool:
    """Whether servers of others tell where a name leads: an apply cannot make them answer."""
    return not env.hosts[route.on].local or (env.dns is not None and bool(zone_of(env.dns, hostname)))


def _declared(env: Environment) -> Iterator[Entity]:
    yield from (Entity("host", name) for name in env.hosts)
    if env.network.rpc.node is None:
        yield rpc_entity(env)
    yield from (Entity("contract", name) for name in own_contracts(env))
    yield from _of_chain(env)
    yield from dict.fromkeys(engine_entity(engine) for _, engine in engines_of(env) if engine.node is None)
    yield from (node_entity(name, node) for name, node in env.nodes.items())
    yield from (Entity(node.role, name) for name, node in env.installed.items())
    yield from (Entity("session", str(sid)) for sid in env.network.sessions)
    yield from payload_entities(env)
    yield from (Entity("pool", name) for name in env.pools)
    yield from gateway_entities(env)
    if env.portal is not None:
        yield Entity("portal", Portal.NAME)
    if env.monitor is not None:
        yield Entity("monitor", Monitor.NAME)
    yield from (Entity("dns", hostname) for hostname in env.proxy)
    yield from (Entity("proxy", hostname) for hostname in env.proxy)


def _needs(env: Environment, entity: Entity) -> Iterator[Entity]:
    if entity.kind == "contract":
        yield rpc_entity(env) if entity.name in own_contracts(env) else parent_entity(env)
    elif entity.kind in ("chain", "wallet"):
        yield from _chain_needs(env, entity)
    elif entity.kind == "session":
        yield from _session_needs(env, int(entity.name))
    elif entity.kind == Payloads.NAME:
        yield from _payload_needs(env, entity)
    elif entity.kind == "pool":
        yield from (Entity("router", member) for member in env.pools[entity.name].members)
    elif entity.kind == "gateway" and env.gateway is not None:
        yield from (Entity("pool", target.pool) for target in env.gateway.models.values())
        yield from (Entity("host", each.host) for each in env.gateway.instances() if each.name == entity.name)
    elif entity.kind == "portal" and env.portal is not None:
        yield Entity("host", env.portal.on)
    elif entity.kind == "monitor" and env.monitor is not None:
        yield Entity("host", env.monitor.on)
    elif entity.kind == "dns":
        yield Entity("host", env.proxy[entity.name].on)
    elif entity.kind == "proxy":
        yield from _proxy_needs(env, entity.name)
    elif entity.name in env.nodes and entity.kind == _ROLE_KINDS[type(env.nodes[entity.name])]:
        yield from _node_needs(env, env.nodes[entity.name])
    elif entity.name in env.installed and entity.kind == env.installed[entity.name].role:
        yield from (Entity("contract", name) for name in env.network.contracts.places())
        yield rpc_entity(env)
        yield Entity("host", env.installed[entity.name].host)


def _session_needs(env: Environment, sid: int) -> Iterator[Entity]:
    """Its miners answer, an oracle assigns and ends its tasks, the contracts record them."""
    yield from (Entity("miner", name) for name in env.network.sessions[sid].nodes)
    yield from (Entity("oracle", name) for name, _ in env.nodes_of(OracleNode))
    if env.network.sessions[sid].validators:
        yield from (Entity("validator", name) for name, node in env.nodes_of(ValidatorNode) if node.runs != VALIDATOR_V1)
    yield from (Entity("contract", name) for name in env.network.contracts.places())


def _proxy_needs(env: Environment, hostname: str) -> Iterator[Entity]:
    """Its name, what it leads to, and the host of its nginx."""
    route = env.proxy[hostname]
    yield Entity("dns", hostname)
    if Portal.NAME in (route.to, *route.families):
        yield Entity("portal", Portal.NAME)
    if route.to == "gateway":
        yield from gateway_entities(env)
    elif route.to == "console":
        yield Entity("monitor", Monitor.NAME)
    elif route.to == "rpc":
        yield rpc_entity(env)
    elif route.pool is not None:
        yield Entity("pool", route.pool)
    yield Entity("host", route.on)


def _node_needs(env: Environment, node: Node) -> Iterator[Entity]:
    yield from (node_entity(name, env.nodes[name]) for name in node.depends_on)
    if isinstance(node, MinerNode | ValidatorNode) and node.engine is not None:
        yield engine_entity(node.engine)
    if isinstance(node, RouterNode):
        yield from (Entity("session", str(sid)) for ids in node.sessions.values() for sid in ids)
    if isinstance(node, WalletNode):
        yield from (Entity("contract", name) for name in env.network.contracts.places())
        yield rpc_entity(env)
    if isinstance(node, OrbitNode):
        yield parent_entity(env)
        yield rpc_entity(env)
    yield Entity("host", node.host)


def _path(env: Environment, entity: Entity) -> Path:
    if entity.name in env.nodes and entity.kind == _ROLE_KINDS[type(env.nodes[entity.name])]:
        return ("nodes", entity.name)
    if entity.name in env.installed and entity.kind == env.installed[entity.name].role:
        return ("nodes", entity.name)
    if entity.kind == "engine":
        users = [name for name, engine in engines_of(env) if engine_entity(engine) == entity]
        return ("nodes", users[0], "engine") if users else ("nodes",)
    sections: Mapping[str, Path] = {
        "host": ("hosts",),
        "contract": ("network", "contracts"),
        "session": ("network", "sessions"),
        "pool": ("pools",),
        "proxy": ("proxy",),
        "dns": ("proxy",),
    }
    if entity.kind == "contract" and entity.name not in env.network.contracts.places():
        return ("network", "parent", "contracts", entity.name)
    if entity.kind in ("chain", "wallet") or (entity.kind == "rpc" and entity.name.startswith((FALLBACK, PARENT))):
        return _chain_path(entity)
    if entity.kind in sections:
        return (*sections[entity.kind], entity.name)
    return ("network", "rpc") if entity.kind == "rpc" else (entity.kind,)


def _chain_path(entity: Entity) -> Path:
    keys = {"feed": "sequencer", "delayed-inbox": "bridge", "retryables": "bridge", "arbos": "parent", "owners": "parent", "fees": "limits"}
    if entity.kind == "wallet":
        return ("network", "deployer") if entity.name == DEPLOYER else ("nodes", entity.name, "wallet")
    if entity.kind == "rpc":
        return ("network", "parent", "rpc") if entity.name == PARENT else ("network", "fallbacks")
    return ("network", keys.get(entity.name, entity.name.replace("-", "_")))


def may_depend_on(env_nodes: Mapping[str, Node], name: str, other: str) -> bool:
    """Whether `depends_on` of node `name` may name `other`: one of an earlier kind, or of its own that stands above it in the file."""
    mine, its = (KINDS.index(_ROLE_KINDS[type(env_nodes[one])]) for one in (name, other))
    order = list(env_nodes)
    return its < mine or (its == mine and order.index(other) < order.index(name))
