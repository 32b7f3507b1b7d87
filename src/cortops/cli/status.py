"""`cortops status`: every entity, asked now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from cortops import surfaces
from cortops.cli.compose import Common, Here, environment, here
from cortops.cli.output import show, show_json, table
from cortops.deploy.gate import judge
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.status import EntityState, evidence_of, states
from cortops.environment.graph import depends_on, entities
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.proxy.render import ca_file
from cortops.surfaces.site import Site
from cortops.words.evidence import Evidence
from cortops.words.state import State, worst

ATTENTION = 3
_MARKS = {State.OK: "●", State.DEGRADED: "▲", State.DOWN: "■", State.UNKNOWN: "◌", State.MAINTENANCE: "◇"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything at one moment: the worst state, each entity's, and what was observed."""

    state: State
    entities: tuple[EntityState, ...]
    evidence: tuple[Evidence, ...]


def status(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Ask every entity now; exit 3 when one of them is not ok.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    env = environment(file, common)

    async def ask() -> tuple[Status, dict[str, str]]:
        async with here(env, common) as place:
            return await read_status(place), endpoints(place)

    found, urls = asyncio.run(ask())
    if common.json:
        show_json(_as_json(env.name, found, urls))
    else:
        show(_as_text(env.name, found))
    return 0 if found.state is State.OK else ATTENTION


async def read_status(place: Here) -> Status:
    """One round of questions to everything, judged."""
    deployment = place.deployment
    site = Site(hosts=deployment.hosts, public=deployment.secrets.publics(secrets_of(deployment.env)))
    replies = await deployment.ask(surfaces.questions(deployment.env, site))
    judged = judge(surfaces.checks(deployment.env, site), replies, deployment.clock.now())
    found = states(entities(deployment.env), depends_on(deployment.env), judged)
    return Status(state=worst(item.state for item in found), entities=found, evidence=evidence_of(judged, replies))


def endpoints(place: Here) -> dict[str, str]:
    """Name -> URL of what people may call, and where the authority's certificate lies."""
    env = place.deployment.env
    found = {"rpc": rpc_url(env)}
    for hostname, route in env.proxy.items():
        found |= {route.to: f"https://{hostname}:{route.port}", "ca": ca_file(place.deployment.hosts[route.on])}
    return found


def _as_json(name: str, found: Status, urls: dict[str, str]) -> dict[str, object]:
    return {
        "environment": name,
        "state": found.state,
        "entities": [
            {
                "entity": str(item.entity),
                "kind": item.entity.kind,
                "state": item.state,
                "since": None,  # known once `watch` keeps history
                "reason": item.reason,
                "evidence": list(item.evidence),
                "depends_on": [str(entity) for entity in item.depends_on],
            }
            for item in found.entities
        ],
        "endpoints": urls,
        "evidence": [
            {"id": item.id, "entity": str(item.entity), "value": item.value, "at": item.at, "how": item.how} for item in found.evidence
        ],
    }


def _as_text(name: str, found: Status) -> str:
    well = sum(item.state is State.OK for item in found.entities)
    rows = [(f"{_MARKS[item.state]} {item.state}", str(item.entity), item.reason) for item in found.entities]
    return f"{name} · {well} of {len(rows)} ok · asked now\n" + table(rows, "  ")
