"""What of states is told: a trouble once and its end once, symptoms and what nobody sees not at all, many at once as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortops.incidents.news import AT_ONCE_MAX, SETTLE_S, UNSEEN_S, News, Told, news
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.state import State

NOW = 1_800_000_000.0
HOST, NODE, OTHER = Entity("host", "h1"), Entity("miner", "m1"), Entity("miner", "m2")


def one(entity: Entity, state: State, *, lasts_s: float = 3600.0, on: tuple[Entity, ...] = (), reason: str = "because") -> EntityState:
    return EntityState(entity=entity, state=state, reason=reason, evidence=(), depends_on=on, since=NOW - lasts_s)


def told(*states: EntityState, known: Told = Told()) -> News:  # noqa: B008 — frozen
    return news("lab", known, states, NOW)


def titles(found: News) -> list[str]:
    return [message.title for message in found.messages]


def test_a_trouble_is_told_once_and_its_end_once() -> None:
    first = told(one(NODE, State.DOWN, reason="cortensor-1.service is inactive (dead)"))
    assert titles(first) == ["lab: m1 is down"]
    (message,) = first.messages
    assert (message.text, message.entity, message.state) == ("cortensor-1.service is inactive (dead)", "miner/m1", "down")
    again = told(one(NODE, State.DOWN), known=first.told)
    assert again.messages == () and again.told == first.told
    over = told(one(NODE, State.OK), known=first.told)
    assert titles(over) == ["lab: m1 recovered"]
    assert over.messages[0].trouble == message.trouble
    assert told(one(NODE, State.OK), known=over.told).messages == ()
    assert titles(told(one(NODE, State.DOWN), known=over.told)) == ["lab: m1 is down"], "a second time is told again"


def test_what_is_over_before_it_settles_is_not_told() -> None:
    assert told(one(NODE, State.DOWN, lasts_s=SETTLE_S - 1)).messages == ()


def test_worse_is_told_and_better_is_not_before_it_is_well() -> None:
    known = told(one(NODE, State.DEGRADED)).told
    worse = told(one(NODE, State.DOWN), known=known)
    assert titles(worse) == ["lab: m1 is down"]
    assert told(one(NODE, State.DEGRADED), known=worse.told).messages == ()
    assert told(one(NODE, State.UNKNOWN), known=worse.told) == News(messages=(), told=worse.told), "unseen is neither over nor worse"


def test_a_symptom_is_not_told_however_far_its_cause_is() -> None:
    rpc = Entity("rpc", "rpc")
    contract = one(Entity("contract", "c"), State.OK, on=(rpc,))
    found = told(one(rpc, State.DOWN), contract, one(NODE, State.DOWN, on=(contract.entity,)))
    assert titles(found) == ["lab: rpc is down"]
    unseen = told(one(HOST, State.UNKNOWN), one(NODE, State.DOWN, on=(HOST,)))
    assert titles(unseen) == ["lab: h1 cannot be seen"]


def test_of_what_nobody_sees_only_hosts_are_told_and_after_a_while() -> None:
    assert told(one(NODE, State.UNKNOWN), one(HOST, State.UNKNOWN, lasts_s=UNSEEN_S - 1)).messages == ()


def test_many_at_once_are_one_message_each_way() -> None:
    every = [Entity("miner", f"m{number}") for number in range(AT_ONCE_MAX + 8)]
    begun = told(*(one(entity, State.DOWN) for entity in every))
    assert titles(begun) == [f"lab: {len(every)} are ill at once"]
    assert begun.messages[0].text.startswith("m0, m1, m2") and "and 2 more" in begun.messages[0].text
    assert titles(told(*(one(entity, State.OK) for entity in every), known=begun.told)) == [f"lab: {len(every)} recovered at once"]


def test_what_is_no_longer_declared_is_forgotten() -> None:
    known = told(one(NODE, State.DOWN), one(OTHER, State.DOWN)).told
    assert told(one(OTHER, State.DOWN), known=known).told == Told({"miner/m2": "down"})


@given(st.lists(st.sampled_from([State.OK, State.DEGRADED, State.DOWN, State.UNKNOWN]), max_size=30))
def test_each_end_answers_a_beginning(states: list[State]) -> None:
    known, open_now = Told(), False
    for state in states:
        found = told(one(NODE, state), known=known)
        for message in found.messages:
            assert open_now or message.state != "ok", "an end without a beginning"
            open_now = message.state != "ok"
        known = found.told
    assert open_now == bool(known.states)
