"""Cognitive and CognitiveLevel: what of them must stand on chain, where they are, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cortops.contracts import create2
from cortops.contracts.abi import encode_call, static_call, word
from cortops.contracts.artifact import NETWORK_TASKS, load
from cortops.contracts.network import ORACLE_ROLE, POOL_ROLE, VALIDATOR_ROLE
from cortops.contracts.network_tasks import COGNITIVE, COGNITIVE_LEVEL
from cortops.environment.declared import Environment
from cortops.environment.graph import node_entity
from cortops.environment.model import OracleNode, ValidatorNode, WalletNode
from cortops.environment.network_tasks import CONTRACTS, PoolOracleNode
from cortops.protocol.validation import VALIDATOR_V1
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url, salt
from cortops.surfaces.site import Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Resource, SecretRef

PLACE = "chain"
ARTIFACT_OF = dict(zip(CONTRACTS, NETWORK_TASKS, strict=True))  # name of the contract's entity -> artifact


def addresses(env: Environment, site: Site) -> Mapping[str, str]:
    """Name of the contract -> its address; none where the network gives no tasks of its own."""
    if env.network.tasks is None:
        return {}
    return {name: create2.address(_init_code(env, site, name), salt(env)) for name in CONTRACTS}


def of_node(env: Environment, site: Site) -> dict[str, Any]:
    """The settings of a node that takes part in them."""
    found = addresses(env, site)
    return {"cognitive": found["cognitive"], "cognitive_level": found["cognitive-level"]} if found else {}


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """Both contracts, linked and with their numbers; then the roles of oracles, of validatorv1 and of pool oracles."""
    where = addresses(env, site)
    yield from _contracts(env, site, where)
    for name, node in env.nodes.items():
        match node:
            case OracleNode() if where:
                yield _role(env, site, name, node, COGNITIVE, where["cognitive"], ORACLE_ROLE)
            case ValidatorNode(runs=runs) if where and runs == VALIDATOR_V1:
                yield _role(env, site, name, node, COGNITIVE_LEVEL, where["cognitive-level"], VALIDATOR_ROLE)
            case PoolOracleNode():
                yield _role(env, site, name, node, "node_pool", contract_addresses(env, site).node_pool, POOL_ROLE)
            case _:
                pass


def _init_code(env: Environment, site: Site, name: str) -> str:
    return load(ARTIFACT_OF[name]).init_code + word(site.public[env.network.deployer.secret])


def _contracts(env: Environment, site: Site, where: Mapping[str, str]) -> Iterator[Resource]:
    tasks = env.network.tasks
    if tasks is None:
        return
    for name in CONTRACTS:
        yield Contract(
            place=PLACE,
            entity=Entity("contract", name),
            because=cite(env, "network", "tasks"),
            needs=(f"{PLACE} funded:deployer",),
            name=name,
            rpc_url=rpc_url(env),
            address=where[name],
            init_code=_init_code(env, site, name),
            salt=salt(env),
            code_hash=load(ARTIFACT_OF[name]).code_hash,
            signer=SecretRef(env.network.deployer.secret),
        )
    cognitive, registry = load(COGNITIVE), contract_addresses(env, site).node_registry
    numbers = (tasks.miners, tasks.cooldown_s, tasks.ping_age_max_s)
    for what, read, expect, write in (
        (
            "cognitive knows NodeRegistry",
            static_call(cognitive, "getNodeRegistryAddress()"),
            word(registry),
            static_call(cognitive, "setNodeRegistryAddress(address)", registry),
        ),
        (
            "cognitive thresholds",
            static_call(cognitive, "getThresholds()"),
            "".join(map(word, numbers)),
            encode_call(cognitive, "setThresholds", *numbers),
        ),
    ):
        yield _state(env, what, Entity("contract", "cognitive"), to=where["cognitive"], read=read, expect=expect, write=write)


def _state(env: Environment, name: str, entity: Entity, *, to: str, read: str, expect: str, write: str) -> ContractState:
    contracts = (*CONTRACTS, "node-pool", "node-registry") if env.network.tasks is not None else ("node-pool",)
    return ContractState(
        place=PLACE,
        entity=entity,
        because=cite(env, "network", "tasks") if env.network.tasks is not None else cite(env, "nodes", entity.name),
        needs=tuple(f"{PLACE} contract:{contract}" for contract in contracts),
        name=name,
        rpc_url=rpc_url(env),
        to=to,
        read=read,
        expect="0x" + expect,
        write=write,
        signer=SecretRef(env.network.deployer.secret),
    )


def _role(env: Environment, site: Site, name: str, node: WalletNode, artifact: str, contract: str, role: str) -> ContractState:
    account = site.public[node.wallet.secret]
    return _state(
        env,
        f"{name} {artifact.rpartition('/')[2].replace('_', '-')} role",
        node_entity(name, node),
        to=contract,
        read=static_call(load(artifact), "hasRole(bytes32,address)", role, account),
        expect=word(True),
        write=static_call(load(artifact), "grantRole(bytes32,address)", role, account),
    )
