"""The pools at run time: waiting for a slot, giving it back, what is known of members."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cortops.programs.gateway.request import Granted, NotGranted
from cortops.programs.gateway.select import Denied, MemberView, PoolState, Slot
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig, Member
from cortops.words.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How a member is asked."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, member: Member) -> Upstream:
        """The member's base URL and the headers that every request to it carries."""
        headers = (("Authorization", f"Bearer {member.api_key}"), ("Content-Type", "application/json"))
        return cls(url=member.url.rstrip("/"), headers=headers)


class Pools:
    """Every pool's state, with the futures of those who wait. Everything happens in one event loop."""

    def __init__(self, config: GatewayConfig, clock: Clock, deadlines: Deadlines) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._wait_s = {name: pool.queue_wait_s for name, pool in config.pools.items()}
        self._states = {name: PoolState(pool) for name, pool in config.pools.items()}
        self._upstreams = {(name, member.name): Upstream.of(member) for name, pool in config.pools.items() for member in pool.members}
        self._waiting: dict[tuple[str, int], asyncio.Future[Slot]] = {}

    def upstream(self, pool: str, member: str) -> Upstream:
        return self._upstreams[pool, member]

    def views(self) -> dict[str, list[MemberView]]:
        return {name: state.members() for name, state in self._states.items()}

    def queued(self, pool: str) -> int:
        return self._states[pool].queued

    async def acquire(self, pool: str, avoid: frozenset[str]) -> Granted | NotGranted:
        """A slot, waited for as long as the pool allows. Cancelled, it leaves neither a place in the queue nor a slot behind."""
        state = self._states[pool]
        found = state.acquire(avoid)
        if isinstance(found, Slot):
            return Granted(slot=found)
        if isinstance(found, Denied):
            return NotGranted(at=self._clock.now(), kind=found.kind, why=found.why)
        future = self._waiting[pool, found.number] = asyncio.get_running_loop().create_future()
        try:
            async with self._deadlines.within(self._wait_s[pool]):
                return Granted(slot=await future)
        except TimeoutError:
            self._give_up(pool, state, future)
            return NotGranted(at=self._clock.now(), kind="late", why=f"waited {self._wait_s[pool]:g} s")
        except asyncio.CancelledError:
            self._give_up(pool, state, future)
            raise
        finally:
            state.leave(found)
            del self._waiting[pool, found.number]

    def _give_up(self, pool: str, state: PoolState, future: asyncio.Future[Slot]) -> None:
        if future.done() and not future.cancelled():  # granted in the same moment
            state.release(future.result())
            self._pump(pool)

    def release(self, pool: str, slot: Slot) -> None:
        self._states[pool].release(slot)
        self._pump(pool)

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> bool:
        """What a probe or a request says of a member's health; True if the member's state turned."""
        turned = self._states[pool].report(member, ok=ok, why=why)
        if turned and ok:
            self._pump(pool)
        return turned

    def _pump(self, pool: str) -> None:
        """Hand free slots to those who wait. One whose waiter was cancelled in this very turn goes to the next."""
        state = self._states[pool]
        while grants := state.grants():
            for grant in grants:
                future = self._waiting[pool, grant.ticket.number]
                if future.done():
                    state.release(grant.slot)
                else:
                    future.set_result(grant.slot)
