"""What must stand on chain: contracts, their links and roles, funded and registered wallets, sessions."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.contracts import create2
from cortops.contracts.abi import encode_call, static_call, word
from cortops.contracts.artifact import load
from cortops.contracts.calls import LINKS, MODULES
from cortops.contracts.network import ORACLE_ROLE, VALIDATOR_ROLE, Addresses
from cortops.environment.declared import Environment
from cortops.environment.graph import node_entity
from cortops.environment.model import DEPLOY, OracleNode, Session, ValidatorNode, WalletNode
from cortops.protocol.validation import VALIDATOR_V1
from cortops.surfaces.chain import network_tasks
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses, init_code, rpc_url, salt
from cortops.surfaces.chain.orbit_render import bridged
from cortops.surfaces.site import Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Funded, Resource, SecretRef

PLACE = "chain"
WALLET_MIN_WEI = 10**17
SESSION_DEDICATED = 1  # facts C.2: 0 is ephemeral; numbers above are ours
SESSION_RESERVE_S, SESSION_TASKS_MAX = 300, 5  # facts C.2, values seen
_MODULE_OF = {artifact: module for module, artifact in MODULES.items()}


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """Everything on chain, each with what it needs; the chain's own service comes first where it is ours. Nothing where we only look."""
    if not env.takes_part:
        return
    addresses = contract_addresses(env, site)
    chain_needs = _chain_service(env)
    deployer = env.network.deployer.secret
    yield _funded(env, site, "deployer", deployer, "network", chain_needs)
    yield from _contracts(env, site, chain_needs)
    yield from _links(env, addresses)
    for name, node in env.nodes.items():
        if isinstance(node, WalletNode):
            yield _funded(env, site, name, node.wallet.secret, cite(env, "nodes", name), chain_needs)
            yield _registered(env, site, addresses, name, node)
        if isinstance(node, OracleNode):
            yield _role(env, site, name, node, "session_queue", addresses.session_queue, ORACLE_ROLE)
        if isinstance(node, ValidatorNode) and node.runs != VALIDATOR_V1:
            yield _role(env, site, name, node, "session_queue_validation", addresses.session_queue_validation, VALIDATOR_ROLE)
    yield from network_tasks.render(env, site)
    previous: tuple[str, ...] = ()
    for sid in sorted(env.network.sessions):
        session = list(_session(env, site, addresses, sid, env.network.sessions[sid], previous))
        previous = (session[0].key,)
        yield from session


def _chain_service(env: Environment) -> tuple[str, ...]:
    node = env.network.rpc.node
    return () if node is None else (f"{env.nodes[node].host} service:{node}",)


def _funded(env: Environment, site: Site, name: str, secret: str, because: str, needs: tuple[str, ...]) -> Funded:
    return Funded(
        place=PLACE,
        entity=Entity("wallet", name),
        because=because,
        needs=(*needs, *bridged(env, name)),
        name=name,
        rpc_url=rpc_url(env),
        address=site.public[secret],
        at_least_wei=WALLET_MIN_WEI,
        bridged=bool(bridged(env, name)),
    )


def _contracts(env: Environment, site: Site, needs: tuple[str, ...]) -> Iterator[Contract]:
    for name, place in env.network.contracts.places().items():
        if place != DEPLOY:
            continue
        code = init_code(env, site, name)
        yield Contract(
            place=PLACE,
            entity=Entity("contract", name),
            because=cite(env, "network", "contracts", name),
            needs=(*needs, f"{PLACE} funded:deployer"),
            name=name,
            rpc_url=rpc_url(env),
            address=create2.address(code, salt(env)),
            init_code=code,
            salt=salt(env),
            code_hash=load(ARTIFACTS[name]).code_hash,
            signer=SecretRef(env.network.deployer.secret),
        )


def _state(
    env: Environment,
    name: str,
    entity: Entity,
    because: str,
    *,
    to: str,
    read: str,
    expect: str,
    write: str,
    signer: str,
    needs: tuple[str, ...],
) -> ContractState:
    return ContractState(
        place=PLACE,
        entity=entity,
        because=because,
        needs=(*_deployed(env), *needs),
        name=name,
        rpc_url=rpc_url(env),
        to=to,
        read=read,
        expect="0x" + expect,
        write=write,
        signer=SecretRef(signer),
    )


def _deployed(env: Environment) -> tuple[str, ...]:
    return tuple(f"{PLACE} contract:{name}" for name, place in env.network.contracts.places().items() if place == DEPLOY)


def discovery_needs(env: Environment) -> tuple[str, ...]:
    """Keys of what must be there before a program can find the contracts: every link of the runtime that is ours to make."""
    if env.network.contracts.runtime != DEPLOY:
        return ()
    return tuple(_state_key("runtime", module) for module in LINKS["runtime"])


def _state_key(holder: str, module: str) -> str:
    return f"{PLACE} contract-state:{_link_name(holder, module)}"


def _link_name(holder: str, module: str) -> str:
    return f"{holder.replace('_', '-')} knows {module}"


def _links(env: Environment, addresses: Addresses) -> Iterator[ContractState]:
    """Each contract knows the others that it calls, and the runtime knows all; only those that we deployed are ours to link."""
    places = env.network.contracts.places()
    for holder, modules in LINKS.items():
        name, artifact = holder.replace("_", "-"), load(holder)
        if places[name] != DEPLOY:
            continue
        for module in modules:
            # Who counts must be known to the counter first: it would be refused, and with it the task's step.
            first = _state_key("node_stats", _MODULE_OF[holder]) if module == "NodeStats" and holder != "runtime" else ""
            target = getattr(addresses, MODULES[module])
            yield _state(
                env,
                _link_name(holder, module),
                Entity("contract", name),
                cite(env, "network", "contracts", name),
                to=getattr(addresses, holder),
                read=static_call(artifact, f"get{module}Address()"),
                expect=word(target),
                write=static_call(artifact, f"set{module}Address(address)", target),
                signer=env.network.deployer.secret,
                needs=(first,) if first else (),
            )


def _role(
    env: Environment, site: Site, name: str, node: OracleNode | ValidatorNode, artifact: str, contract: str, role: str
) -> ContractState:
    account = site.public[node.wallet.secret]
    return _state(
        env,
        f"{name} {node.role} role",
        node_entity(name, node),
        cite(env, "nodes", name),
        to=contract,
        read=static_call(load(artifact), "hasRole(bytes32,address)", role, account),
        expect=word(True),
        write=static_call(load(artifact), "grantRole(bytes32,address)", role, account),
        signer=env.network.deployer.secret,
        needs=(),
    )


def _registered(env: Environment, site: Site, addresses: Addresses, name: str, node: WalletNode) -> ContractState:
    registry, account = load("node_registry"), site.public[node.wallet.secret]
    return _state(
        env,
        f"{name} registered",
        node_entity(name, node),
        cite(env, "nodes", name),
        to=addresses.node_registry,
        read=static_call(registry, "isNodeRegistered(address)", account),
        expect=word(True),
        write=encode_call(registry, "register", f"{node.role}:{name}"),
        signer=node.wallet.secret,
        needs=(f"{PLACE} funded:{name}",),
    )


def _session(
    env: Environment, site: Site, addresses: Addresses, sid: int, session: Session, previous: tuple[str, ...]
) -> Iterator[ContractState]:
    """The session, then who serves it. Ids are given out in order, so a session waits for the one before it."""
    artifact, deployer = load("session"), env.network.deployer.secret
    entity, because = Entity("session", str(sid)), cite(env, "network", "sessions", str(sid))
    created = _state(
        env,
        f"session {sid}",
        entity,
        because,
        to=addresses.session,
        read=static_call(artifact, "isSessionActive(uint256)", sid),
        expect=word(True),
        write=encode_call(
            artifact,
            "create",
            session.name,
            session.model,
            site.public[deployer],
            1,
            max(len(session.nodes), 1),
            session.redundancy,
            session.validators,
            SESSION_DEDICATED,
            False,
            0,
            0,
            SESSION_RESERVE_S,
            SESSION_TASKS_MAX,
        ),
        signer=deployer,
        needs=(*previous, *(f"{PLACE} contract-state:{name}" for name in ("session knows SessionQueue", "session-queue knows Session"))),
    )
    yield created
    for names, view, call, extra in (
        (session.nodes, "isDedicatedNode(uint256,address)", "addDedicatedNode", ()),
        (session.routers, "isSessionRouter(uint256,address)", "addRouter", ("",)),
    ):
        for name in names:
            node = env.nodes[name]
            assert isinstance(node, WalletNode)
            account = site.public[node.wallet.secret]
            yield _state(
                env,
                f"session {sid} has {name}",
                entity,
                because,
                to=addresses.session,
                read=static_call(artifact, view, sid, account),
                expect=word(True),
                write=encode_call(artifact, call, sid, account, *extra),
                signer=deployer,
                needs=(created.key, f"{PLACE} contract-state:{name} registered"),
            )
