"""The gateway's configurations and services: one of each for every process; keys, usage and slots they share."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.environment.traffic import Gateway, Pool
from cortops.protocol.gateway import GatewayConfig, Health, Limits, Listen, Member, Store
from cortops.protocol.gateway import Pool as PoolConfig
from cortops.surfaces.nodes.render import content_of, secret_mark
from cortops.surfaces.reach import from_host, listens_on, place
from cortops.surfaces.services.render import own_program, service
from cortops.surfaces.site import HostSite, Site, cite, data_folder
from cortops.words.entity import Entity
from cortops.words.resource import File, Resource


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """A data folder, and for each process a configuration file with its secrets as references and a service."""
    if env.gateway is None:
        return
    gateway = env.gateway
    host = site.hosts[gateway.on]
    because = cite(env, "gateway")
    data = host.folder(host.data(gateway.NAME), because, mode=0o700, keep=True)
    yield data
    for number, (name, port) in enumerate(gateway.ports().items(), start=1):
        entity = Entity("gateway", name)
        file = File(
            place=host.name,
            entity=entity,
            because=because,
            needs=(host.folder_key(f"{host.root}/etc"),),
            path=f"{host.root}/etc/{name}.json",
            content=content_of(_json(config(env, gateway, host, number))),
            mode=0o600,
        )
        yield file
        yield service(
            host,
            entity,
            own_program(host, "gateway", file.path),
            owner=env.owner_of(entity),
            because=because,
            inputs=(file,),
            ports=(port,),
            needs=(data.key,),
        )


def store(host: HostSite, number: int = 1) -> Store:
    """Where process `number` keeps things."""
    return store_below(host.root, number)


def store_below(root: str, number: int = 1) -> Store:
    """The same below a host's root. Keys and usage are the same for all processes; `keys` and `task show` read there too."""
    data = data_folder(root, Gateway.NAME)
    return Store(keys_db=f"{data}/keys.db", usage_db=f"{data}/usage.db", spool_folder=f"{data}/spool-{number}", slots_file=f"{data}/slots")


def config(env: Environment, gateway: Gateway, host: HostSite, number: int) -> GatewayConfig:
    """The whole configuration of process `number`, from 1; API keys are marks that become secret references."""
    name, port = tuple(gateway.ports().items())[number - 1]
    return GatewayConfig(
        name=name,
        listen=Listen(ips=listens_on(env, gateway.NAME, gateway.on), port=port),
        models={alias: model.pool for alias, model in gateway.models.items()},
        pools={pool_name: _pool(env, gateway, number, pool_name, pool) for pool_name, pool in env.pools.items()},
        limits=Limits(request_timeout_s=gateway.request_timeout_s),
        store=store(host, number),
    )


def queue_share(queue_max: int, processes: int, number: int) -> int:
    """How many of a pool's `queue_max` waiting requests process `number` may hold: equal parts, and what is left over to the first."""
    return queue_max // processes + (queue_max % processes if number == 1 else 0)


def _pool(env: Environment, gateway: Gateway, number: int, name: str, pool: Pool) -> PoolConfig:
    return PoolConfig(
        members=tuple(_member(env, gateway, name, member) for member in pool.members),
        in_flight_per_session=pool.in_flight_per_session,
        queue_max=queue_share(pool.queue_max, gateway.processes, number),
        queue_wait_s=pool.queue_wait_s,
        health=Health(path=pool.health.path, every_s=pool.health.every_s),
    )


def _member(env: Environment, gateway: Gateway, pool: str, name: str) -> Member:
    node = env.nodes[name]
    assert isinstance(node, RouterNode)
    models = [alias for alias, model in gateway.models.items() if model.pool == pool]
    sessions = sorted({session for model in models for session in node.sessions.get(model, ())})
    return Member(
        name=name,
        url=f"http://{place(from_host(env, node.host, gateway.on), node.port)}",
        sessions=tuple(sessions),
        api_key=secret_mark(node.api_key.secret),
    )


def _json(config: GatewayConfig) -> str:
    """JSON text in which the marks stand raw, not escaped."""
    return config.to_json().decode().replace("\\u0000", "\x00")
