"""Is a pool served? As the gateway sees it: the members that it would choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.gateway.checks import HEALTH
from cortops.surfaces.readings import answered_by, bad, json_of, ok
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import JSONValue, Reply


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for name in env.pools if env.gateway else ():
        pool = Entity("pool", name)
        yield Check(entity=pool, name="served", asks=(HEALTH,), judge=_served(name), owner=env.owner_of(pool), runbook="router")


def _served(pool: str) -> Judge:
    """At least one member is well; the gateway's silence says nothing of its pools."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, HEALTH, "the gateway")
        if isinstance(answer, Verdict):
            return answer
        members = _members(json_of(answer), pool)
        if members is None:
            return bad("the gateway does not know this pool")
        well = [member for member in members if member.get("state") == "ok"]
        if well:
            return ok(f"{len(well)} of {len(members)} members well")
        reasons = "; ".join(f"{member.get('name')}: {member.get('why')}" for member in members)
        return bad(f"no member is well ({reasons})")

    return judge


def _members(health: dict[str, JSONValue], pool: str) -> list[dict[str, JSONValue]] | None:
    pools = health.get("pools")
    found = pools.get(pool) if isinstance(pools, dict) else None
    members = found.get("members") if isinstance(found, dict) else None
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else None
