"""What private sessions need beside their nodes: the list on chain, and what the env files of routers and miners say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cortops.contracts import create2
from cortops.contracts.abi import word
from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.privacy import list_hash, read_hash, write_list
from cortops.environment.declared import Environment
from cortops.environment.graph import ALLOWLIST
from cortops.environment.model import RouterNode, WalletNode
from cortops.environment.payloads import Payloads
from cortops.environment.private import allowed_miners, private_miners, private_routers, private_sessions
from cortops.protocol.payload_allow import Allowlist
from cortops.surfaces.chain.addresses import rpc_url, salt
from cortops.surfaces.reach import from_host, place
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Resource, SecretRef

CHAIN = "chain"  # the place of resources that stand on chain
CONTRACT = "privacy-setting-data"
FOLDER = "payloads"  # of objects, below the environment's own data

ALLOWLIST_ENTITY = Entity(Payloads.NAME, ALLOWLIST)
Handed = Callable[[str], str]  # a secret's name -> what stands for its value in an env file


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """The objects' folder where it is below our own, and the list on chain where env files do not hold it."""
    payloads = env.payloads
    if payloads is None:
        return
    if payloads.bucket is None and payloads.folder is None:
        for host in dict.fromkeys(env.nodes[name].host for name in private_routers(env)):
            yield site.hosts[host].folder(site.hosts[host].data(FOLDER), cite(env, Payloads.NAME), mode=0o700, keep=True)
    if payloads.allowlist != "contract":
        return
    code, signer = init_code(env, site), SecretRef(env.network.deployer.secret)
    contract = Contract(
        place=CHAIN,
        entity=ALLOWLIST_ENTITY,
        because=cite(env, Payloads.NAME),
        needs=(f"{CHAIN} funded:deployer",),
        name=CONTRACT,
        rpc_url=rpc_url(env),
        address=create2.address(code, salt(env)),
        init_code=code,
        salt=salt(env),
        code_hash=load(PRIVACY).code_hash,
        signer=signer,
    )
    yield contract
    for sid in private_sessions(env):
        addresses = allowed_addresses(env, site, sid)
        yield ContractState(
            place=CHAIN,
            entity=ALLOWLIST_ENTITY,
            because=cite(env, Payloads.NAME, "sessions", str(sid)),
            needs=(contract.key,),
            name=f"session {sid} allows its miners",
            rpc_url=rpc_url(env),
            to=contract.address,
            read=read_hash(sid),
            expect=list_hash(addresses),
            write=write_list(sid, addresses),
            signer=signer,
        )


def init_code(env: Environment, site: Site) -> str:
    """Of the contract, with its administrator, the deployer."""
    return load(PRIVACY).init_code + word(site.public[env.network.deployer.secret])


def contract_address(env: Environment, site: Site) -> str:
    """Where the list is on chain, "" where env files hold it."""
    on_chain = env.payloads is not None and env.payloads.allowlist == "contract"
    return create2.address(init_code(env, site), salt(env)) if on_chain else ""


def allowed_addresses(env: Environment, site: Site, sid: int) -> tuple[str, ...]:
    """Wallets of the miners that may have the session's keys."""
    nodes = [env.nodes[name] for name in allowed_miners(env, sid)]
    return tuple(site.public[node.wallet.secret] for node in nodes if isinstance(node, WalletNode))


def of_router(env: Environment, site: Site, host: HostSite, name: str, handed: Handed) -> dict[str, Any]:
    """Fields of RouterSettings; none for a router that serves no private session."""
    payloads, sessions = env.payloads, private_routers(env).get(name, ())
    if payloads is None or not sessions:
        return {}
    lists: dict[tuple[int, int | None], frozenset[str]] = {
        (sid, None): frozenset(address.lower() for address in allowed_addresses(env, site, sid)) for sid in sessions
    }
    on_chain = payloads.allowlist == "contract"
    return {
        **_storage(env, host, payloads, handed),
        "private_sessions": sessions,
        "seed": handed(payloads.seeds[payloads.version].secret),
        "seed_version": payloads.version,
        "older_seeds": tuple(
            (version, handed(seed.secret)) for version, seed in sorted(payloads.seeds.items()) if version != payloads.version
        ),
        "key_per": payloads.key_per,
        "allow_by_contract": on_chain,
        "allowed_list": "" if on_chain else str(Allowlist(entries=lists)),
        "privacy_contract": contract_address(env, site),
        "payload_keep_days": payloads.keep_days,
    }


def of_miner(env: Environment, host: HostSite, name: str, handed: Handed) -> dict[str, Any]:
    """Fields of MinerSettings; none for a miner of no private session."""
    payloads, routers = env.payloads, private_miners(env).get(name, ())
    if payloads is None or not routers:
        return {}
    return {**_storage(env, host, payloads, handed), "payload_routers": tuple(_rest(env, router, host.name) for router in routers)}


def _storage(env: Environment, host: HostSite, payloads: Payloads, handed: Handed) -> dict[str, Any]:
    found: dict[str, Any] = {"payload_environment": env.name, "payload_object_max_mib": payloads.object_max_mib}
    bucket = payloads.bucket
    if bucket is None:
        return {**found, "payload_storage": payloads.folder or host.data(FOLDER)}
    return {
        **found,
        "payload_storage": f"s3://{bucket.name}" + (f"/{bucket.prefix}" if bucket.prefix else ""),
        "payload_endpoint": bucket.endpoint or "",
        "payload_region": bucket.region,
        "payload_key_id": handed(bucket.key_id.secret),
        "storage_secret": handed(bucket.secret_key.secret),
        "storage_token": handed(bucket.token.secret) if bucket.token is not None else "",
    }


def _rest(env: Environment, router: str, seen_from: str) -> str:
    node = env.nodes[router]
    assert isinstance(node, RouterNode)
    return f"http://{place(from_host(env, node.host, seen_from), node.port)}"
