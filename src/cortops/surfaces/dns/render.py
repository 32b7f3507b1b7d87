"""Records of our zones: each hostname of the proxy leads to the host that serves it, once that host serves it."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.environment.dns import records_of, zone_of
from cortops.surfaces.proxy.render import SERVICE
from cortops.surfaces.site import Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import DnsRecord, Resource

PLACE = "dns/"  # before the name of a zone


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """One resource for each name and type; none for names in no zone of ours."""
    if env.dns is None:
        return
    for hostname, route in env.proxy.items():
        zone = zone_of(env.dns, hostname)
        if not zone:
            continue
        for record in records_of(env.dns, hostname, route.on):
            yield DnsRecord(
                place=f"{PLACE}{zone}",
                entity=Entity("dns", hostname),
                because=cite(env, "proxy", hostname),
                needs=(f"{route.on} service:{SERVICE}",),
                name=record.name,
                type=record.type,
                values=record.values,
                ttl_s=record.ttl_s,
            )
