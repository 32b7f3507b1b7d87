"""Cross-checks of the portal: there is a gateway whose keys it shows, it stands where the keys are, and a hostname leads to it."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.portal import Portal
from cortops.environment.reason import Finding, printable


def portal_has_a_gateway(declared: Declared) -> Iterator[Finding]:
    """It shows the gateway's records; a file of records can be read on its own host only."""
    portal, gateway = declared.portal, declared.gateway
    if portal is None or "gateway" in declared.incomplete:
        return
    if gateway is None:
        yield Finding((Portal.NAME,), "is declared, and there is no gateway whose keys it could show", "Add the section gateway.")
    elif portal.on not in gateway.hosts and gateway.store is None:
        where = f"{printable(gateway.on)} (line {declared.line('gateway', 'on')})"
        what = f"is {printable(portal.on)}, and keys and usage lie in files on {where}"
        yield Finding((Portal.NAME, "on"), what, f"Write on: {printable(gateway.on)}, or declare a PostgreSQL database as gateway.store.")


def portal_routes_lead_to_it(declared: Declared) -> Iterator[Finding]:
    """A hostname with `to: portal` has one behind it."""
    if declared.portal is not None or Portal.NAME in declared.incomplete:
        return
    for hostname, route in declared.proxy.items():
        if route.to == Portal.NAME:
            yield Finding(("proxy", hostname, "to"), "names portal, which is not declared", "Add the section portal.")
