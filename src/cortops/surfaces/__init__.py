"""The operational surfaces: what each consists of, what should exist, what to ask, and whether it is well. All pure.

The lists below are explicit and ordered: a new surface is one line here.
"""

from __future__ import annotations

from cortops.environment.declared import Environment
from cortops.surfaces.chain import checks as chain_checks
from cortops.surfaces.chain import render as chain
from cortops.surfaces.dns import checks as dns_checks
from cortops.surfaces.fleet import checks as fleet_checks
from cortops.surfaces.fleet import render as fleet
from cortops.surfaces.gateway import checks as gateway_checks
from cortops.surfaces.gateway import render as gateway
from cortops.surfaces.monitoring import checks as monitoring_checks
from cortops.surfaces.monitoring import render as monitoring
from cortops.surfaces.nodes import checks as nodes_checks
from cortops.surfaces.nodes import render as nodes
from cortops.surfaces.pools import checks as pools_checks
from cortops.surfaces.proxy import checks as proxy_checks
from cortops.surfaces.proxy import render as proxy
from cortops.surfaces.services import facts as services_facts
from cortops.surfaces.site import Site
from cortops.words.evidence import Check
from cortops.words.question import Question
from cortops.words.resource import Resource

_RENDERS = (fleet.render, nodes.render, chain.render, gateway.render, proxy.render, monitoring.render)
_QUESTIONS = (
    fleet_checks.questions,
    nodes_checks.questions,
    chain_checks.questions,
    gateway_checks.questions,
    dns_checks.questions,
    proxy_checks.questions,
    monitoring_checks.questions,
)
_CHECKS = (
    fleet_checks.checks,
    chain_checks.checks,
    nodes_checks.checks,
    pools_checks.checks,
    gateway_checks.checks,
    dns_checks.checks,
    proxy_checks.checks,
    monitoring_checks.checks,
)


def render(env: Environment, site: Site) -> tuple[Resource, ...]:
    """Everything that should exist, in no order that matters."""
    return tuple(resource for one in _RENDERS for resource in one(env, site))


def questions(env: Environment, site: Site) -> tuple[Question, ...]:
    """Everything that is asked of the world; each answer may feed many checks."""
    of_services = tuple(services_facts.question(host) for host in site.hosts.values())
    return of_services + tuple(question for one in _QUESTIONS for question in one(env, site))


def checks(env: Environment, site: Site) -> tuple[Check, ...]:
    """Everything that must hold."""
    return tuple(check for one in _CHECKS for check in one(env, site))
