"""Asking members how they are, and saying how the gateway is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from cortops.programs.common.logs import Log
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.select import MemberView
from cortops.protocol.gateway import GatewayConfig, Health
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import Clock

STATUS_MAX_MIB = 0.25


async def watch_members(config: GatewayConfig, pools: Pools, http: HttpClient, clock: Clock, log: Log) -> None:
    """Ask every member for its status page, each at its pool's pace, until cancelled."""

    async def watch(pool: str, member: str, url: str, health: Health) -> None:
        while True:
            ok, why = await ask(http, url, health.timeout_s)
            if pools.report(pool, member, ok=ok, why=why):
                log.info("member_turned", pool=pool, member=member, state="ok" if ok else "down", why=why)
            await clock.sleep(health.every_s)

    async with asyncio.TaskGroup() as group:
        for name, pool in config.pools.items():
            for member in pool.members:
                group.create_task(watch(name, member.name, member.url.rstrip("/") + pool.health.path, pool.health))


async def ask(http: HttpClient, url: str, timeout_s: float) -> tuple[bool, str]:
    """(well?, why) of one member: 200 is well; what a sick one says of itself is its why."""
    try:
        reply = await http.request("GET", url, timeout_s=timeout_s, body_max_mib=STATUS_MAX_MIB)
    except HttpFailure as error:
        return False, f"its status page: {error.silence.value}"
    if reply.status == 200:
        return True, ""
    return False, f"its status page: {reply.status} {_own_words(reply.body)}".rstrip()


def _own_words(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    why = found.get("why") if isinstance(found, dict) else None
    return str("; ".join(str(part) for part in why) if isinstance(why, list) else why or "")[:200]


def health_page(
    name: str, models: Mapping[str, str], views: Mapping[str, list[MemberView]], queued: Mapping[str, int], troubles: tuple[str, ...]
) -> tuple[int, bytes]:
    """(HTTP status, body) of GET /health. Sessions and addresses of members stay inside (facts B: hide session ids).

    `name` is this process's; in flight and queued are its own, members as it sees them. `why` is every reason against us, `own` those
    of them that are not a pool's.
    """
    why = list(troubles)
    pools: dict[str, object] = {}
    for pool, members in views.items():
        down = [member for member in members if member.state == "down"]
        if len(down) == len(members):
            why.append(f"pool {pool} has no member: " + "; ".join(f"{member.name}: {member.why}" for member in down))
        pools[pool] = {
            "state": "down" if len(down) == len(members) else "degraded" if down else "ok",
            "models": [alias for alias, served_by in models.items() if served_by == pool],
            "in_flight": sum(member.in_flight for member in members),
            "queued": queued[pool],
            "members": members,
        }
    page = {"name": name, "status": "degraded" if why else "ok", **({"why": why} if why else {}), "own": list(troubles), "pools": pools}
    return (503 if why else 200), msgspec.json.encode(page)
