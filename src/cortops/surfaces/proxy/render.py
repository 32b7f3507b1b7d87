"""nginx of every host that serves hostnames: configuration, certificates, service."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.crosscheck_secrets import AUTHORITY, certificate_secret
from cortops.environment.declared import Environment
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.nginx import NginxSite, ServerName, pid_file
from cortops.surfaces.proxy.nginx import render as nginx_text
from cortops.surfaces.proxy.ways import way
from cortops.surfaces.reach import LOOPBACK, place
from cortops.surfaces.services.render import foreign_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import File, Resource, SecretRef

SERVICE = "proxy"


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """One nginx a host, however many hostnames it serves. It waits for nobody: who stands behind may come later, or again."""
    for name in dict.fromkeys(route.on for route in env.proxy.values()):
        host = site.hosts[name]
        routes = {hostname: route for hostname, route in env.proxy.items() if route.on == name}
        yield from _nginx(env, site, host, routes)


def ca_file(host: HostSite) -> str:
    return f"{host.root}/etc/tls/ca.pem"


def _nginx(env: Environment, site: Site, host: HostSite, routes: dict[str, Route]) -> Iterator[Resource]:
    first = next(iter(routes))
    entity, because = Entity("proxy", first), cite(env, "proxy", first)
    folder = host.folder(f"{host.root}/etc/tls", because)
    run_folder = host.folder(f"{host.root}/run/{SERVICE}", because, keep=True)
    files = [_file(host, entity, because, folder.key, ca_file(host), (site.public[AUTHORITY],))]
    for hostname in routes:
        cited = cite(env, "proxy", hostname)
        secret = certificate_secret(hostname)
        files.append(_file(host, Entity("proxy", hostname), cited, folder.key, _path(host, hostname, "pem"), (site.public[secret],)))
        files.append(_file(host, Entity("proxy", hostname), cited, folder.key, _path(host, hostname, "key"), (SecretRef(secret),), 0o600))
    # The gateway first: it also answers to names that no server has, an address for example.
    servers = tuple(_server(env, host, hostname) for hostname in sorted(routes, key=lambda hostname: routes[hostname].to != "gateway"))
    conf = _file(
        host,
        entity,
        because,
        host.folder_key(f"{host.root}/etc"),
        f"{host.root}/etc/nginx.conf",
        (nginx_text(NginxSite(run_folder=run_folder.path, user=host.user if host.user == "root" else "", servers=servers)),),
    )
    yield folder
    yield run_folder
    yield from files
    yield conf
    yield service(
        host,
        entity,
        foreign_program(host, "--pid-file", pid_file(run_folder.path), host.nginx, "-p", run_folder.path, "-e", "stderr", "-c", conf.path),
        name=SERVICE,
        owner=env.owner_of(entity),
        because=because,
        inputs=(conf, *files),
        ports=tuple(dict.fromkeys(route.port for route in routes.values())),
        needs=(run_folder.key,),
    )


def _server(env: Environment, host: HostSite, hostname: str) -> ServerName:
    route, leads = env.proxy[hostname], way(env, hostname)
    return ServerName(
        hostname=hostname,
        listen=tuple(place(ip, route.port) for ip in _listens_on(env, route)),
        certificate=_path(host, hostname, "pem"),
        certificate_key=_path(host, hostname, "key"),
        who=leads.who,
        upstreams=leads.upstreams,
        locations=leads.locations,
        methods=leads.methods,
        body_max_kib=int(route.body_max_mib * 1024),
        read_timeout_s=route.read_timeout_s,
    )


def _listens_on(env: Environment, route: Route) -> tuple[str, ...]:
    """Loopback, and the host's own address where it has one; not for the console, which has no login."""
    address = env.hosts[route.on].address
    return (LOOPBACK, address) if address is not None and route.to != "console" else (LOOPBACK,)


def _path(host: HostSite, hostname: str, ending: str) -> str:
    return f"{host.root}/etc/tls/{hostname}.{ending}"


def _file(
    host: HostSite, entity: Entity, because: str, folder: str, path: str, content: tuple[str | SecretRef, ...], mode: int = 0o644
) -> File:
    return File(place=host.name, entity=entity, because=because, needs=(folder,), path=path, content=content, mode=mode)
