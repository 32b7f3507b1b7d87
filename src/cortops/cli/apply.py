"""`cortops apply`: make a plan's changes, exactly those."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.compose import here
from cortops.cli.output import Progress, joined, show, show_json
from cortops.cli.progress import Phases
from cortops.deploy import deployment as engine
from cortops.deploy.lock import this_process
from cortops.local.here import demand_writable
from cortops.words.errors import BadInput, PlanChanged

ATTENTION = 3
DIGEST_MIN = 8


def apply(
    file: Path | None = None,
    /,
    *,
    plan: Annotated[str, Parameter(help="Apply only this plan: its digest, or at least 8 digits of it.")] = "",
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make the changes that `plan` shows.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    env = environment(file, common)
    if plan and len(plan) < DIGEST_MIN:
        raise BadInput(f"a digest has at least {DIGEST_MIN} digits, this one {len(plan)}")

    async def run() -> engine.Applied:
        async with here(env, common) as place:
            demand_writable(place.root)
            digest = await _whole_digest(place.deployment, plan) if plan else None
            phases = Phases(Progress(sys.stderr), place.deployment.clock)
            return await engine.apply(place.deployment, apply_id=new_apply_id(), owner=this_process(), digest=digest, report=phases.report)

    applied = asyncio.run(run())
    if common.json:
        told = {"changes": applied.made, "generation": applied.generation, "digest": applied.plan.digest}
        show_json({"environment": env.name, **told, "nodes_left": list(applied.nodes_left)})
    elif applied.made:
        show(f"{applied.made} changes made; {env.name} is at generation {applied.generation}, and every entity is well.")
    else:
        show(f"Nothing to do: all {len(applied.plan.unchanged)} resources of {env.name} are as declared.")
    if left := applied.nodes_left:
        if not common.json:
            show(f"{len(left)} nodes are not as declared: {joined(left)}.    next: cortops upgrade {env.file}")
        return ATTENTION
    return 0


async def _whole_digest(deployment: engine.Deployment, given: str) -> str:
    """The digest of the plan as it is now, when it is the one given."""
    found = (await engine.look(deployment)).whole.digest
    if not found.startswith(given):
        raise PlanChanged(f"the plan is now {found[:12]}, not {given}: something changed since it was made")
    return found
