"""The gateway's configurations and services: one of each for every process; keys, usage and slots they share."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.environment.private import in_clear
from cortops.environment.traffic import Gateway, Instance, Pool
from cortops.protocol.address import URL_SUFFIX
from cortops.protocol.gateway import FIXED, GatewayConfig, Health, Limits, Listen, Member, Store
from cortops.protocol.gateway import Pool as PoolConfig
from cortops.protocol.limits import KeyLimits
from cortops.surfaces.nodes.render import content_of, secret_mark
from cortops.surfaces.reach import from_host, listens_on, place
from cortops.surfaces.services.render import own_program, service
from cortops.surfaces.site import HostSite, Site, cite, data_folder
from cortops.words.entity import Entity
from cortops.words.resource import File, Reload, Resource


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """A data folder, and for each process a configuration file with its secrets as references and a service."""
    if env.gateway is None:
        return
    for name in env.gateway.hosts:
        yield from _on_host(env, env.gateway, site.hosts[name])


def _on_host(env: Environment, gateway: Gateway, host: HostSite) -> Iterator[Resource]:
    because = cite(env, "gateway")
    data = host.folder(host.data(gateway.NAME), because, mode=0o700, keep=True)
    yield data
    instances = [each for each in gateway.instances() if each.host == host.name]
    address = tuple(store_address(env, host, Entity("gateway", instances[0].name), because))
    yield from address
    for each in instances:
        entity = Entity("gateway", each.name)
        whole = config(env, gateway, host, each)
        etc = (host.folder_key(f"{host.root}/etc"),)
        file = File(
            place=host.name,
            entity=entity,
            because=because,
            needs=etc,
            path=f"{host.root}/etc/{each.name}.json",
            content=content_of(_json(whole)),
            mode=0o600,
        )
        born_with = File(
            place=host.name,
            entity=entity,
            because=because,
            needs=etc,
            path=f"{host.root}/etc/{each.name}.start",
            content=content_of(_born_with(whole)),
        )
        yield from (file, born_with)
        yield service(
            host,
            entity,
            own_program(host, "gateway", file.path),
            owner=env.owner_of(entity),
            because=because,
            inputs=(born_with, *address),
            ports=(each.port,),
            needs=(data.key,),
            reload=Reload(on=(file.key,)),
        )


def store_address(env: Environment, host: HostSite, entity: Entity, because: str) -> Iterator[File]:
    """The file that holds the address of a declared database: so it stands in no configuration, argument or request."""
    if env.gateway is not None and env.gateway.store is not None:
        yield File(
            place=host.name,
            entity=entity,
            because=because,
            needs=(host.folder_key(f"{host.root}/etc"),),
            path=address_file(host.root),
            content=content_of(secret_mark(env.gateway.store.url.secret)),
            mode=0o600,
        )


def _born_with(whole: GatewayConfig) -> str:
    """What of a configuration only a start takes, a line each: the file that restarts the process when it changes. All else is reloaded."""
    return "".join(f"{name} {msgspec.json.encode(getattr(whole, name)).decode()}\n" for name in FIXED)


def address_file(root: str) -> str:
    """Where the address of the declared database lies, below a host's root."""
    return f"{root}/etc/gateway-store{URL_SUFFIX}"


def store(gateway: Gateway, root: str, number: int = 1) -> Store:
    """Where process `number` of a host keeps things, below the host's root. Keys and usage are the same for all processes; `keys`, `usage`
    and `task show` read there too.
    """
    data = data_folder(root, Gateway.NAME)
    declared = gateway.store is not None
    return Store(
        keys_db=address_file(root) if declared else f"{data}/keys.db",
        usage_db=address_file(root) if declared else f"{data}/usage.db",
        spool_folder=f"{data}/spool-{number}",
        slots_file=f"{data}/slots",
    )


def config(env: Environment, gateway: Gateway, host: HostSite, each: Instance) -> GatewayConfig:
    """The whole configuration of one process; API keys are marks that become secret references."""
    return GatewayConfig(
        name=each.name,
        listen=Listen(ips=listens_on(env, gateway.NAME, each.host), port=each.port),
        models={alias: model.pool for alias, model in gateway.models.items()},
        pools={pool_name: _pool(env, gateway, each, pool_name, pool) for pool_name, pool in env.pools.items()},
        limits=Limits(request_timeout_s=gateway.request_timeout_s),
        key_limits=KeyLimits(**gateway.limits.model_dump()),
        store=store(gateway, host.root, each.local),
    )


def queue_share(queue_max: int, processes: int, number: int) -> int:
    """How many of a pool's `queue_max` waiting requests process `number` may hold: equal parts, and what is left over to the first."""
    return queue_max // processes + (queue_max % processes if number == 1 else 0)


def _pool(env: Environment, gateway: Gateway, each: Instance, name: str, pool: Pool) -> PoolConfig:
    return PoolConfig(
        members=tuple(_member(env, gateway, each.host, name, member) for member in pool.members),
        in_flight_per_session=pool.in_flight_per_session,
        queue_max=queue_share(pool.queue_max, len(gateway.instances()), each.number),
        queue_wait_s=pool.queue_wait_s,
        return_ramp_s=pool.return_ramp_s,
        health=Health(path=pool.health.path, every_s=pool.health.every_s),
    )


def _member(env: Environment, gateway: Gateway, host: str, pool: str, name: str) -> Member:
    """With its share of the member's sessions: what one host does in a session, another knows nothing of, so each session is one host's."""
    node = env.nodes[name]
    assert isinstance(node, RouterNode)
    models = [alias for alias, model in gateway.models.items() if model.pool == pool]
    sessions = sorted({session for model in models for session in in_clear(env, node.sessions.get(model, ()))})
    return Member(
        name=name,
        url=f"http://{place(from_host(env, node.host, host), node.port)}",
        sessions=tuple(sessions[gateway.hosts.index(host) :: len(gateway.hosts)]),
        api_key=secret_mark(node.api_key.secret),
    )


def _json(config: GatewayConfig) -> str:
    """JSON text in which the marks stand raw, not escaped."""
    return config.to_json().decode().replace("\\u0000", "\x00")
