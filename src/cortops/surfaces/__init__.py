"""The operational surfaces: what each consists of, what should exist, what to ask, and whether it is well. All pure.

The lists of them are explicit and ordered: see listed. They are loaded when they are used: a verb that only asks hosts needs few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cortops.environment.declared import Environment
    from cortops.surfaces.site import Site
    from cortops.words.evidence import Check
    from cortops.words.question import Question
    from cortops.words.resource import Resource


def render(env: Environment, site: Site) -> tuple[Resource, ...]:
    """Everything that should exist, in no order that matters."""
    from cortops.surfaces.listed import RENDERS

    return tuple(resource for one in RENDERS for resource in one(env, site))


def questions(env: Environment, site: Site) -> tuple[Question, ...]:
    """Everything that is asked of the world; each answer may feed many checks."""
    from cortops.surfaces.listed import QUESTIONS
    from cortops.surfaces.services import facts as services_facts

    of_services = tuple(services_facts.question(host) for host in site.hosts.values())
    return of_services + tuple(question for one in QUESTIONS for question in one(env, site))


def checks(env: Environment, site: Site) -> tuple[Check, ...]:
    """Everything that must hold."""
    from cortops.surfaces.listed import CHECKS

    return tuple(check for one in CHECKS for check in one(env, site))
