"""`cortops chain`: the chain, its RPCs, and what it leaves on its parent, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.output import show, show_json, table
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.surfaces.chain import checks as of_chain
from cortops.surfaces.chain.rows import ABSENT, Row, rows
from cortops.surfaces.judging import Judged, judge
from cortops.surfaces.site import Site

ATTENTION = 3
_MARKS = {"ok": "●", "bad": "■", "inconclusive": "◌", ABSENT: " "}


def chain(
    file: Path | None = None,
    /,
    *,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Every part of the chain, asked now; exit 3 when one of them is ill or cannot be told.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    env = environment(file, common)

    async def ask() -> Sequence[Judged]:
        async with here(env, common, only_asks=True) as place:
            return await judged_now(place)

    found = rows(env, asyncio.run(ask()))
    if common.json:
        show_json({"environment": env.name, "parts": [as_json(row) for row in found]})
    else:
        show(as_text(env, found))
    return 0 if all(row.outcome in ("ok", ABSENT) for row in found) else ATTENTION


async def judged_now(place: Here) -> Sequence[Judged]:
    """What the checks of the chain say of answers that are asked for now."""
    deployment = place.deployment
    site = Site(hosts=deployment.hosts, public=deployment.secrets.publics(secrets_of(deployment.env)))
    replies = await deployment.ask(tuple(of_chain.questions(deployment.env, site)))
    return judge(tuple(of_chain.checks(deployment.env, site)), replies, deployment.clock.now())


def as_json(row: Row) -> dict[str, object]:
    """One part, with what each of its checks said."""
    checks = [
        {
            "entity": str(one.check.entity),
            "check": one.check.name,
            "outcome": one.verdict.outcome,
            "reason": one.verdict.text,
            "owner": one.check.owner,
            "severity": one.check.severity,
        }
        for one in row.checks
    ]
    return {"part": row.part, "outcome": row.outcome, "reason": row.text, "evidence": list(row.evidence), "checks": checks}


def as_text(env: Environment, found: Sequence[Row]) -> str:
    """What is there first, then what is not, then the sentence."""
    there = [row for row in found if row.outcome != ABSENT]
    network = env.network
    parent = f", settles on {network.parent.name or network.parent.chain_id or 'its parent'}" if network.parent is not None else ""
    lines = [f"{env.name}: chain {network.chain_id}{parent}"]
    lines.append(table([(_MARKS[row.outcome], row.part, row.text) for row in there], "  "))
    if absent := [row for row in found if row.outcome == ABSENT]:
        lines.append(table([(" ", row.part, row.text) for row in absent], "  "))
    ill = [row for row in there if row.outcome == "bad"]
    unsure = sum(row.outcome == "inconclusive" for row in there)
    well = len(there) - len(ill) - unsure
    aside = f", {unsure} cannot be told" if unsure else ""
    if not ill:
        return "\n".join([*lines, f"{well} of {len(there)} parts well{aside}."])
    owners = dict.fromkeys(one.check.owner for row in ill for one in row.checks if one.verdict.outcome == "bad" and one.check.owner)
    whom = f" Ask {', '.join(owners)}." if owners else ""
    return "\n".join([*lines, f"{len(ill)} ill; {well} of {len(there)} parts well{aside}.{whom}"])
