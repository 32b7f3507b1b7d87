"""What speaks against a member, how it comes back, and what changes while requests are under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.gateway.member import EJECT_MAX_S
from cortops.programs.gateway.select import Denied, PoolState, Slot, Ticket
from cortops.protocol.gateway import Health, Member, Pool

RAMP_S = 20.0
EJECT_S = 10.0


def declared(sessions: Mapping[str, tuple[int, ...]], *, ramp_s: float = RAMP_S, per_session: int = 1, queue_max: int = 64) -> Pool:
    members = tuple(Member(name=name, url="http://h", sessions=found, api_key="k") for name, found in sessions.items())
    health = Health(bad_after=2, good_after=2, eject_s=EJECT_S)
    return Pool(members=members, health=health, return_ramp_s=ramp_s, in_flight_per_session=per_session, queue_max=queue_max)


TWO = {"a": (1, 2, 3, 4), "b": (11, 12, 13, 14)}


@dataclass
class Stage:
    """A pool and its time."""

    state: PoolState
    now: float = 1000.0
    held: list[Slot] = field(default_factory=list)

    def take(self, count: int = 1) -> str:
        """`count` requests; who got them, `-` for one that waits."""
        names = ""
        for _ in range(count):
            found = self.state.acquire(now=self.now)
            if isinstance(found, Slot):
                self.held.append(found)
                names += found.member
            else:
                assert isinstance(found, Ticket)
                assert self.state.leave(found)
                names += "-"
        return names

    def give(self) -> None:
        while self.held:
            self.state.release(self.held.pop())

    def seen(self, name: str) -> tuple[str, int]:
        """A member's state, and how much of it may be used."""
        return next((view.state, view.usable) for view in self.state.members(self.now) if view.name == name)

    def page(self, name: str, answers: str) -> None:
        for answer in answers:
            self.state.report(name, ok=answer == "+", why="ill", now=self.now)

    def requests(self, name: str, ends: str) -> None:
        for end in ends:
            self.state.observe(name, ok=end == "+", why="reset", now=self.now)


def stage(sessions: Mapping[str, tuple[int, ...]] | None = None, **options: float) -> Stage:
    return Stage(PoolState(declared(sessions or TWO, **options)))  # type: ignore[arg-type]


# Requests that fail.


def test_failures_in_a_row_take_a_member_out_that_its_page_speaks_well_of() -> None:
    made = stage()
    made.page("a", "+")
    made.requests("a", "-+-")
    assert made.seen("a") == ("ok", 4)
    made.requests("a", "-")
    made.page("a", "+")
    assert made.seen("a") == ("down", 0) and made.take(5) == "bbbb-"
    (view, _) = made.state.members(made.now)
    assert view.why == "2 requests in a row failed, the last one: reset; asked again in 10 s"


def test_each_time_twice_as_long_until_a_request_goes_well() -> None:
    made = stage(ramp_s=0)
    for times in range(8):
        made.requests("a", "--")
        out_s = min(EJECT_S * 2**times, EJECT_MAX_S)
        made.now += out_s - 0.01
        assert made.seen("a")[0] == "down"
        made.now += 0.01
        assert made.seen("a")[0] != "down"
    made.requests("a", "+--")
    made.now += EJECT_S
    assert made.seen("a") == ("ok", 4)


def test_requests_alone_take_not_all_out() -> None:
    made = stage()
    made.requests("a", "--")
    made.requests("b", "--")
    assert made.seen("a") == made.seen("b") == ("down", 0), "that is told"
    assert made.take(9) == "abababab-", "and tried all the same"


def test_a_request_that_tried_the_others_does_not_wait_for_one_that_is_out() -> None:
    made = stage()
    made.requests("a", "--")
    found = made.state.acquire(["b"], now=made.now)
    assert isinstance(found, Denied) and found.kind == "no_member"
    assert found.why == "a: 2 requests in a row failed, the last one: reset; b: tried"


def test_failures_that_were_under_way_do_not_prolong_it() -> None:
    made = stage(ramp_s=0)
    made.requests("a", "-------")
    made.now += EJECT_S
    assert made.seen("a")[1] == 4


def test_one_that_is_out_and_serves_is_back() -> None:
    made = stage()
    made.requests("a", "--")
    made.requests("a", "+")
    assert made.seen("a") == ("ok", 1)


def test_a_page_that_turned_well_ends_it() -> None:
    made = stage()
    made.page("a", "--")
    made.requests("a", "--")
    made.page("a", "++")
    assert made.seen("a") == ("ok", 1)


# The way back.


@pytest.mark.parametrize(("after_s", "usable"), [(0, 1), (4.9, 1), (5, 1), (10, 2), (15, 3), (19.9, 3), (20, 4), (2000, 4)])
def test_the_share_of_one_that_comes_back_grows(after_s: float, usable: int) -> None:
    made = stage()
    made.page("a", "--")
    made.page("a", "++")
    made.now += after_s
    assert made.seen("a") == ("ok", usable)
    taken = made.take(9)
    assert (taken.count("a"), taken.count("b"), taken.count("-")) == (usable, 4, 5 - usable)


def test_it_is_chosen_by_what_may_be_used() -> None:
    made = stage()
    made.page("a", "--")
    made.page("a", "++")
    made.now += RAMP_S / 2
    assert sorted(made.take(3)) == ["a", "b", "b"], "half its share of requests"


def test_where_all_come_back_none_is_spared() -> None:
    made = stage()
    for name in "ab":
        made.page(name, "--")
        made.page(name, "++")
    assert made.take(9) == "abababab-"


def test_a_drain_takes_out_and_its_end_brings_back_slowly() -> None:
    made = stage()
    assert made.take(2) == "ab"
    assert made.state.drain(frozenset({"a", "elsewhere"}), made.now) == ["a"]
    assert made.state.drain(frozenset({"a"}), made.now) == []
    assert made.take(4) == "bbb-"
    (view, _) = made.state.members(made.now)
    assert (view.state, view.drained, view.in_flight, view.usable) == ("unknown", True, 1, 0), "its own health is another matter"
    made.give()
    assert made.state.drain(frozenset(), made.now) == ["a"]
    assert made.take(6) == "abbbb-"


def test_with_all_drained_nobody_is_asked() -> None:
    made = stage()
    made.state.drain(frozenset("ab"), made.now)
    found = made.state.acquire(now=made.now)
    assert isinstance(found, Denied) and found.why == "a: drained; b: drained"


# What is declared changes.


def test_a_new_member_begins_slowly_and_one_that_goes_ends_its_requests() -> None:
    made = stage()
    assert made.take(8) == "abababab"
    made.state.configure(declared({"b": TWO["b"], "c": (21, 22)}), now=made.now)
    assert [(view.name, view.in_flight, view.leaving) for view in made.state.members(made.now)] == [
        ("b", 4, False),
        ("c", 0, False),
        ("a", 4, True),
    ]
    assert made.take(2) == "c-"
    made.now += RAMP_S
    assert made.take(2) == "c-"
    made.give()
    assert [view.name for view in made.state.members(made.now)] == ["b", "c"], "forgotten with its last request"
    assert sorted(made.take(7)) == ["-", *"bbbbcc"]


def test_what_was_known_of_a_member_holds() -> None:
    made = stage()
    made.page("a", "--")
    made.state.drain(frozenset("b"), made.now)
    made.state.configure(declared({"b": (11,), "a": (1,)}), now=made.now)
    assert {view.name: (view.state, view.drained) for view in made.state.members(made.now)} == {
        "a": ("down", False),
        "b": ("unknown", True),
    }


def test_a_drain_is_known_of_a_member_that_comes_later() -> None:
    made = stage()
    made.state.drain(frozenset("c"), made.now)
    made.state.configure(declared({**TWO, "c": (21,)}), now=made.now)
    made.now += RAMP_S
    assert "c" not in made.take(9)


def test_sessions_that_change_while_they_are_used() -> None:
    made = stage({"a": (1, 2)})
    assert made.take(2) == "aa"
    made.state.configure(declared({"a": (2, 3)}), now=made.now)
    assert made.take(1) == "-", "no member above its capacity"
    made.state.release(made.held.pop(0))  # session 1, which is no longer declared
    assert made.take(2) == "a-" and made.held[-1].session == 3
    made.give()
    assert made.take(3) == "aa-" and sorted(slot.session for slot in made.held) == [2, 3]


def test_a_session_that_moves_is_not_used_twice() -> None:
    made = stage({"a": (1,), "b": (2,)})
    assert made.take(2) == "ab"
    made.state.configure(declared({"a": (2,), "b": (1,)}, ramp_s=0), now=made.now)
    assert made.take(1) == "-"
    made.state.release(made.held.pop(0))  # session 1, of a
    assert made.take(1) == "-", "a has the right to session 2, which b's request has; b has one already"
    made.give()
    assert sorted(made.take(3)) == ["-", "a", "b"]
    assert {(slot.member, slot.session) for slot in made.held} == {("a", 2), ("b", 1)}


def test_one_that_goes_and_comes_again_keeps_its_requests() -> None:
    made = stage()
    assert made.take(2) == "ab"
    made.state.configure(declared({"b": TWO["b"]}), now=made.now)
    made.state.configure(declared(TWO), now=made.now)
    assert {view.name: (view.in_flight, view.leaving) for view in made.state.members(made.now)} == {"a": (1, False), "b": (1, False)}
    assert sorted(made.take(7)) == ["-", *"aaabbb"]


SESSIONS: tuple[dict[str, tuple[int, ...]], ...] = (
    {"a": (1, 2), "b": (3,)},
    {"a": (1,), "b": (2, 3), "c": (4,)},
    {"b": (3,)},
    {"c": (1, 4), "a": (2,)},
)
STEPS = st.one_of(
    st.sampled_from(["ask", "ask", "ask", "release", "release", "leave", "grants", "pass", "pass long"]),
    st.tuples(st.sampled_from(["page", "request"]), st.sampled_from("abc"), st.booleans()),
    st.tuples(st.just("avoid"), st.sampled_from("abc")),
    st.tuples(st.just("drain"), st.frozensets(st.sampled_from("abc"))),
    st.tuples(st.just("configure"), st.integers(0, len(SESSIONS) - 1), st.integers(1, 2)),
)


class Model:
    """What must hold of a pool after every step, whatever the steps."""

    def __init__(self) -> None:
        self.which, self.per_session = 0, 1
        self.state = PoolState(self.declared())
        self.now = 0.0
        self.held: list[Slot] = []
        self.waiting: list[Ticket] = []
        self.drained: frozenset[str] = frozenset()

    def declared(self) -> Pool:
        return declared(SESSIONS[self.which], per_session=self.per_session, queue_max=4)

    def got(self, slot: Slot) -> None:
        sessions = SESSIONS[self.which]
        assert slot.member in sessions and slot.session in sessions[slot.member] and slot.number < self.per_session
        assert slot.member not in self.drained
        assert (slot.session, slot.number) not in {(other.session, other.number) for other in self.held}
        self.held.append(slot)
        assert sum(other.member == slot.member for other in self.held) <= len(sessions[slot.member]) * self.per_session

    def ask(self, avoid: str = "") -> None:
        found = self.state.acquire(avoid, now=self.now)
        if isinstance(found, Slot):
            assert not self.waiting and found.member != avoid
            self.got(found)
        elif isinstance(found, Ticket):
            self.waiting.append(found)

    def grants(self) -> None:
        for grant in self.state.grants(self.now):
            assert grant.slot.member not in grant.ticket.avoid
            self.waiting.remove(grant.ticket)
            self.got(grant.slot)

    def step(self, step: object) -> None:
        match step:
            case "ask":
                self.ask()
            case ("avoid", str(member)):
                self.ask(member)
            case "release" if self.held:
                self.state.release(self.held.pop(0))
            case "leave" if self.waiting:
                assert self.state.leave(self.waiting.pop())
            case "grants":
                self.grants()
            case "pass" | "pass long":
                self.now += 3.0 if step == "pass" else 400.0
            case ("page", str(member), bool(ok)):
                self.state.report(member, ok=ok, why="", now=self.now)
            case ("request", str(member), bool(ok)):
                self.state.observe(member, ok=ok, why="", now=self.now)
            case ("drain", frozenset() as drained):
                self.drained = drained
                self.state.drain(drained, self.now)
            case ("configure", int(which), int(per_session)):
                self.which, self.per_session = which, per_session
                self.state.configure(self.declared(), now=self.now)


@given(st.lists(STEPS, max_size=120))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_no_slot_is_lost_or_doubled_and_no_member_is_above_its_capacity(steps: list[object]) -> None:
    model = Model()
    for step in steps:
        model.step(step)
        assert sum(view.in_flight for view in model.state.members(model.now)) == len(model.held)
        assert model.state.queued == len(model.waiting)
        assert model.state.is_over == (not model.held and not model.waiting)
    while model.held:
        model.state.release(model.held.pop())
    while model.waiting:
        assert model.state.leave(model.waiting.pop())
    model.step(("drain", frozenset()))
    for member in "abc":
        for _ in range(2):
            model.state.report(member, ok=True, why="", now=model.now)
    model.now += 10_000.0
    places = sum(len(sessions) for sessions in SESSIONS[model.which].values()) * model.per_session
    for _ in range(places):
        model.ask()
    assert len(model.held) == places, "all that is declared can be used"
