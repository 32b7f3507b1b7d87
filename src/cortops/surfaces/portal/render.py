"""The portal's configuration and service. It keeps nothing of its own: keys and usage are the gateway's."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.environment.portal import Portal
from cortops.protocol.gateway import Listen
from cortops.protocol.portal import PortalConfig
from cortops.surfaces.gateway.render import store, store_address
from cortops.surfaces.nodes.render import content_of, secret_mark
from cortops.surfaces.reach import listens_on
from cortops.surfaces.services.render import own_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import File, Resource

PORTAL = Entity("portal", Portal.NAME)


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """A configuration file, its secret as a reference, and a service that waits for nobody: the store may come later."""
    if env.portal is None or env.gateway is None:
        return
    host = site.hosts[env.portal.on]
    because = cite(env, Portal.NAME)
    file = File(
        place=host.name,
        entity=PORTAL,
        because=because,
        needs=(host.folder_key(f"{host.root}/etc"),),
        path=f"{host.root}/etc/{Portal.NAME}.json",
        content=content_of(_json(config(env, env.portal, host))),
        mode=0o600,
    )
    yield file
    address = tuple(store_address(env, host, PORTAL, because))
    if env.portal.on not in env.gateway.hosts:
        yield from address  # beside the gateway it is the gateway's
    yield service(
        host,
        PORTAL,
        own_program(host, Portal.NAME, file.path),
        owner=env.owner_of(PORTAL),
        because=because,
        inputs=(file, *address),
        ports=(env.portal.port,),
    )


def config(env: Environment, portal: Portal, host: HostSite) -> PortalConfig:
    """The whole configuration; the secret is a mark that becomes a reference."""
    assert env.gateway is not None
    books = store(env.gateway, host.root)
    hostname, route = next(((name, route) for name, route in env.proxy.items() if route.to == "gateway"), ("", None))
    return PortalConfig(
        environment=env.name,
        owner=env.owner_of(PORTAL),
        listen=Listen(ips=listens_on(env, Portal.NAME, portal.on), port=portal.port),
        hostnames=tuple(name for name, route in env.proxy.items() if Portal.NAME in (route.to, *route.families)),
        gateway_url="" if route is None else f"https://{hostname}" + ("" if route.port == 443 else f":{route.port}"),
        own_authority=route is not None and (route.tls.by == "local-ca" or route.tls.trust is not None),
        keys=books.keys_db,
        usage=books.usage_db,
        models=tuple(env.gateway.models),
        families=env.gateway.families,
        session_secret=secret_mark(portal.session_key.secret),
        session_max_h=portal.session_max_h,
    )


def _json(config: PortalConfig) -> str:
    """JSON text in which the mark stands raw, not escaped."""
    return config.to_json().decode().replace("\\u0000", "\x00")
