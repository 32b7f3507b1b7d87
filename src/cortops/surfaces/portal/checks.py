"""Does the portal run, and can it read what it shows?"""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.surfaces.portal.render import PORTAL
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import healthy
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.evidence import Check
from cortops.words.question import Http, Question

HEALTH = "portal:health"


def questions(env: Environment, site: Site) -> Iterator[Question]:
    if env.portal is not None:
        yield Http(id=HEALTH, url=f"http://{from_here(env, env.portal.on)}:{env.portal.port}/health", timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    if env.portal is None:
        return
    owner = env.owner_of(PORTAL)
    yield running(PORTAL, PORTAL.name, env.portal.on, owner)
    yield Check(entity=PORTAL, name="health", asks=(HEALTH,), judge=healthy(HEALTH), owner=owner, runbook="gateway")
