"""When a node may be restarted: never between its precommit and its commit, and every wait has an end and a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.safe_moment import (
    BEFORE_ROLLBACK,
    BEFORE_TAKING_BACK,
    BEFORE_UPGRADE,
    Moment,
    OpenRound,
    Patience,
    decide,
    open_rounds,
)
from cortops.surfaces.nodes.chain_facts import SETTLED_AFTER_S, ChainEvent, Round, Step

ME, OTHER = "0x" + "a" * 40, "0x" + "b" * 40
NETWORK: Round = ("network", 41, 0)
USER: Round = ("user", 3, 1)
NOW = 1_000.0


def event(step: Step, at: float, miners: tuple[str, ...] = (ME,), round_: Round = NETWORK) -> ChainEvent:
    return ChainEvent(step=step, round=round_, miners=miners, block=int(at), index=0, at=None)


def rounds(*events: ChainEvent, now: float = NOW) -> tuple[OpenRound, ...]:
    return open_rounds(events, ME.upper().replace("X", "x"), float, now)


def moment(*open_: OpenRound, running: bool | None = True, selectable: bool = True) -> Moment:
    return Moment(at=NOW, running=running, selectable=selectable, rounds=open_)


BLIND = Moment(at=NOW, running=True, selectable=True, rounds=None, why="no RPC answers")
SELECTED = OpenRound(round=NETWORK, selected_at=980.0, precommitted_at=None)
BEGUN = OpenRound(round=USER, selected_at=980.0, precommitted_at=992.0)


# --- what is open ---


def test_selected_and_no_more_is_open() -> None:
    assert rounds(event("assigned", 980, (OTHER, ME))) == (SELECTED,)


def test_a_precommit_is_open_until_the_commit() -> None:
    begun = (event("assigned", 980, round_=USER), event("acked", 985, round_=USER), event("precommitted", 992, round_=USER))
    assert rounds(*begun) == (BEGUN,)
    assert rounds(*begun, event("committed", 995, round_=USER)) == ()


def test_an_end_closes_it_whoever_has_committed() -> None:
    assert rounds(event("assigned", 980), event("precommitted", 981), event("ended", 990, ())) == ()


def test_a_precommit_whose_selection_lies_before_what_was_read_counts() -> None:
    assert rounds(event("precommitted", 990)) == (OpenRound(round=NETWORK, selected_at=None, precommitted_at=990.0),)


def test_what_others_do_is_nothing_of_ours() -> None:
    assert rounds(event("assigned", 980, (OTHER,)), event("precommitted", 981, (OTHER,))) == ()
    assert rounds(event("assigned", 980), event("committed", 990, (OTHER,))) == (SELECTED,)


def test_a_round_that_nobody_ended_is_over_after_a_while() -> None:
    assert rounds(event("assigned", 100), now=100 + SETTLED_AFTER_S) != ()
    assert rounds(event("assigned", 100), now=101 + SETTLED_AFTER_S) == ()


# --- what is decided ---


@pytest.mark.parametrize(
    ("seen", "waited_s", "patience", "move", "text"),
    [
        (moment(), 0, BEFORE_UPGRADE, "go", ""),
        (moment(BEGUN, running=False), 0, BEFORE_UPGRADE, "go", "it does not run, so nothing is interrupted"),
        (moment(BEGUN, selectable=False), 0, BEFORE_UPGRADE, "go", ""),
        (moment(SELECTED), 0, BEFORE_UPGRADE, "wait", "it was selected for session 41 20 s ago"),
        (moment(SELECTED), 600, BEFORE_UPGRADE, "go", "it was selected for session 41 20 s ago, and that one is lost"),
        (moment(SELECTED, BEGUN), 600, BEFORE_UPGRADE, "wait", "it precommitted in task 3/1 8 s ago and has not committed"),
        (moment(BEGUN), 900, BEFORE_UPGRADE, "give up", "it precommitted in task 3/1 8 s ago and has not committed"),
        (BLIND, 0, BEFORE_UPGRADE, "wait", "nobody can see whether it works now: no RPC answers"),
        (BLIND, 120, BEFORE_UPGRADE, "give up", "nobody can see whether it works now: no RPC answers"),
        (moment(SELECTED), 30, BEFORE_ROLLBACK, "go", "it was selected for session 41 20 s ago, and that one is lost"),
        (BLIND, 0, BEFORE_TAKING_BACK, "go", "nobody can see whether it works now: no RPC answers"),
        (moment(BEGUN), 0, BEFORE_TAKING_BACK, "wait", "it precommitted in task 3/1 8 s ago and has not committed"),
        (moment(BEGUN), 20, BEFORE_TAKING_BACK, "go", "it precommitted in task 3/1 8 s ago and has not committed"),
    ],
)
def test_each_reason(seen: Moment, waited_s: float, patience: Patience, move: str, text: str) -> None:
    found = decide(seen, waited_s, patience)
    assert (found.move, found.text) == (move, text)


def test_a_selection_before_what_was_read_has_no_age() -> None:
    unknown = OpenRound(round=NETWORK, selected_at=None, precommitted_at=None)
    assert decide(moment(unknown), 0, BEFORE_UPGRADE).text == "it was selected for session 41"


patiences = st.sampled_from([BEFORE_UPGRADE, BEFORE_ROLLBACK, BEFORE_TAKING_BACK])
opened = st.builds(
    OpenRound,
    round=st.sampled_from([NETWORK, USER]),
    selected_at=st.none() | st.floats(400, NOW),
    precommitted_at=st.none() | st.floats(400, NOW),
)
moments = st.builds(
    Moment,
    at=st.just(NOW),
    running=st.sampled_from([True, False, None]),
    selectable=st.booleans(),
    rounds=st.none() | st.lists(opened, max_size=3).map(tuple),
    why=st.just("why"),
)


@given(moments, patiences)
def test_every_wait_ends(seen: Moment, patience: Patience) -> None:
    longest_s = max(patience.selected_s, patience.precommitted_s, patience.unseen_s)
    assert decide(seen, longest_s, patience).move != "wait"


@given(moments, st.floats(0, 100_000), st.sampled_from([BEFORE_UPGRADE, BEFORE_ROLLBACK]))
def test_a_running_node_is_never_restarted_between_precommit_and_commit(seen: Moment, waited_s: float, patience: Patience) -> None:
    found = decide(seen, waited_s, patience)
    begun = seen.rounds is not None and any(one.precommitted_at is not None for one in seen.rounds)
    if found.move == "go" and seen.running is not False and seen.selectable:
        assert not begun
        assert seen.rounds is not None, "and never while nobody can see"


@given(moments, st.floats(0, 100_000), patiences)
def test_a_wait_and_a_refusal_say_why(seen: Moment, waited_s: float, patience: Patience) -> None:
    found = decide(seen, waited_s, patience)
    assert found.move == "go" or found.text
