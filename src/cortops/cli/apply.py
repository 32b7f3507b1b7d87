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
from cortops.deploy.limits import Accepted
from cortops.deploy.lock import this_process
from cortops.local.here import demand_writable
from cortops.words.errors import BadInput

ATTENTION = 3
DIGEST_MIN = 8


def apply(
    file: Path | None = None,
    /,
    *,
    plan: str = "",
    accept_large: Annotated[bool, Parameter(negative="")] = False,
    accept_irreversible: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make the changes that `plan` shows.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    plan
        Apply only this plan: its digest, or at least 8 digits of it.
    accept_large
        With --plan: make this plan though it is over a limit of rules.apply.
    accept_irreversible
        Make what cannot be taken back, as the plan names it.
    """
    env = environment(file, common)
    accepted = accepted_by(plan, large=accept_large, irreversible=accept_irreversible)

    async def run() -> engine.Applied:
        async with here(env, common) as place:
            demand_writable(place.root)
            phases = Phases(Progress(sys.stderr), place.deployment.clock)
            return await engine.apply(
                place.deployment,
                apply_id=new_apply_id(),
                owner=this_process(),
                digest=plan or None,
                report=phases.report,
                accepted=accepted,
            )

    applied = asyncio.run(run())
    if common.json:
        told = {"changes": applied.made, "generation": applied.generation, "digest": applied.plan.digest}
        show_json({"environment": env.name, **told, "nodes_left": list(applied.nodes_left)})
    else:
        done = f"{applied.made} changes made; {env.name} is at generation {applied.generation}, and every entity is well."
        nothing = f"Nothing to do: all {len(applied.plan.unchanged)} resources of {env.name} are as declared."
        show("\n".join([*applied.notes, done if applied.made else nothing]))
    if left := applied.nodes_left:
        if not common.json:
            show(f"{len(left)} nodes are not as declared: {joined(left)}.    next: cortops upgrade {env.file}")
        return ATTENTION
    return 0


def accepted_by(plan: str, *, large: bool, irreversible: bool = False) -> Accepted:
    """What the flags accept. BadInput for a digest that is too short, and for a large plan that is not named by one."""
    if plan and len(plan) < DIGEST_MIN:
        raise BadInput(f"a digest has at least {DIGEST_MIN} digits, this one {len(plan)}")
    if large and not plan:
        raise BadInput("--accept-large accepts one plan, so it needs --plan DIGEST", next="Look at the plan; its last line is the command.")
    return Accepted(large=large, irreversible=irreversible)
