"""Which member gets a request: least in flight per capacity, a bounded FIFO queue. No I/O of its own, no clock: `now` is monotonic seconds.

What may change while requests are under way: health, drains, and by `configure` the members themselves.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct

from cortops.programs.gateway.member import LiveMember, MemberView, Place
from cortops.protocol.gateway import Pool


class Slot(Struct, frozen=True, kw_only=True):
    """The right to have one request in flight on one session of one member; `number` counts a session's rights from 0."""

    member: str
    session: int
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A place in the queue; `avoid` are members that this request has tried."""

    number: int
    avoid: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """No slot and no place: the queue is full, or no member can ever serve this request as things are."""

    kind: Literal["queue_full", "no_member"]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A queued request's slot."""

    ticket: Ticket
    slot: Slot


class Rights(Protocol):
    """Slots as all processes of the gateway share them."""

    shared: bool

    @property
    def trouble(self) -> str:
        """Why they cannot be shared, "" when they can."""
        ...

    def take(self, slot: Slot) -> bool:
        """Try; False: another process has it now, or this one itself for a member that had the session before."""
        ...

    def give(self, slot: Slot) -> None:
        """Give back what was taken."""
        ...

    def wait(self, pool: str, waiting: bool) -> None:
        """Let the other processes know whether requests wait here."""
        ...

    def others_wait(self, pool: str) -> bool:
        """Whether requests wait in another process."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Alone:
    """The rights of a gateway's only process: all."""

    shared = False
    trouble = ""

    def __init__(self) -> None:
        self._taken: set[Place] = set()

    def take(self, slot: Slot) -> bool:
        place = (slot.session, slot.number)
        if place in self._taken:
            return False
        self._taken.add(place)
        return True

    def give(self, slot: Slot) -> None:
        self._taken.discard((slot.session, slot.number))

    def wait(self, _pool: str, _waiting: bool) -> None:
        return None

    def others_wait(self, _pool: str) -> bool:
        return False

    def close(self) -> None:
        return None


class PoolState:
    """Slots, queue and health of one pool.

    Chosen from are members that neither their status page nor a person speaks against, and their requests only where others are left:
    finding out by a request is better than refusing all. For the same reason one that was not asked yet is used, and a share that grows
    is limited only beside a member that has its whole one.

    `rights` may refuse a slot that is free as far as we know; then it counts as taken, and the next best is tried. Nobody tells us when
    another process gives one back: every choice forgets the oldest refusal, and all of them before it gives up.
    """

    def __init__(self, pool: Pool, rights: Rights | None = None) -> None:
        self._rights = rights or Alone()
        self._members: dict[str, LiveMember] = {}
        self._refused: deque[tuple[LiveMember, Place]] = deque()  # oldest first; at most the pool's slots
        self._queue: deque[Ticket] = deque()
        self._drained: frozenset[str] = frozenset()
        self._choices = 0
        self._tickets = 0
        self._usable: list[LiveMember] = []  # those to choose from, as of the last `_sort`
        self._growing = False  # some of them have not their whole share yet, and some have
        self._sorted_until = -math.inf
        self.configure(pool, now=None)

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def is_over(self) -> bool:
        """Nothing is in flight, and nobody waits."""
        return not self._queue and not any(member.out for member in self._members.values())

    def unsettled(self, now: float) -> bool:
        """Whether a slot may become free of which no release tells."""
        if now >= self._sorted_until:
            self._sort(now)
        return bool(self._refused) or self._sorted_until < math.inf

    def members(self, now: float) -> list[MemberView]:
        return [member.view(now) for member in self._members.values()]

    def configure(self, pool: Pool, *, now: float | None) -> None:
        """Take what is declared; now: of a pool that is at work, so that new members begin with a small share. A member that is no longer
        declared gets nothing new, and is forgotten when its last request has ended.
        """
        self._queue_max = pool.queue_max
        before, self._members = self._members, {}
        for declared in pool.members:
            found = before.pop(declared.name, None)
            member = self._members[declared.name] = found or LiveMember(declared.name)
            refused = frozenset(place for whose, place in self._refused if whose is member)
            member.configure(declared, pool.in_flight_per_session, pool.health, pool.return_ramp_s, refused)
            member.drained = declared.name in self._drained
            if now is not None and found is None:
                member.begin(now)
        for member in before.values():
            member.leave()
            if member.out:
                self._members[member.name] = member
        self._sorted_until = -math.inf

    def drain(self, drained: frozenset[str], now: float) -> list[str]:
        """All members that get no new request, of other pools too. The names of this pool's that changed."""
        self._drained = drained
        changed = [member.name for member in self._members.values() if member.drain(member.name in drained, now)]
        if changed:
            self._sorted_until = -math.inf
        return changed

    def acquire(self, avoid: Iterable[str] = (), *, now: float, polite: bool = False) -> Slot | Ticket | Denied:
        """A slot now, or a place in the queue, or neither. Who waits already goes first; `polite`: in other processes, too."""
        avoided = frozenset(avoid)
        if now >= self._sorted_until:
            self._sort(now)
        if not self._usable or (avoided and all(member.name in avoided for member in self._usable)):
            return Denied(kind="no_member", why="; ".join(self._whys(avoided, now)))
        goes_behind = self._queue or (polite and self._queue_max)
        if not goes_behind and (slot := self._choose(avoided, now)) is not None:
            return slot
        if len(self._queue) >= self._queue_max:
            return Denied(kind="queue_full", why=f"{len(self._queue)} requests are waiting")
        self._tickets += 1
        ticket = Ticket(number=self._tickets, avoid=avoided)
        self._queue.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> bool:
        """Give the place in the queue up; False if a slot was granted already."""
        if ticket not in self._queue:
            return False
        self._queue.remove(ticket)
        return True

    def release(self, slot: Slot) -> None:
        """The request on `slot` is over; `grants` tells who is next."""
        member = self._members[slot.member]
        place = (slot.session, slot.number)
        assert place in member.out, "a slot is released once"
        self._rights.give(slot)
        member.out.remove(place)
        member.put(place)
        if member.leaving and not member.out:
            del self._members[slot.member]

    def report(self, member: str, *, ok: bool, why: str, now: float) -> bool:
        """What a member's status page says; True if its state turned. Nothing of one that is no longer there."""
        found = self._members.get(member)
        return found is not None and self._turned(found.report(ok=ok, why=why, now=now))

    def observe(self, member: str, *, ok: bool, why: str, now: float) -> bool:
        """What a request learned of its member; True if that took it out."""
        found = self._members.get(member)
        if found is None:
            return False
        if found.is_ejected(now) and ok:
            self._sorted_until = -math.inf
        return self._turned(found.observe(ok=ok, why=why, now=now))

    def _turned(self, turned: bool) -> bool:
        if turned:
            self._sorted_until = -math.inf
        return turned

    def grants(self, now: float) -> list[Grant]:
        """Slots for those who wait, first come first served; ask after every release and report, and now and then while `unsettled`."""
        if now >= self._sorted_until:
            self._sort(now)
        given: list[Grant] = []
        again = True  # what others had a moment ago is tried for the first one only: in this very moment they have it still
        for ticket in list(self._queue):
            slot = self._choose(ticket.avoid, now, again=again)
            again = False
            if slot is not None:
                self._queue.remove(ticket)
                given.append(Grant(ticket=ticket, slot=slot))
            elif not ticket.avoid:
                break  # nobody behind can be luckier: they avoid as much or more
        return given

    def _sort(self, now: float) -> None:
        """Whom to choose from, and until when that holds if nothing happens."""
        open_ = [member for member in self._members.values() if member.is_open]
        self._usable = [member for member in open_ if not member.is_ejected(now)] or open_
        growing = [member for member in self._usable if now < member.steady_at]
        self._growing = 0 < len(growing) < len(self._usable)
        ends = [member.ejected_until for member in open_ if member.is_ejected(now)] + [member.steady_at for member in growing]
        self._sorted_until = min(ends, default=math.inf)

    def _whys(self, avoided: frozenset[str], now: float) -> Iterable[str]:
        for member in self._members.values():
            if not member.leaving:
                yield f"{member.name}: {'tried' if member.name in avoided else member.why_not(now)}"

    def _choose(self, avoid: frozenset[str], now: float, *, again: bool = True) -> Slot | None:
        """The best slot that nobody has. `again`: also try those that were refused before."""
        if self._refused:
            self._forget(1)
        refused = len(self._refused) if again else 0
        while (best := self._best(avoid, now)) is not None or refused:
            if best is None:
                self._forget(refused)
                refused = 0
                continue
            place = best.take()
            slot = Slot(member=best.name, session=place[0], number=place[1])
            if self._rights.take(slot):
                self._choices += 1
                best.taken = self._choices
                best.out.add(place)
                return slot
            best.elsewhere += 1
            self._refused.append((best, place))
        return None

    def _best(self, avoid: frozenset[str], now: float) -> LiveMember | None:
        """Least in flight per what may be used, whoever's it is, then longest not chosen."""
        best: LiveMember | None = None
        least, of = 0, 1
        for member in self._usable:
            if not member.free or member.name in avoid:
                continue
            load, usable = len(member.out) + member.elsewhere, member.usable(now) if self._growing else member.capacity
            if load >= usable:
                continue
            mine, theirs = load * of, least * usable
            if best is None or mine < theirs or (mine == theirs and member.taken < best.taken):
                best, least, of = member, load, usable
        return best

    def _forget(self, count: int) -> None:
        """Take the oldest refused slots for free again."""
        for _ in range(count):
            member, place = self._refused.popleft()
            member.elsewhere -= 1
            member.put(place)
