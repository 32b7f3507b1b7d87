"""`cortops rollback` of our own programs: files, units and programs of an environment back to a recorded generation, as a whole."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from cortops.cli.common import Common, new_apply_id
from cortops.cli.compose import here
from cortops.cli.output import Progress, show, show_json
from cortops.cli.plan import as_json, as_text
from cortops.cli.progress import Phases
from cortops.deploy import deployment as engine
from cortops.deploy.going_back import generation_meant
from cortops.deploy.limits import Accepted
from cortops.deploy.lock import this_process
from cortops.deploy.manifest import Manifest
from cortops.environment.declared import Environment, shift_ports
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.words.errors import Refused

ATTENTION = 3


def show_plan(env: Environment, to: int | None, common: Common) -> tuple[engine.Look, Manifest, bool]:
    """What going back would change, shown; with the generation meant, and whether people may be asked now whether to do it."""

    async def run() -> tuple[engine.Look, Manifest]:
        async with scene_of(env, to, common) as (deployment, goal):
            return await engine.look(deployment), goal

    seen, goal = asyncio.run(run())
    if common.json:
        show_json(as_json(seen) | {"to": goal.generation})
    else:
        again = f"cortops rollback {env.file} --to {goal.generation}"
        show("\n".join([_about(env, goal), as_text(seen, env.file, why=False, again=again)]))
    return seen, goal, bool(seen.plan.changes) and not common.json and not seen.over and not seen.lasting


def go_back(env: Environment, to: int | None, digest: str, accepted: Accepted, common: Common) -> int:
    """Go back and say what is where. digest: of the plan that people saw, "" for whatever it is now."""

    async def run() -> tuple[engine.Applied, Manifest]:
        async with scene_of(env, to, common) as (deployment, goal):
            phases = Phases(Progress(sys.stderr), deployment.clock)
            applied = await engine.apply(
                deployment,
                apply_id=new_apply_id(),
                owner=this_process(),
                digest=digest or None,
                report=phases.report,
                accepted=accepted,
            )
            return applied, goal

    applied, goal = asyncio.run(run())
    if common.json:
        told = {"changes": applied.made, "generation": applied.generation, "digest": applied.plan.digest, "to": goal.generation}
        show_json({"environment": env.name, **told, "file_differs": env.text != goal.declared})
    else:
        show(_done(env, goal, applied))
    return 0


@asynccontextmanager
async def scene_of(env: Environment, to: int | None, common: Common) -> AsyncIterator[tuple[engine.Deployment, Manifest]]:
    """The deployment that goes back, and the generation that it goes back to. BadInput, Refused where there is none."""
    async with here(env, common) as place:
        now = place.deployment
        kept, latest, last = await asyncio.gather(now.manifests.generations(), now.manifests.latest(), now.journal.last_apply())
        goal = await now.manifests.read(generation_meant(kept, latest, last, to))
        if goal is None:
            raise Refused("that generation went away just now", next="cortops generations")
        async with here(_declared_then(env, goal), common) as before:
            yield engine.back_to(goal, now, before.deployment), goal


def _declared_then(env: Environment, goal: Manifest) -> Environment:
    """The environment as it was declared for that generation, under today's rules. Refused where this cortops cannot read it."""
    loaded = load(goal.declared, env.file)
    if isinstance(loaded, Invalid):
        number = goal.generation
        raise Refused(
            f"generation {number} was made from an environment file that cortops {goal.tool_version} could read, and this one cannot",
            why=f"{loaded.reasons[0].path} {loaded.reasons[0].what}" if goal.declared else "it holds none",
            next=f"Go back with that version, or write {env.file} as it should be, then: cortops apply {env.file}",
        )
    shifted = shift_ports(loaded, env.port_base) if env.port_base else loaded
    return replace(shifted, rules=env.rules)


def _about(env: Environment, goal: Manifest) -> str:
    at = datetime.fromtimestamp(goal.at, UTC)
    return f"{env.name} back to generation {goal.generation} ({at.day} {at:%b %H:%M} UTC, by {goal.by}); secrets stay those of today"


def _done(env: Environment, goal: Manifest, applied: engine.Applied) -> str:
    lines = [*applied.notes]
    if applied.made:
        what = f"{applied.made} changes made; {env.name} is as in generation {goal.generation}"
        lines.append(f"{what}, recorded as generation {applied.generation}, and every entity is well.")
    else:
        lines.append(f"Nothing to do: {env.name} is as in generation {goal.generation}.")
    if env.text != goal.declared:
        lines.append(f"{env.file} still declares what was left: cortops plan {env.file} would bring that back.")
        lines.append(f"next: cortops generations {env.file} --declared {goal.generation}    prints the file of that generation")
    return "\n".join(lines)
