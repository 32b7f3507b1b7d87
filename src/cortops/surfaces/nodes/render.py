"""The nodes' programs: chain, engine, router, miner, oracle, validator; each an env file and a service. Those of others: see foreign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cortops.environment.declared import Environment
from cortops.environment.graph import node_entity
from cortops.environment.model import ChainNode, Engine, EngineNode, MinerNode, Node, OracleNode, RouterNode, ValidatorNode, WalletNode
from cortops.environment.network_tasks import PoolOracleNode
from cortops.environment.orbit_nodes import BatchPosterNode, OrbitNode, SequencerNode, StakerNode
from cortops.protocol.envfile import render as env_text
from cortops.protocol.settings import (
    DevchainSettings,
    EngineSettings,
    MinerSettings,
    OracleSettings,
    PoolOracleSettings,
    RouterSettings,
    ValidatorSettings,
)
from cortops.protocol.validation import Policy
from cortops.surfaces.chain import network_tasks
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url_on
from cortops.surfaces.chain.render import PLACE, discovery_needs
from cortops.surfaces.fleet.render import release_blob
from cortops.surfaces.nodes import foreign, orbit
from cortops.surfaces.nodes.agents import for_agents
from cortops.surfaces.nodes.families import router_families
from cortops.surfaces.payloads import render as payloads
from cortops.surfaces.reach import from_host, listens_on, place
from cortops.surfaces.services.render import own_program, service
from cortops.surfaces.site import HostSite, Site, cite, data_folder
from cortops.words.resource import Blob, Content, Directory, File, Resource, SecretRef

_SECRET_MARK = "\x00{}\x00"  # stands for a secret while the text is made; split into Content afterwards
_FILE_MARK = "\x01"  # before the path of a file on the host that holds the value


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """Every node's resources."""
    for name, node in env.nodes.items():
        host = site.hosts[node.host]
        match node:
            case ChainNode():
                yield from _chain(env, site, host, name, node)
            case EngineNode():
                yield from _engine(env, host, name, node)
            case RouterNode():
                yield from _router(env, site, host, name, node)
            case MinerNode():
                yield from _miner(env, site, host, name, node)
            case OracleNode():
                yield from _oracle(env, site, host, name, node)
            case ValidatorNode():
                yield from _validator(env, site, host, name, node)
            case PoolOracleNode():
                yield from _pool_oracle(env, site, host, name, node)
            case SequencerNode() | BatchPosterNode() | StakerNode():
                yield from _orbit(env, site, host, name, node)
            case _:
                yield from foreign.render(env, host, name, node)


def _chain(env: Environment, site: Site, host: HostSite, name: str, node: ChainNode) -> Iterator[Resource]:
    blob = release_blob(env, host, node.release)
    data = host.folder(host.data(name), cite(env, "nodes", name), keep=True)
    settings = DevchainSettings(
        anvil_path=blob.path,
        data_path=data.path,
        chain_id=orbit.chain_id(env, name),
        bind_ips=listens_on(env, name, node.host),
        port=node.port,
        health_port=node.health_port,
        **orbit.of_chain(env, site, name),
    )
    yield data
    yield from _program(
        env,
        host,
        "devchain",
        name,
        node,
        settings.to_env(),
        inputs=(blob,),
        folders=(data,),
        ports=(node.port, node.health_port),
        needs=orbit.before_chain(env, name),
    )


def _engine(env: Environment, host: HostSite, name: str, node: EngineNode) -> Iterator[Resource]:
    blob = release_blob(env, host, node.release)
    settings = EngineSettings(
        model_path=blob.path,
        model_name=node.model,
        bind_ips=listens_on(env, name, node.host),
        port=node.port,
        threads=node.threads,
        slots=node.slots,
        context_tokens=node.context_tokens,
    )
    yield from _program(env, host, "engine", name, node, settings.to_env(), inputs=(blob,), ports=(node.port,))


def _router(env: Environment, site: Site, host: HostSite, name: str, node: RouterNode) -> Iterator[Resource]:
    settings = RouterSettings(
        **_on_chain(env, site, name, node),
        api_key=_SECRET_MARK.format(node.api_key.secret),
        bind_ips=listens_on(env, name, node.host),
        port=node.port,
        ws_bind_ips=listens_on(env, name, node.host, links=True),
        ws_port=node.ws_port,
        sessions=tuple(sorted({session for sessions in node.sessions.values() for session in sessions})),
        request_timeout_s=node.request_timeout_s,
        **_of_routes(env, site, host, name, node),
    )
    ports = (node.port, node.ws_port, *((node.mcp.port,) if node.mcp is not None else ()))
    yield from _program(env, host, "router", name, node, settings.to_env(), ports=ports, needs=_chain_needs(env, name))


def _of_routes(env: Environment, site: Site, host: HostSite, name: str, node: RouterNode) -> dict[str, Any]:
    """What it answers beside completions; the public name is that for agents, if it has one."""

    def handed_over(secret: str) -> str:
        return _handed_over(site, secret)

    agents = for_agents(env, name, node, listens_on(env, name, node.host), handed_over)
    return router_families(env, name, node, handed_over) | agents | payloads.of_router(env, site, host, name, handed_over)


def _miner(env: Environment, site: Site, host: HostSite, name: str, node: MinerNode) -> Iterator[Resource]:
    url, model = engine_of(env, node.engine, node.host)
    settings = MinerSettings(
        **_on_chain(env, site, name, node),
        engine_url=url,
        engine_model=model,
        routers=tuple(_link(env, router, node.host) for router in node.routers),
        port=node.port,
        **payloads.of_miner(env, host, name, lambda secret: _handed_over(site, secret)),
    )
    yield from _program(env, host, "miner", name, node, settings.to_env(), ports=(node.port,), needs=_chain_needs(env, name))


def _oracle(env: Environment, site: Site, host: HostSite, name: str, node: OracleNode) -> Iterator[Resource]:
    tasks = env.network.tasks
    pace: dict[str, Any] = {} if tasks is None else {"network_every_s": tasks.every_s, "network_step_s": tasks.step_s}
    settings = OracleSettings(**_on_chain(env, site, name, node), port=node.port, ack_timeout_s=node.ack_timeout_s, **pace)
    yield from _program(env, host, "oracle", name, node, settings.to_env(), ports=(node.port,), needs=_chain_needs(env, name))


def _pool_oracle(env: Environment, site: Site, host: HostSite, name: str, node: PoolOracleNode) -> Iterator[Resource]:
    settings = PoolOracleSettings(
        **_on_chain(env, site, name, node),
        port=node.port,
        every_s=node.every_s,
        ping_age_max_s=node.ping_age_max_s,
        level_min=node.level_min,
        verified_only=node.verified_only,
    )
    yield from _program(env, host, "pool", name, node, settings.to_env(), ports=(node.port,), needs=_chain_needs(env, name))


def _validator(env: Environment, site: Site, host: HostSite, name: str, node: ValidatorNode) -> Iterator[Resource]:
    model, tokenizer = (release_blob(env, host, release) for release in (node.release, node.tokenizer))
    settings = ValidatorSettings(
        **_on_chain(env, site, name, node),
        model_path=model.path,
        tokenizer_path=tokenizer.path,
        similarity_min=node.similarity_min,
        port=node.port,
        **_validation(env, host, name, node),
    )
    yield from _program(
        env,
        host,
        "validator",
        name,
        node,
        settings.to_env(),
        inputs=(model, tokenizer),
        ports=(node.port,),
        needs=_chain_needs(env, name),
    )


def _orbit(env: Environment, site: Site, host: HostSite, name: str, node: OrbitNode) -> Iterator[Resource]:
    key = "" if isinstance(node, SequencerNode) else _handed_over(site, node.wallet.secret)
    values = orbit.settings_of(env, site, name, node, key).to_env()
    yield from _program(env, host, "orbit", name, node, values, ports=(node.port,), needs=orbit.needs_of(env, node))


def _validation(env: Environment, host: HostSite, name: str, node: ValidatorNode) -> dict[str, Any]:
    """What a validator has beyond a plain one; nothing where nothing is declared."""
    found: dict[str, Any] = {"runs": node.runs}
    if node.engine is not None:
        found |= zip(("engine_url", "engine_model"), engine_of(env, node.engine, node.host), strict=True)
    if node.validation is not None:
        policy = node.validation.policy(Policy().similarity_min)  # its own key tells that one
        found |= {"policy": policy.as_text(), "evidence_path": evidence_file(host.root, name)}
    return found


def evidence_file(root: str, name: str) -> str:
    """Where a validator keeps its evidence, below the root of its host; it makes the folder itself."""
    return f"{data_folder(root, name)}/evidence.db"


def _on_chain(env: Environment, site: Site, name: str, node: WalletNode) -> dict[str, Any]:
    """The settings that every node with a wallet shares (ChainSettings)."""
    return {
        "name": name,
        "rpc_url": rpc_url_on(env, node.host),
        "chain_id": env.network.chain_id,
        "runtime": contract_addresses(env, site).runtime,
        "address": site.public[node.wallet.secret],
        "private_key": _handed_over(site, node.wallet.secret),
        **_several_rpcs(env, node.host),
        **network_tasks.of_node(env, site),
    }


def _several_rpcs(env: Environment, host: str) -> dict[str, Any]:
    """RPC_HOST_0 and the rest, where more than one address is declared."""
    if not env.network.fallbacks:
        return {}
    urls = (rpc_url_on(env, host), *env.network.fallbacks)
    return {"several_rpcs": True, "rpc_count": len(urls), "rpc_hosts": tuple(enumerate(urls))}


def _chain_needs(env: Environment, name: str) -> tuple[str, ...]:
    """A node starts when it is known on chain and can find the contracts: its registration and the runtime's links are made first."""
    return (f"{PLACE} contract-state:{name} registered", *discovery_needs(env))


def _program(
    env: Environment,
    host: HostSite,
    module: str,
    name: str,
    node: Node,
    values: dict[str, str],
    *,
    inputs: tuple[Blob, ...] = (),
    folders: tuple[Directory, ...] = (),
    ports: tuple[int, ...],
    needs: tuple[str, ...] = (),
) -> Iterator[Resource]:
    entity = node_entity(name, node)
    because = cite(env, "nodes", name)
    file = File(
        place=host.name,
        entity=entity,
        because=because,
        needs=(host.folder_key(f"{host.root}/etc"),),
        path=host.env_file(name),
        content=content_of(env_text(_by_file(values))),
        mode=0o600,
    )
    yield file
    yield service(
        host,
        entity,
        own_program(host, module, file.path),
        owner=env.owner_of(entity),
        because=because,
        inputs=(file, *inputs),
        ports=ports,
        needs=(*(folder.key for folder in folders), *needs, *foreign.after(env, node)),
    )


def _handed_over(site: Site, secret: str) -> str:
    """A secret as a setting: a mark that its value replaces, or where on its host the value stays."""
    return _FILE_MARK + site.on_host[secret] if secret in site.on_host else _SECRET_MARK.format(secret)


def _by_file(values: dict[str, str]) -> dict[str, str]:
    """`KEY` as `KEY_FILE` where its value stays in a file of the host, which the program reads itself (programs.common.process)."""
    return {f"{key}_FILE" if value.startswith(_FILE_MARK) else key: value.removeprefix(_FILE_MARK) for key, value in values.items()}


def content_of(text: str) -> Content:
    """Text with secret marks -> Content whose secrets are references."""
    parts = text.split("\x00")
    return tuple(SecretRef(part) if index % 2 else part for index, part in enumerate(parts) if part)


def secret_mark(name: str) -> str:
    """What stands for a secret's value in text that becomes Content."""
    return _SECRET_MARK.format(name)


def engine_of(env: Environment, asked: Engine, seen_from: str) -> tuple[str, str]:
    """An engine as the host `seen_from` asks it: (base URL, model name)."""
    if asked.node is None:
        assert asked.url is not None and asked.model is not None
        return asked.url, asked.model
    engine = env.nodes[asked.node]
    assert isinstance(engine, EngineNode)
    return f"http://{place(from_host(env, engine.host, seen_from), engine.port)}", engine.model


def _link(env: Environment, name: str, seen_from: str) -> str:
    """Where a miner on the host `seen_from` dials a router."""
    node = env.nodes[name]
    assert isinstance(node, RouterNode)
    return place(from_host(env, node.host, seen_from), node.ws_port)
