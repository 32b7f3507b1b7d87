"""The pools at run time: waiting for a slot, giving it back, what is known of members, and taking another configuration meanwhile.

Slots may be shared with other processes of the gateway, which cannot tell us when they give one back: while requests wait here, `run`
looks every POLL_EVERY_S. Between processes there is no order of arrival, but who gives a slot back lets the others look first.
"""

from __future__ import annotations

import asyncio
import math

from cortops.programs.gateway.events import Granted, NotGranted
from cortops.programs.gateway.member import MemberView
from cortops.programs.gateway.select import Alone, Denied, PoolState, Rights, Slot
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig, Member
from cortops.protocol.http import Site
from cortops.words.clock import Clock

POLL_EVERY_S = 0.02  # only while requests wait
LET_OTHERS_S = 0.03  # longer than POLL_EVERY_S, so that each of the others has looked


class Pools:
    """Every pool's state, with the futures of those who wait. Everything happens in one event loop."""

    def __init__(self, config: GatewayConfig, clock: Clock, deadlines: Deadlines, rights: Rights | None = None) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._rights = rights or Alone()
        self._somebody_waits = asyncio.Event()
        self._wait_s: dict[str, float] = {}
        self._states: dict[str, PoolState] = {}  # of pools that are no longer declared too, until their last request has ended
        self._declared: tuple[str, ...] = ()
        self._sites: dict[tuple[str, str], Site] = {}  # of (pool, member)
        self._drained: frozenset[str] = frozenset()
        self._waiting: dict[tuple[str, int], asyncio.Future[Slot]] = {}
        self._others_until: dict[str, float] = {}  # pool -> when we may look again, monotonic
        self.configure(config)

    def configure(self, config: GatewayConfig) -> None:
        """Take what is declared now. What is in flight goes on with what it has; what waits may get a new member."""
        at_work, now = bool(self._states), self._clock.monotonic()
        for name, state in list(self._states.items()):
            if name not in config.pools and state.is_over:
                del self._states[name]
        for name, pool in config.pools.items():
            if (known := self._states.get(name)) is not None:
                known.configure(pool, now=now)
            else:
                self._states[name] = PoolState(pool, self._rights)
                self._states[name].drain(self._drained, now)
            self._wait_s[name] = pool.queue_wait_s
            self._sites |= {(name, member.name): site_of(member) for member in pool.members}
        self._declared = tuple(config.pools)
        kept = {(name, member.name) for name, state in self._states.items() for member in state.members(now)}
        self._sites = {key: site for key, site in self._sites.items() if key in kept}
        if at_work:
            for name in self._states:
                self._pump(name)

    def drain(self, drained: frozenset[str]) -> list[str]:
        """All members that get no new request; the names of those that changed."""
        self._drained = drained
        changed = dict.fromkeys(name for state in self._states.values() for name in state.drain(drained, self._clock.monotonic()))
        if changed:
            for name in self._states:
                self._pump(name)
        return list(changed)

    def site(self, pool: str, member: str) -> Site:
        """Where the member is asked, with the headers that every request to it carries."""
        return self._sites[pool, member]

    def views(self) -> dict[str, list[MemberView]]:
        """Every declared pool's members, and of those that are no longer declared the ones that still have requests."""
        now = self._clock.monotonic()
        return {name: self._states[name].members(now) for name in self._declared}

    @property
    def trouble(self) -> str:
        """Why slots cannot be shared with the other processes, "" when they can."""
        return self._rights.trouble

    def queued(self, pool: str) -> int:
        return self._states[pool].queued

    async def run(self) -> None:
        """Try for those who wait where nobody tells of a free slot, until cancelled."""
        while True:
            await self._somebody_waits.wait()
            await self._clock.sleep(POLL_EVERY_S)
            now, again = self._clock.monotonic(), False
            for name, state in self._states.items():
                if state.queued:
                    again = again or self._rights.shared or state.unsettled(now)
                    self._rights.wait(name, True)
                    if not self._lets_others(name):
                        self._pump(name)
            if not again:
                self._somebody_waits.clear()

    async def acquire(self, pool: str, avoid: frozenset[str], *, within_s: float = math.inf) -> Granted | NotGranted:
        """A slot, waited for as long as the pool and `within_s` allow. Cancelled, it leaves no place in the queue and no slot behind."""
        state = self._states.get(pool)
        if state is None:
            return NotGranted(at=self._clock.now(), kind="no_member", why="the pool is no longer declared")
        found = state.acquire(avoid, now=self._clock.monotonic(), polite=self._lets_others(pool))
        if isinstance(found, Slot):
            return Granted(slot=found)
        if isinstance(found, Denied):
            return NotGranted(at=self._clock.now(), kind=found.kind, why=found.why)
        wait_s = min(self._wait_s[pool], within_s)
        future = self._waiting[pool, found.number] = asyncio.get_running_loop().create_future()
        if state.queued == 1:
            self._rights.wait(pool, True)
        self._somebody_waits.set()
        try:
            async with self._deadlines.within(wait_s):
                return Granted(slot=await future)
        except TimeoutError:
            self._give_up(pool, state, future)
            return NotGranted(at=self._clock.now(), kind="late", why=f"waited {wait_s:g} s")
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
        state = self._states[pool]
        state.release(slot)
        if self._rights.others_wait(pool):
            self._others_until[pool] = self._clock.monotonic() + LET_OTHERS_S
        elif state.queued:
            self._pump(pool)

    def _lets_others(self, pool: str) -> bool:
        until = self._others_until.get(pool)
        if until is not None and self._clock.monotonic() >= until:
            del self._others_until[pool]
            until = None
        return until is not None

    def report(self, pool: str, member: str, *, ok: bool, why: str) -> bool:
        """What a status page says of its member; True if the member's state turned."""
        state = self._states.get(pool)
        turned = state is not None and state.report(member, ok=ok, why=why, now=self._clock.monotonic())
        if turned and ok:
            self._pump(pool)
        return turned

    def observe(self, pool: str, member: str, *, ok: bool, why: str) -> bool:
        """What a request learned of its member; True if that took it out."""
        return self._states[pool].observe(member, ok=ok, why=why, now=self._clock.monotonic())

    def _pump(self, pool: str) -> None:
        """Hand free slots to those who wait. One whose waiter was cancelled in this very turn goes to the next."""
        state, now = self._states[pool], self._clock.monotonic()
        if not state.queued:
            return
        while grants := state.grants(now):
            for grant in grants:
                future = self._waiting[pool, grant.ticket.number]
                if future.done():
                    state.release(grant.slot)
                else:
                    future.set_result(grant.slot)
        if not state.queued:
            self._rights.wait(pool, False)
        elif state.unsettled(now):
            self._somebody_waits.set()


def site_of(member: Member) -> Site:
    """Its base URL, and the headers that every request to it carries."""
    return Site.of(member.url, (("Authorization", f"Bearer {member.api_key}"), ("Content-Type", "application/json")))
