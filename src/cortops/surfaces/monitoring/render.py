"""`cortops watch` as a service: the environment file as it was applied, a folder for its history, and the program."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.crosscheck_secrets import certificate_secret
from cortops.environment.declared import Environment
from cortops.environment.model import Monitor
from cortops.surfaces.proxy.render import SERVICE as PROXY
from cortops.surfaces.services.render import foreign_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import File, Resource

WATCH = Entity("monitor", Monitor.NAME)
STANDS_IN = "stand-in"  # how what is planned, and what nginx serves until then, begin (environment.certificates.STAND_IN)


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
    stands_in = _stands_in(env, site, host, because)
    yield data
    yield file
    yield from stands_in
    yield service(
        host,
        WATCH,
        foreign_program(host, *command(env, host, file.path)),
        owner=env.owner_of(WATCH),
        because=because,
        inputs=(file, *stands_in),
        ports=(env.monitor.port,),
        needs=(data.key, *_all_services(env)),
    )


def _stands_in(env: Environment, site: Site, host: HostSite, because: str) -> tuple[File, ...]:
    """Which certificates are still to be obtained: it asks by what they are trusted by, so it begins anew once they are there."""
    kept = {name: site.public[certificate_secret(name)] for name, route in env.proxy.items() if route.tls.by == "acme"}
    text = "".join(f"{name} {'stands in' if public.startswith(STANDS_IN) else 'obtained'}\n" for name, public in kept.items())
    path, needs = f"{host.root}/etc/{Monitor.NAME}.certificates", (host.folder_key(f"{host.root}/etc"),)
    return (File(place=host.name, entity=WATCH, because=because, needs=needs, path=path, content=(text,)),) if kept else ()


def _all_services(env: Environment) -> Iterator[str]:
    """It starts last: what is still to be started is not ill."""
    yield from (f"{node.host} service:{name}" for name, node in env.nodes.items())
    if env.gateway is not None:
        yield from (f"{each.host} service:{each.name}" for each in env.gateway.instances())
    if env.portal is not None:
        yield f"{env.portal.on} service:{env.portal.NAME}"
    yield from dict.fromkeys(f"{route.on} service:{PROXY}" for route in env.proxy.values())


def command(env: Environment, host: HostSite, path: str) -> tuple[str, ...]:
    """The argument line; the folder above the root is CORTOPS_DATA, so that it finds the same environment as whoever applied it."""
    data = host.root.rpartition("/")[0]
    return ("env", f"CORTOPS_DATA={data}", host.python, "-m", "cortops.cli", "watch", path, "--port-base", str(env.port_base))


def history_file(host: HostSite) -> str:
    """The database of states and evidence."""
    return f"{host.data(Monitor.NAME)}/history.db"
