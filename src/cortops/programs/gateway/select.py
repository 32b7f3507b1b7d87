"""Which member gets a request: least in flight per capacity, a bounded FIFO queue, health. No I/O of its own, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from cortops.protocol.gateway import Member, Pool

MemberState = Literal["unknown", "ok", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
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
        """Try; False: another process has it now."""
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

    def take(self, _slot: Slot) -> bool:
        return True

    def give(self, _slot: Slot) -> None:
        return None

    def wait(self, _pool: str, _waiting: bool) -> None:
        return None

    def others_wait(self, _pool: str) -> bool:
        return False

    def close(self) -> None:
        return None


class _Member:
    """One member's sessions and health. Each session appears as often as it may be used at once."""

    def __init__(self, member: Member, in_flight_per_session: int) -> None:
        self.name = member.name
        # (session, number), taken from the left, given back on the right: the longest rested first.
        self.free = deque((session, number) for number in range(in_flight_per_session) for session in member.sessions)
        self.capacity = len(self.free)
        self.in_flight = 0  # of this process
        self.elsewhere = 0  # refused to us: another process had them when we last tried
        self.state: MemberState = "unknown"
        self.why = "not asked yet"
        self.streak = 0  # answers in a row that speak against the present state
        self.taken = 0  # when last chosen, in choices

    def view(self) -> MemberView:
        return MemberView(name=self.name, state=self.state, why=self.why, in_flight=self.in_flight, capacity=self.capacity)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """A member as /health shows it; `in_flight` are this process's own."""

    name: str
    state: MemberState
    why: str
    in_flight: int
    capacity: int


class PoolState:
    """Slots, queue and health of one pool. A member not yet asked is used: finding out by a request is better than refusing all.

    `rights` may refuse a slot that is free as far as we know; then it counts as taken, and the next best is tried. Nobody tells us when
    another process gives one back: every choice forgets the oldest refusal, and all of them before it gives up.
    """

    def __init__(self, pool: Pool, rights: Rights | None = None) -> None:
        self._rights = rights or Alone()
        self._members = {member.name: _Member(member, pool.in_flight_per_session) for member in pool.members}
        self._refused: deque[tuple[_Member, tuple[int, int]]] = deque()  # oldest first; at most the pool's slots
        self._queue: deque[Ticket] = deque()
        self._queue_max = pool.queue_max
        self._bad_after = pool.health.bad_after
        self._good_after = pool.health.good_after
        self._choices = 0
        self._tickets = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    def members(self) -> list[MemberView]:
        return [member.view() for member in self._members.values()]

    def acquire(self, avoid: Iterable[str] = (), *, polite: bool = False) -> Slot | Ticket | Denied:
        """A slot now, or a place in the queue, or neither. Who waits already goes first; `polite`: in other processes, too."""
        avoided = frozenset(avoid)
        hopeful = [member for member in self._members.values() if member.state != "down" and member.name not in avoided]
        if not hopeful:
            whys = "; ".join(f"{m.name}: {'tried' if m.name in avoided else m.why}" for m in self._members.values())
            return Denied(kind="no_member", why=whys)
        goes_behind = self._queue or (polite and self._queue_max)
        if not goes_behind and (slot := self._choose(avoided)) is not None:
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
        assert member.in_flight > 0, "a slot is released once"
        self._rights.give(slot)
        member.in_flight -= 1
        member.free.append((slot.session, slot.number))

    def report(self, member: str, *, ok: bool, why: str) -> bool:
        """An answer about a member's health, from a probe or a request; True if its state turned."""
        found = self._members[member]
        speaks_for = found.state == ("ok" if ok else "down")
        if speaks_for:
            found.streak, found.why = 0, why
            return False
        found.streak += 1
        first = ok and found.state == "unknown"  # one good answer proves a member that nothing spoke against
        needed = 1 if first else self._good_after if ok else self._bad_after
        if found.streak < needed:
            return False
        found.state, found.why, found.streak = ("ok" if ok else "down"), why, 0
        return True

    def grants(self) -> list[Grant]:
        """Slots for those who wait, first come first served; ask after every release and report, and now and then if rights are shared."""
        given: list[Grant] = []
        again = True  # what others had a moment ago is tried for the first one only: in this very moment they have it still
        for ticket in list(self._queue):
            slot = self._choose(ticket.avoid, again=again)
            again = False
            if slot is not None:
                self._queue.remove(ticket)
                given.append(Grant(ticket=ticket, slot=slot))
            elif not ticket.avoid:
                break  # nobody behind can be luckier: they avoid as much or more
        return given

    def _choose(self, avoid: frozenset[str], *, again: bool = True) -> Slot | None:
        """The best slot that nobody has. `again`: also try those that were refused before."""
        if self._refused:
            self._forget(1)
        refused = len(self._refused) if again else 0
        while (best := self._best(avoid)) is not None or refused:
            if best is None:
                self._forget(refused)
                refused = 0
                continue
            session, number = best.free.popleft()
            slot = Slot(member=best.name, session=session, number=number)
            if self._rights.take(slot):
                self._choices += 1
                best.taken = self._choices
                best.in_flight += 1
                return slot
            best.elsewhere += 1
            self._refused.append((best, (session, number)))
        return None

    def _best(self, avoid: frozenset[str]) -> _Member | None:
        best: _Member | None = None
        for member in self._members.values():
            if member.free and member.state != "down" and member.name not in avoid and (best is None or _before(member, best)):
                best = member
        return best

    def _forget(self, count: int) -> None:
        """Take the oldest refused slots for free again."""
        for _ in range(count):
            member, place = self._refused.popleft()
            member.elsewhere -= 1
            member.free.append(place)


def _before(one: _Member, other: _Member) -> bool:
    """Less in flight per capacity, whoever's it is, then longer not chosen."""
    mine = (one.in_flight + one.elsewhere) * other.capacity
    theirs = (other.in_flight + other.elsewhere) * one.capacity
    return mine < theirs or (mine == theirs and one.taken < other.taken)
