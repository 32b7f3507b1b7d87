"""The pools at run time: waiting for a slot, giving it back, what is known of members.

Slots may be shared with other processes of the gateway, which cannot tell us when they give one back: while requests wait here, `run`
looks every POLL_EVERY_S. Between processes there is no order of arrival, but who gives a slot back lets the others look first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cortops.programs.gateway.events import Granted, NotGranted
from cortops.programs.gateway.select import Alone, Denied, MemberView, PoolState, Rights, Slot
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig, Member
from cortops.words.clock import Clock

POLL_EVERY_S = 0.02  # only while requests wait
LET_OTHERS_S = 0.03  # longer than POLL_EVERY_S, so that each of the others has looked


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

    def __init__(self, config: GatewayConfig, clock: Clock, deadlines: Deadlines, rights: Rights | None = None) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._rights = rights or Alone()
        self._somebody_waits = asyncio.Event()
        self._wait_s = {name: pool.queue_wait_s for name, pool in config.pools.items()}
        self._states = {name: PoolState(pool, self._rights) for name, pool in config.pools.items()}
        self._upstreams = {(name, member.name): Upstream.of(member) for name, pool in config.pools.items() for member in pool.members}
        self._waiting: dict[tuple[str, int], asyncio.Future[Slot]] = {}
        self._others_until: dict[str, float] = {}  # pool -> when we may look again, monotonic

    def upstream(self, pool: str, member: str) -> Upstream:
        return self._upstreams[pool, member]

    def views(self) -> dict[str, list[MemberView]]:
        return {name: state.members() for name, state in self._states.items()}

    @property
    def trouble(self) -> str:
        """Why slots cannot be shared with the other processes, "" when they can."""
        return self._rights.trouble

    def queued(self, pool: str) -> int:
        return self._states[pool].queued

    async def run(self) -> None:
        """Try for those who wait, until cancelled; returns at once where slots are shared with nobody."""
        while self._rights.shared:
            await self._somebody_waits.wait()
            await self._clock.sleep(POLL_EVERY_S)
            for name, state in self._states.items():
                if state.queued:
                    self._rights.wait(name, True)
                    if not self._lets_others(name):
                        self._pump(name)
            if not self._waiting:
                self._somebody_waits.clear()

    async def acquire(self, pool: str, avoid: frozenset[str]) -> Granted | NotGranted:
        """A slot, waited for as long as the pool allows. Cancelled, it leaves neither a place in the queue nor a slot behind."""
        state = self._states[pool]
        found = state.acquire(avoid, polite=self._lets_others(pool))
        if isinstance(found, Slot):
            return Granted(slot=found)
        if isinstance(found, Denied):
            return NotGranted(at=self._clock.now(), kind=found.kind, why=found.why)
        future = self._waiting[pool, found.number] = asyncio.get_running_loop().create_future()
        if state.queued == 1:
            self._rights.wait(pool, True)
        self._somebody_waits.set()
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
            del self._waiting[pool, found.number]
            if state.leave(found) and not state.queued:
                self._rights.wait(pool, False)

    def _give_up(self, pool: str, state: PoolState, future: asyncio.Future[Slot]) -> None:
        if future.done() and not future.cancelled():  # granted in the same moment
            state.release(future.result())
            self._pump(pool)

    def release(self, pool: str, slot: Slot) -> None:
        """The request on `slot` is over; who waits gets it, other processes by their own look."""
        self._states[pool].release(slot)
        if self._rights.others_wait(pool):
            self._others_until[pool] = self._clock.monotonic() + LET_OTHERS_S
        else:
            self._pump(pool)

    def _lets_others(self, pool: str) -> bool:
        until = self._others_until.get(pool)
        if until is not None and self._clock.monotonic() >= until:
            del self._others_until[pool]
            until = None
        return until is not None

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> bool:
        """What a probe or a request says of a member's health; True if the member's state turned."""
        turned = self._states[pool].report(member, ok=ok, why=why)
        if turned and ok:
            self._pump(pool)
        return turned

    def _pump(self, pool: str) -> None:
        """Hand free slots to those who wait. One whose waiter was cancelled in this very turn goes to the next."""
        state = self._states[pool]
        if not state.queued:
            return
        while grants := state.grants():
            for grant in grants:
                future = self._waiting[pool, grant.ticket.number]
                if future.done():
                    state.release(grant.slot)
                else:
                    future.set_result(grant.slot)
        if not state.queued:
            self._rights.wait(pool, False)
