"""`cortops watch` as a service: the environment file as it was applied, a folder for its history, and the program."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.environment.model import Monitor
from cortops.surfaces.proxy.render import SERVICE as PROXY
from cortops.surfaces.services.render import foreign_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import File, Resource

WATCH = Entity("monitor", Monitor.NAME)


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """It watches what was applied, not what stands in somebody's editor: so the file goes to the host, and its change restarts it."""
    if env.monitor is None:
        return
    host = site.hosts[env.monitor.on]
    because = cite(env, "monitor")
    data = host.folder(host.data(Monitor.NAME), because, mode=0o700, keep=True)
    file = File(
        place=host.name,
        entity=WATCH,
        because=because,
        needs=(host.folder_key(f"{host.root}/etc"),),
        path=f"{host.root}/etc/{env.name}.yaml",
        content=(env.text,),
        mode=0o600,
    )
    yield data
    yield file
    yield service(
        host,
        WATCH,
        foreign_program(host, *command(env, host, file.path)),
        owner=env.owner_of(WATCH),
        because=because,
        inputs=(file,),
        ports=(env.monitor.port,),
        needs=(data.key, *_all_services(env)),
    )


def _all_services(env: Environment) -> Iterator[str]:
    """It starts last: what is still to be started is not ill."""
    yield from (f"{node.host} service:{name}" for name, node in env.nodes.items())
    if env.gateway is not None:
        yield from (f"{env.gateway.on} service:{name}" for name in env.gateway.ports())
    yield from dict.fromkeys(f"{route.on} service:{PROXY}" for route in env.proxy.values())


def command(env: Environment, host: HostSite, path: str) -> tuple[str, ...]:
    """The argument line; the folder above the root is CORTOPS_DATA, so that it finds the same environment as whoever applied it."""
    data = host.root.rpartition("/")[0]
    return ("env", f"CORTOPS_DATA={data}", host.python, "-m", "cortops.cli", "watch", path, "--port-base", str(env.port_base))


def history_file(host: HostSite) -> str:
    """The database of states and evidence."""
    return f"{host.data(Monitor.NAME)}/history.db"
