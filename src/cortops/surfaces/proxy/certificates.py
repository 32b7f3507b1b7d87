"""Certificates that an authority gives, as resources: one for each hostname of `tls: acme`, once its nginx can answer the authority."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.crosscheck_secrets import certificate_secret
from cortops.environment.declared import Environment
from cortops.environment.dns import records_of, zone_of
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.render import SERVICE
from cortops.surfaces.site import Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import Certificate, Resource

PLACE = "acme"


def trust_file(env: Environment, route: Route) -> str:
    """The PEM of an authority of its own that a hostname's certificate is trusted by; "" where it is one that every machine trusts."""
    path = route.tls.trust if route.tls.by == "files" else env.acme.trust if env.acme is not None else None
    folder = env.file.rpartition("/")[0]
    return path if path and (path.startswith("/") or not folder) else f"{folder}/{path}" if path else ""


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """They wait for nginx, and for the records of the name where those are ours: the authority follows them."""
    for hostname, route in env.proxy.items() if env.acme is not None else ():
        if route.tls.by != "acme":
            continue
        zone = zone_of(env.dns, hostname) if env.dns is not None else ""
        records = records_of(env.dns, hostname, route.on) if env.dns is not None and zone else ()
        yield Certificate(
            place=PLACE,
            entity=Entity("proxy", hostname),
            because=cite(env, "proxy", hostname, "tls"),
            needs=(f"{route.on} service:{SERVICE}", *(f"dns/{zone} record:{record.name}/{record.type}" for record in records)),
            hostname=hostname,
            secret=certificate_secret(hostname),
            host=route.on,
        )
