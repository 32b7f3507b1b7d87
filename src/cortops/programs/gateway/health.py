"""Asking members how they are, and saying how the gateway is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from cortops.programs.common.logs import Log
from cortops.programs.gateway.member import MemberView
from cortops.programs.gateway.pools import Pools
from cortops.protocol.gateway import GatewayConfig, Health
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import Clock

STATUS_MAX_MIB = 0.25


class MemberWatch:
    """Asks every member for its status page, each at its pool's pace. `follow` another configuration at any time."""

    def __init__(self, config: GatewayConfig, pools: Pools, http: HttpClient, clock: Clock, log: Log) -> None:
        self._pools = pools
        self._http = http
        self._clock = clock
        self._log = log
        self._changed = asyncio.Event()
        self.follow(config)

    def follow(self, config: GatewayConfig) -> None:
        """Ask those that it names, and them only."""
        self._wanted = {
            (name, member.name): (member.url.rstrip("/") + pool.health.path, pool.health)
            for name, pool in config.pools.items()
            for member in pool.members
        }
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        asked: dict[tuple[str, str], tuple[tuple[str, Health], asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for key, (how, task) in list(asked.items()):
                    if self._wanted.get(key) != how:
                        task.cancel()
                        del asked[key]
                for key, how in self._wanted.items():
                    if key not in asked:
                        asked[key] = how, group.create_task(self._watch(*key, *how))
                await self._changed.wait()

    async def _watch(self, pool: str, member: str, url: str, health: Health) -> None:
        while True:
            ok, why = await ask(self._http, url, health.timeout_s)
            if self._pools.report(pool, member, ok=ok, why=why):
                self._log.info("member_turned", pool=pool, member=member, state="ok" if ok else "down", why=why)
            await self._clock.sleep(health.every_s)


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
    of them that are not a pool's. A pool whose other members are drained is as well as those that are left.
    """
    why = list(troubles)
    pools: dict[str, object] = {}
    for pool, members in views.items():
        wanted = [member for member in members if not member.drained and not member.leaving]
        down = [member for member in wanted if member.state == "down"]
        if len(down) == len(wanted):
            told = [f"{member.name}: {'drained' if member.drained else member.why}" for member in members if not member.leaving]
            why.append(f"pool {pool} has no member: " + "; ".join(told))
        pools[pool] = {
            "state": "down" if len(down) == len(wanted) else "degraded" if down else "ok",
            "models": [alias for alias, served_by in models.items() if served_by == pool],
            "in_flight": sum(member.in_flight for member in members),
            "queued": queued[pool],
            "members": members,
        }
    page = {"name": name, "status": "degraded" if why else "ok", **({"why": why} if why else {}), "own": list(troubles), "pools": pools}
    return (503 if why else 200), msgspec.json.encode(page)
