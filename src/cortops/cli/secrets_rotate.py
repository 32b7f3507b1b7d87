"""`cortops secrets rotate`: one secret made anew; what follows is shown first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.output import show, show_json, table
from cortops.deploy.deployment import desired_with
from cortops.deploy.limits import demand_allowed
from cortops.deploy.lock import this_process
from cortops.deploy.secrets import Entry
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.secrets_rotate import Follow, follows, notes
from cortops.deploy.wanted import Kind
from cortops.environment.declared import Environment

PENDING = 3


def rotate_(
    name: str,
    file: Path | None = None,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make a token, wallet, certificate or authority anew. Without --yes it only shows what would follow, and exits 3.

    Parameters
    ----------
    name
        As `cortops secrets list` shows it.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    yes
        Do it. Programs keep the old value until the next apply.
    """
    env = environment(file, common)
    demand_allowed(this_process().who, env.rules.apply.by, where=env.file)
    following, made = asyncio.run(_rotate(env, common, name, yes))
    told = notes(env, next(want for want in secrets_of(env) if want.name == name))
    public = made.public if made is not None and made.kind is Kind.WALLET else ""
    if common.json:
        show_json(
            {"name": name, "done": made is not None, "public": public, "follows": [asdict(one) for one in following], "notes": list(told)}
        )
    else:
        show(_as_text(env, name, following, told, public, done=made is not None))
    return PENDING if made is None else 0


async def _rotate(env: Environment, common: Common, name: str, yes: bool) -> tuple[tuple[Follow, ...], Entry | None]:
    async with here(env, common) as place:
        deployment = place.deployment
        wanted = secrets_of(env)
        before, after = await asyncio.to_thread(deployment.secrets.rotated, wanted, name)
        following = follows(desired_with(deployment, before), desired_with(deployment, after))
        return following, deployment.secrets.rotate(wanted, name) if yes else None


def _as_text(env: Environment, name: str, following: Sequence[Follow], told: Sequence[str], public: str, *, done: bool) -> str:
    head = f"{name} is made anew{f': {public}' if public else ''}. The next apply changes:" if done else f"{name} made anew would change:"
    lines = [head, table([(one.place, one.what, one.resource) for one in following], "  "), *told]
    if done:
        return "\n".join([*lines, f"Programs keep the old value until then.    next: cortops plan {env.file}"])
    return "\n".join([*lines, f"Nothing was changed.    next: cortops secrets rotate {name} {env.file} --yes"])
