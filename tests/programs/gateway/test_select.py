"""PoolState as tables: who is chosen, who waits, who is down."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_rights import Shared

from cortops.programs.gateway.select import Denied, PoolState, Rights, Slot, Ticket
from cortops.protocol.gateway import Health, Member, Pool

NOW = 1000.0


def pool(sessions: dict[str, tuple[int, ...]], rights: Rights | None = None, **options: object) -> PoolState:
    members = tuple(Member(name=name, url="http://h", sessions=found, api_key="k") for name, found in sessions.items())
    of = {"return_ramp_s": 0.0, **options}
    return PoolState(Pool(members=members, health=Health(bad_after=2, good_after=2, eject_s=10), **of), rights)  # type: ignore[arg-type]


def slot(found: Slot | Ticket | Denied) -> Slot:
    assert isinstance(found, Slot), found
    return found


def ticket(found: Slot | Ticket | Denied) -> Ticket:
    assert isinstance(found, Ticket), found
    return found


def denied(found: Slot | Ticket | Denied) -> Denied:
    assert isinstance(found, Denied), found
    return found


def test_least_in_flight_per_capacity_then_longest_rested() -> None:
    state = pool({"a": (1,), "b": (2, 3, 4)})
    taken = [slot(state.acquire(now=NOW)) for _ in range(4)]
    assert [(found.member, found.session) for found in taken] == [("a", 1), ("b", 2), ("b", 3), ("b", 4)]
    state.release(taken[2])
    state.release(taken[1])
    assert slot(state.acquire(now=NOW)).session == 3, "the session that rested longest"


def test_equal_members_take_turns() -> None:
    state = pool({"a": (1, 2), "b": (3, 4)})
    order = []
    for _ in range(4):
        found = slot(state.acquire(now=NOW))
        order.append(found.member)
        state.release(found)
    assert order == ["a", "b", "a", "b"]


def test_in_flight_per_session() -> None:
    state = pool({"a": (1, 2)}, in_flight_per_session=2)
    assert [slot(state.acquire(now=NOW)).session for _ in range(4)] == [1, 2, 1, 2]
    ticket(state.acquire(now=NOW))


def test_queue_is_first_come_first_served_and_bounded() -> None:
    state = pool({"a": (1,)}, queue_max=2)
    held = slot(state.acquire(now=NOW))
    first, second = ticket(state.acquire(now=NOW)), ticket(state.acquire(now=NOW))
    assert denied(state.acquire(now=NOW)).kind == "queue_full"
    assert state.grants(NOW) == []
    state.release(held)
    (grant,) = state.grants(NOW)
    assert grant.ticket == first and state.queued == 1
    assert not state.leave(first) and state.leave(second) and not state.leave(second)


def test_nobody_overtakes_the_queue() -> None:
    state = pool({"a": (1,)})
    held = slot(state.acquire(now=NOW))
    first = ticket(state.acquire(now=NOW))
    state.release(held)
    late = ticket(state.acquire(now=NOW))
    assert [grant.ticket for grant in state.grants(NOW)] == [first]
    assert state.leave(late)


def test_a_ticket_that_avoids_the_free_member_lets_others_by() -> None:
    state = pool({"a": (1,), "b": (2,)})
    a, b = slot(state.acquire(now=NOW)), slot(state.acquire(now=NOW))
    picky = ticket(state.acquire(avoid=["a"], now=NOW))
    easy = ticket(state.acquire(now=NOW))
    state.release(a)
    assert [grant.ticket for grant in state.grants(NOW)] == [easy]
    state.release(b)
    assert [(grant.ticket, grant.slot.member) for grant in state.grants(NOW)] == [(picky, "b")]


def test_no_member_is_said_at_once_with_every_reason() -> None:
    state = pool({"a": (1,), "b": (2,)})
    for _ in range(2):
        state.report("a", ok=False, why="refused", now=NOW)
    found = denied(state.acquire(avoid=["b"], now=NOW))
    assert (found.kind, found.why) == ("no_member", "a: refused; b: tried")


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        ("+", "+"),
        ("-", "?"),
        ("--", "?-"),
        ("-+", "?+"),
        ("+-+-", "++++"),
        ("+--", "++-"),
        ("+--+", "++--"),
        ("+--++", "++--+"),
        ("--+-+", "?----"),
        ("--+-++", "?----+"),
    ],
)
def test_health_turns_after_m_answers_in_a_row(answers: str, states: str) -> None:
    state = pool({"a": (1,)})
    seen = ""
    for answer in answers:
        before = state.members(NOW)[0].state
        turned = state.report("a", ok=answer == "+", why="" if answer == "+" else "bad", now=NOW)
        after = state.members(NOW)[0].state
        assert turned == (before != after)
        seen += {"ok": "+", "down": "-", "unknown": "?"}[after]
    assert seen == states


def test_a_returning_member_is_given_to_those_who_wait() -> None:
    state = pool({"a": (1,), "b": (2,)})
    for _ in range(2):
        state.report("a", ok=False, why="x", now=NOW)
    slot(state.acquire(now=NOW))
    waiting = ticket(state.acquire(now=NOW))
    for _ in range(2):
        state.report("a", ok=True, why="", now=NOW)
    assert [(grant.ticket, grant.slot.member) for grant in state.grants(NOW)] == [(waiting, "a")]


@given(st.lists(st.integers(0, 5), max_size=200))
def test_slots_and_places_are_never_lost_or_doubled(steps: list[int]) -> None:
    state = pool({"a": (1, 2), "b": (3,)}, queue_max=3)
    held: list[Slot] = []
    waiting: list[Ticket] = []
    for step in steps:
        if step <= 2:
            found = state.acquire(now=NOW)
            if isinstance(found, Slot):
                held.append(found)
            elif isinstance(found, Ticket):
                waiting.append(found)
            else:
                assert len(waiting) == 3 or not any(member.state != "down" for member in state.members(NOW))
        elif step == 3 and held:
            state.release(held.pop(0))
            for grant in state.grants(NOW):
                assert grant.ticket == waiting.pop(0)
                held.append(grant.slot)
        elif step == 4 and waiting:
            assert state.leave(waiting.pop())
        assert len({found.session for found in held}) == len(held)
        assert sum(member.in_flight for member in state.members(NOW)) == len(held)
        assert state.queued == len(waiting)


def test_a_slot_that_another_process_has_counts_as_taken_and_the_next_is_tried() -> None:
    shared = Shared()
    one, other = (pool({"a": (1,), "b": (2, 3)}, shared.of(name)) for name in ("one", "other"))
    first = slot(one.acquire(now=NOW))
    assert first.member == "a"
    assert [slot(other.acquire(now=NOW)).session for _ in range(2)] == [2, 3]
    assert [member.in_flight for member in other.members(NOW)] == [0, 2], "only its own are told"
    ticket(other.acquire(now=NOW))
    other.release(Slot(member="b", session=2))
    assert slot(one.acquire(now=NOW)).session == 2


def test_load_is_counted_whoever_has_it() -> None:
    shared = Shared()
    one, other = (pool({"a": (1, 2), "b": (3, 4)}, shared.of(name)) for name in ("one", "other"))
    assert [slot(one.acquire(now=NOW)).session for _ in range(3)] == [1, 3, 2]
    assert [slot(other.acquire(now=NOW)).session] == [4], "a was refused once, so b looked freer"


def test_what_another_process_gave_back_is_found_again() -> None:
    shared = Shared()
    one, other = (pool({"a": (1,), "b": (2,)}, shared.of(name)) for name in ("one", "other"))
    held = slot(one.acquire(now=NOW))
    seconds = [slot(other.acquire(now=NOW))]
    waiting = ticket(other.acquire(now=NOW))
    assert other.grants(NOW) == []
    one.release(held)
    (grant,) = other.grants(NOW)
    assert (grant.ticket, grant.slot.member) == (waiting, "a")
    other.release(seconds[0])
    other.release(grant.slot)
    assert {slot(one.acquire(now=NOW)).member, slot(one.acquire(now=NOW)).member} == {"a", "b"}


def test_who_is_polite_goes_behind_those_who_wait_elsewhere_if_there_is_a_queue() -> None:
    state = pool({"a": (1,)})
    waiting = ticket(state.acquire(polite=True, now=NOW))
    assert [grant.ticket for grant in state.grants(NOW)] == [waiting]
    assert slot(pool({"a": (1,)}, queue_max=0).acquire(polite=True, now=NOW)).session == 1


def test_each_slot_is_tried_at_most_once_a_look() -> None:
    shared = Shared()
    one, other = (pool({"a": tuple(range(10)), "b": tuple(range(10, 20))}, shared.of(name)) for name in ("one", "other"))
    for _ in range(20):
        slot(one.acquire(now=NOW))
    for _ in range(3):
        before = shared.tries
        ticket(other.acquire(now=NOW))
        assert shared.tries - before in (0, 20)
    before = shared.tries
    assert other.grants(NOW) == []
    assert shared.tries - before == 20


def test_a_killed_process_leaves_its_slots_to_the_others() -> None:
    shared = Shared()
    one, other = (pool({"a": (1,), "b": (2,)}, shared.of(name)) for name in ("one", "other"))
    slot(one.acquire(now=NOW)), slot(one.acquire(now=NOW))
    waiting = ticket(other.acquire(now=NOW))
    shared.kill("one")
    assert [grant.ticket for grant in other.grants(NOW)] == [waiting]


@dataclass
class Process:
    """One process of a simulated gateway: its state, what it holds, who waits in it."""

    name: str
    state: PoolState
    held: list[Slot] = field(default_factory=list)
    waiting: list[Ticket] = field(default_factory=list)

    def look(self) -> None:
        for grant in self.state.grants(NOW):
            self.waiting.remove(grant.ticket)
            self.held.append(grant.slot)

    def ask(self, avoid: str) -> None:
        found = self.state.acquire(avoid, now=NOW)
        if isinstance(found, Slot):
            self.held.append(found)
        elif isinstance(found, Ticket):
            self.waiting.append(found)


MEMBERS = {"a": (1, 2), "b": (3,)}
STEPS = ("ask", "avoid_a", "release", "look", "leave", "kill", "turn")


@given(st.lists(st.tuples(st.sampled_from("01"), st.sampled_from(STEPS)), max_size=200))
def test_two_processes_never_have_the_same_slot_and_lose_none(steps: list[tuple[str, str]]) -> None:
    shared = Shared()
    processes = {name: Process(name, pool(MEMBERS, shared.of(name), in_flight_per_session=2, queue_max=3)) for name in "01"}
    for name, step in steps:
        process = processes[name]
        if step in ("ask", "avoid_a"):
            process.ask("a" if step == "avoid_a" else "")
        elif step == "release" and process.held:
            process.state.release(process.held.pop(0))
        elif step == "look":
            process.look()
        elif step == "leave" and process.waiting:
            assert process.state.leave(process.waiting.pop())
        elif step == "kill":
            shared.kill(name)
            processes[name] = Process(name, pool(MEMBERS, shared.of(name), in_flight_per_session=2, queue_max=3))
        elif step == "turn":
            process.state.report("a", ok=process.state.members(NOW)[0].state == "down", why="", now=NOW)
        held = [(held.session, held.number) for one in processes.values() for held in one.held]
        assert len(held) == len(set(held)) == len(shared.holders)
        for one in processes.values():
            assert sum(member.in_flight for member in one.state.members(NOW)) == len(one.held)
            assert one.state.queued == len(one.waiting)
    # whoever looks gets what is free: nothing is lost by having been refused
    for one in processes.values():
        while one.held:
            one.state.release(one.held.pop())
        while one.waiting:
            one.state.leave(one.waiting.pop())
    for one in processes.values():
        for _ in range(4):
            one.state.report("a", ok=True, why="", now=NOW)
        assert len([slot(one.state.acquire(now=NOW)) for _ in range(6)]) == 6
        shared.kill(one.name)
