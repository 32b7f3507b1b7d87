"""What should exist, what is asked and what must hold, of every surface in order: a new one is one line in each list it has part in."""

from __future__ import annotations

from cortops.surfaces.chain import checks as chain_checks
from cortops.surfaces.chain import orbit_render
from cortops.surfaces.chain import render as chain
from cortops.surfaces.dns import checks as dns_checks
from cortops.surfaces.dns import render as dns
from cortops.surfaces.fleet import checks as fleet_checks
from cortops.surfaces.fleet import render as fleet
from cortops.surfaces.gateway import checks as gateway_checks
from cortops.surfaces.gateway import render as gateway
from cortops.surfaces.monitoring import checks as monitoring_checks
from cortops.surfaces.monitoring import render as monitoring
from cortops.surfaces.nodes import checks as nodes_checks
from cortops.surfaces.nodes import render as nodes
from cortops.surfaces.payloads import checks as payloads_checks
from cortops.surfaces.payloads import render as payloads
from cortops.surfaces.pools import checks as pools_checks
from cortops.surfaces.portal import checks as portal_checks
from cortops.surfaces.portal import render as portal
from cortops.surfaces.proxy import certificates
from cortops.surfaces.proxy import checks as proxy_checks
from cortops.surfaces.proxy import render as proxy

RENDERS = (
    fleet.render,
    nodes.render,
    chain.render,
    orbit_render.render,
    payloads.render,
    gateway.render,
    portal.render,
    proxy.render,
    dns.render,
    certificates.render,
    monitoring.render,
)
QUESTIONS = (
    fleet_checks.questions,
    nodes_checks.questions,
    chain_checks.questions,
    payloads_checks.questions,
    gateway_checks.questions,
    portal_checks.questions,
    dns_checks.questions,
    proxy_checks.questions,
    monitoring_checks.questions,
)
CHECKS = (
    fleet_checks.checks,
    chain_checks.checks,
    nodes_checks.checks,
    payloads_checks.checks,
    pools_checks.checks,
    gateway_checks.checks,
    portal_checks.checks,
    dns_checks.checks,
    proxy_checks.checks,
    monitoring_checks.checks,
)
