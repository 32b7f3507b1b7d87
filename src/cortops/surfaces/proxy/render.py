"""nginx of every host that serves hostnames: configuration, certificates, service."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from cortops.environment.crosscheck_secrets import AUTHORITY, certificate_secret
from cortops.environment.declared import Environment, challenge_hosts
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.nginx import Challenge, NginxSite, ServerName, pid_file
from cortops.surfaces.proxy.nginx import render as nginx_text
from cortops.surfaces.proxy.ways import way
from cortops.surfaces.reach import LOOPBACK, place
from cortops.surfaces.services.render import foreign_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import NEW_FILE, File, Reload, Resource, SecretRef, public_ref

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
    files = [_file(host, entity, because, folder.key, ca_file(host), (public_ref(AUTHORITY),))]
    for hostname in routes:
        about, cited = Entity("proxy", hostname), cite(env, "proxy", hostname)
        secret = certificate_secret(hostname)
        files.append(_file(host, about, cited, folder.key, _path(host, hostname, "pem"), (public_ref(secret),)))
        files.append(_file(host, about, cited, folder.key, _path(host, hostname, "key"), (_key(routes[hostname], secret),), 0o600))
    # The gateway first: it also answers to names that no server has, an address for example.
    servers = tuple(_server(env, host, hostname) for hostname in sorted(routes, key=lambda hostname: routes[hostname].to != "gateway"))
    challenge = _challenge(env, host, routes)
    user = host.user if host.user == "root" else ""
    site_text = nginx_text(NginxSite(run_folder=run_folder.path, user=user, servers=servers, challenge=challenge))
    conf = replace(
        _file(host, entity, because, host.folder_key(f"{host.root}/etc"), f"{host.root}/etc/nginx.conf", (site_text,)),
        check=_tested(host, run_folder.path, NEW_FILE),
    )
    conf = replace(conf, needs=(*conf.needs, run_folder.key, *(file.key for file in files), *host.program_needs))  # nginx looks at them
    yield folder
    yield run_folder
    if challenge is not None:
        yield host.folder(challenge.folder, cite(env, "acme"))
    yield from files
    yield conf
    yield service(
        host,
        entity,
        foreign_program(host, "--pid-file", pid_file(run_folder.path), host.nginx, "-p", run_folder.path, "-e", "stderr", "-c", conf.path),
        name=SERVICE,
        owner=env.owner_of(entity),
        because=because,
        inputs=(),
        ports=tuple(dict.fromkeys((*(route.port for route in routes.values()), *_http_ports(env, challenge)))),
        needs=(run_folder.key, *((host.folder_key(challenge.folder),) if challenge is not None else ())),
        reload=Reload(on=(conf.key, *(file.key for file in files)), check=_tested(host, run_folder.path, conf.path)),
    )


def challenge_folder(root: str) -> str:
    """What nginx shows an authority that gives certificates, below the root of its host: a file for each token (RFC 8555 8.3)."""
    return f"{root}/run/{SERVICE}/acme"


def _challenge(env: Environment, host: HostSite, routes: dict[str, Route]) -> Challenge | None:
    """Only where certificates are asked for that way."""
    if env.acme is None or host.name not in challenge_hosts(env):
        return None
    asked = {hostname: route for hostname, route in routes.items() if route.tls.by == "acme"}
    listens = dict.fromkeys(place(ip, env.acme.http_port) for route in asked.values() for ip in _listens_on(env, route))
    return Challenge(hostnames=tuple(asked), listen=tuple(listens), folder=challenge_folder(host.root))


def _http_ports(env: Environment, challenge: Challenge | None) -> tuple[int, ...]:
    return (env.acme.http_port,) if env.acme is not None and challenge is not None else ()


def _key(route: Route, secret: str) -> SecretRef:
    """Of a certificate of files the key is a secret under a name of its own."""
    return route.tls.key.ref if route.tls.key is not None else SecretRef(secret)


def _tested(host: HostSite, run_folder: str, path: str) -> tuple[str, ...]:
    """nginx's own verdict on a configuration and on the files that it names."""
    return (host.nginx, "-t", "-q", "-p", run_folder, "-e", "stderr", "-c", path)


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
        believes=route.trusted_proxies,
        body_max_kib=math.ceil(route.body_max_mib * 1024),
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
