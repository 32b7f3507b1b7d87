"""Does the watching eye itself see?"""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Environment
from cortops.environment.model import Monitor
from cortops.surfaces.monitoring.render import WATCH
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import healthy
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.evidence import Check
from cortops.words.question import Http, Question

HEALTH = "monitor:health"


def questions(env: Environment, site: Site) -> Iterator[Question]:
    if env.monitor is not None:
        yield Http(id=HEALTH, url=f"http://{from_here(env, env.monitor.on)}:{env.monitor.port}/health", timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    if env.monitor is None:
        return
    owner = env.owner_of(WATCH)
    yield running(WATCH, Monitor.NAME, env.monitor.on, owner)
    yield Check(entity=WATCH, name="health", asks=(HEALTH,), judge=healthy(HEALTH, "asks and answers"), owner=owner)
