"""One member of a pool: its places, its health as probes and requests know it, and how much of it may be used now. Times are given."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from cortops.protocol.gateway import Health, Member

MemberState = Literal["unknown", "ok", "down"]
Place = tuple[int, int]  # (session, number): `number` counts a session's rights from 0

EJECT_MAX_S = 300.0  # longest time that requests alone keep a member out


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """A member as /health shows it; `in_flight` are this process's own.

    usable: how many of its `capacity` may be used now: fewer while it comes back. leaving: no longer declared, its last requests end.
    """

    name: str
    state: MemberState
    why: str
    in_flight: int
    capacity: int
    usable: int
    drained: bool = False
    leaving: bool = False


class LiveMember:
    """One member. Three things speak against choosing it, each by itself: its status page, its requests, a person.

    Its status page (`report`): `bad_after` bad answers in a row take it out, `good_after` good ones bring it back. Its requests
    (`observe`): as many failures in a row take it out for `eject_s`, twice as long each time, until one goes well. A person: a drain.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.capacity = 0
        self.free: deque[Place] = deque()  # taken from the left, given back on the right: the longest rested first
        self.out: set[Place] = set()  # in flight, of this process
        self.elsewhere = 0  # refused to us: another process had them when we last tried
        self.state: MemberState = "unknown"
        self.drained = False
        self.leaving = False
        self.ejected_until = -math.inf
        self.back_at = -math.inf  # since when its share grows
        self.taken = 0  # when last chosen, in choices
        self._places: frozenset[Place] = frozenset()
        self._why = "not asked yet"
        self._streak = 0  # answers of its status page in a row that speak against the present state
        self._failures = 0  # of requests, in a row
        self._ejections = 0  # in a row
        self._ejected_why = ""
        self._health = Health()
        self._ramp_s = 0.0

    def configure(self, member: Member, in_flight_per_session: int, health: Health, ramp_s: float, refused: frozenset[Place]) -> None:
        """Take what is declared of it now. Places in flight, and those in `refused` that it does not know as free, stay as they are."""
        wanted = [(session, number) for number in range(in_flight_per_session) for session in member.sessions]
        self._places = frozenset(wanted)
        kept = [place for place in self.free if place in self._places]
        known = self.out.union(kept, refused)
        self.free = deque((*kept, *(place for place in wanted if place not in known)))
        self.capacity = len(wanted)
        self.leaving = False
        self._health, self._ramp_s = health, ramp_s

    def leave(self) -> None:
        """It is no longer declared: it gets no new request, and is forgotten when its last one has ended."""
        self.leaving = True
        self._places = frozenset()
        self.free.clear()

    def take(self) -> Place:
        """The place that has rested longest; there is one."""
        return self.free.popleft()

    def put(self, place: Place) -> None:
        """A place is free again, if it is still declared."""
        if place in self._places:
            self.free.append(place)

    @property
    def is_open(self) -> bool:
        """Neither its status page nor a person says no; requests may still (`is_ejected`)."""
        return self.state != "down" and not self.drained and not self.leaving

    def is_ejected(self, now: float) -> bool:
        return now < self.ejected_until

    @property
    def steady_at(self) -> float:
        """When its share has grown to the whole."""
        return max(self.back_at, self.ejected_until) + self._ramp_s

    def usable(self, now: float) -> int:
        """How many of its places may be used: all, or 1 and more while it comes back."""
        back_at = max(self.back_at, self.ejected_until)
        if self._ramp_s <= 0 or now >= back_at + self._ramp_s:
            return self.capacity
        return max(1, int(self.capacity * (now - back_at) / self._ramp_s))

    def report(self, *, ok: bool, why: str, now: float) -> bool:
        """What its status page says; True if its state turned."""
        if self.state == ("ok" if ok else "down"):
            self._streak, self._why = 0, why
            return False
        self._streak += 1
        first = ok and self.state == "unknown"  # one good answer proves a member that nothing spoke against
        if self._streak < (1 if first else self._health.good_after if ok else self._health.bad_after):
            return False
        if ok and not first:
            self._come_back(now)
        self.state, self._why, self._streak = ("ok" if ok else "down"), why, 0
        return True

    def observe(self, *, ok: bool, why: str, now: float) -> bool:
        """What a request learned of it; True if that took it out."""
        if ok:
            if self.state == "unknown":
                self.state, self._why = "ok", ""
            if self.is_ejected(now):
                self._come_back(now)
            self._failures = self._ejections = 0
            return False
        self._failures += 1
        if self._failures < self._health.bad_after or self.is_ejected(now):
            return False
        self.ejected_until = now + min(self._health.eject_s * 2**self._ejections, EJECT_MAX_S)
        self._ejected_why = f"{self._failures} requests in a row failed, the last one: {why}"
        self._ejections += 1
        self._failures = 0
        return True

    def drain(self, drained: bool, now: float) -> bool:
        """A person takes it out, or lets it back; True if that changed anything."""
        if drained == self.drained:
            return False
        self.drained = drained
        if not drained:
            self.back_at = now
        return True

    def begin(self, now: float) -> None:
        """It came to a pool that was already at work."""
        self.back_at = now

    def why_not(self, now: float) -> str:
        """Why it is not chosen now, "" for nothing."""
        if self.drained:
            return "drained"
        if self.state == "down":
            return self._why
        return self._ejected_why if self.is_ejected(now) else ""

    def view(self, now: float) -> MemberView:
        ejected = self.state != "down" and self.is_ejected(now)
        return MemberView(
            name=self.name,
            state="down" if ejected else self.state,
            why=f"{self._ejected_why}; asked again in {self.ejected_until - now:.0f} s" if ejected else self._why,
            in_flight=len(self.out),
            capacity=self.capacity,
            usable=self.usable(now) if self.is_open and not ejected else 0,
            drained=self.drained,
            leaving=self.leaving,
        )

    def _come_back(self, now: float) -> None:
        self.back_at, self.ejected_until = now, -math.inf
        self._failures = self._ejections = 0
