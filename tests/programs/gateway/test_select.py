"""PoolState as tables: who is chosen, who waits, who is down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.gateway.select import Denied, PoolState, Slot, Ticket
from cortops.protocol.gateway import Health, Member, Pool


def pool(sessions: dict[str, tuple[int, ...]], **options: object) -> PoolState:
    members = tuple(Member(name=name, url="http://h", sessions=found, api_key="k") for name, found in sessions.items())
    return PoolState(Pool(members=members, health=Health(bad_after=2, good_after=2), **options))  # type: ignore[arg-type]


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
    taken = [slot(state.acquire()) for _ in range(4)]
    assert [(found.member, found.session) for found in taken] == [("a", 1), ("b", 2), ("b", 3), ("b", 4)]
    state.release(taken[2])
    state.release(taken[1])
    assert slot(state.acquire()).session == 3, "the session that rested longest"


def test_equal_members_take_turns() -> None:
    state = pool({"a": (1, 2), "b": (3, 4)})
    order = []
    for _ in range(4):
        found = slot(state.acquire())
        order.append(found.member)
        state.release(found)
    assert order == ["a", "b", "a", "b"]


def test_in_flight_per_session() -> None:
    state = pool({"a": (1, 2)}, in_flight_per_session=2)
    assert [slot(state.acquire()).session for _ in range(4)] == [1, 2, 1, 2]
    ticket(state.acquire())


def test_queue_is_first_come_first_served_and_bounded() -> None:
    state = pool({"a": (1,)}, queue_max=2)
    held = slot(state.acquire())
    first, second = ticket(state.acquire()), ticket(state.acquire())
    assert denied(state.acquire()).kind == "queue_full"
    assert state.grants() == []
    state.release(held)
    (grant,) = state.grants()
    assert grant.ticket == first and state.queued == 1
    assert not state.leave(first) and state.leave(second) and not state.leave(second)


def test_nobody_overtakes_the_queue() -> None:
    state = pool({"a": (1,)})
    held = slot(state.acquire())
    first = ticket(state.acquire())
    state.release(held)
    late = ticket(state.acquire())
    assert [grant.ticket for grant in state.grants()] == [first]
    assert state.leave(late)


def test_a_ticket_that_avoids_the_free_member_lets_others_by() -> None:
    state = pool({"a": (1,), "b": (2,)})
    a, b = slot(state.acquire()), slot(state.acquire())
    picky = ticket(state.acquire(avoid=["a"]))
    easy = ticket(state.acquire())
    state.release(a)
    assert [grant.ticket for grant in state.grants()] == [easy]
    state.release(b)
    assert [(grant.ticket, grant.slot.member) for grant in state.grants()] == [(picky, "b")]


def test_no_member_is_said_at_once_with_every_reason() -> None:
    state = pool({"a": (1,), "b": (2,)})
    for _ in range(2):
        state.report("a", ok=False, why="refused")
    found = denied(state.acquire(avoid=["b"]))
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
        before = state.members()[0].state
        turned = state.report("a", ok=answer == "+", why="" if answer == "+" else "bad")
        after = state.members()[0].state
        assert turned == (before != after)
        seen += {"ok": "+", "down": "-", "unknown": "?"}[after]
    assert seen == states


def test_a_returning_member_is_given_to_those_who_wait() -> None:
    state = pool({"a": (1,), "b": (2,)})
    for _ in range(2):
        state.report("a", ok=False, why="x")
    slot(state.acquire())
    waiting = ticket(state.acquire())
    for _ in range(2):
        state.report("a", ok=True, why="")
    assert [(grant.ticket, grant.slot.member) for grant in state.grants()] == [(waiting, "a")]


@given(st.lists(st.integers(0, 5), max_size=200))
def test_slots_and_places_are_never_lost_or_doubled(steps: list[int]) -> None:
    state = pool({"a": (1, 2), "b": (3,)}, queue_max=3)
    held: list[Slot] = []
    waiting: list[Ticket] = []
    for step in steps:
        if step <= 2:
            found = state.acquire()
            if isinstance(found, Slot):
                held.append(found)
            elif isinstance(found, Ticket):
                waiting.append(found)
            else:
                assert len(waiting) == 3 or not any(member.state != "down" for member in state.members())
        elif step == 3 and held:
            state.release(held.pop(0))
            for grant in state.grants():
                assert grant.ticket == waiting.pop(0)
                held.append(grant.slot)
        elif step == 4 and waiting:
            assert state.leave(waiting.pop())
        assert len({found.session for found in held}) == len(held)
        assert sum(member.in_flight for member in state.members()) == len(held)
        assert state.queued == len(waiting)
