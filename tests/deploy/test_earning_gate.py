"""The earning gate: what passes, what is bad at once, and what only people can decide."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.earning_gate import (
    DEADLINE_S_MAX,
    DEADLINE_S_MIN,
    GateAsks,
    GateFacts,
    Rate,
    asks_of,
    judge,
)
from cortops.surfaces.nodes.chain_facts import SETTLED_AFTER_S, NetworkChain, NodeChain

ASKS = GateAsks(commits=2, soak_s=600.0, deadline_s=3_600.0, expected_s=1_200.0)
ROUND = ("network", 9, 0)
EARNS = NodeChain(selected=2, settled=2, precommits=2, commits=2, last_commit_block=50)
OTHERS_EARN = NetworkChain(rounds=3, commits=6, others=3, others_commits=6, last_commit_block=60)
OTHERS_IDLE = NetworkChain(rounds=2, others=2, others_idle=2, others_missed_rounds=2, others_missed_since_block=9)
WELL = GateFacts(age_s=700.0, running=True, program=True, registered=True, chain=EARNS, network=OTHERS_EARN)


def with_chain(**fields: object) -> GateFacts:
    return replace(WELL, chain=NodeChain(**fields))  # type: ignore[arg-type]


MISSED = with_chain(selected=2, settled=2, missed=2, missed_row=(10, 20))


@pytest.mark.parametrize(
    ("facts", "outcome", "text"),
    [
        (WELL, "pass", "selected 2, committed 2, in 12 min"),
        (replace(WELL, age_s=30.0), "wait", "it runs, and is watched for 10 min"),
        (replace(WELL, running=False), "bad", "it died: it does not run 12 min after the change"),
        (replace(WELL, running=False, running_why="failed"), "bad", "it died: it does not run 12 min after the change: failed"),
        (replace(WELL, crashes=1), "bad", "it died: its manager started it again once within 12 min"),
        (replace(WELL, crashes=3, running=None), "bad", "it died: its manager started it again 3 times within 12 min"),
        (MISSED, "bad", "it was selected twice since the change and did not precommit, while others committed"),
        (replace(MISSED, network=None), "bad", "it was selected twice since the change and did not precommit"),
        (
            with_chain(selected=4, settled=4, precommits=4, missed=3, missed_row=(10, 20, 30), precommits_since=3, commits=1),
            "bad",
            "it was selected 3 times in a row since the change and precommitted and did not commit, while others committed",
        ),
        (replace(MISSED, network=OTHERS_IDLE), "wait", "the network stands: others were selected too, and nobody commits"),
        (replace(WELL, program=False), "hold", "it runs another program than it was changed to: somebody else changed it"),
        (replace(WELL, program=None), "wait", "nobody could see which program it runs"),
        (replace(WELL, running=None), "wait", "nobody can see whether it runs: its host does not answer"),
        (replace(WELL, chain=None, chain_why="timeout"), "wait", "the chain could not be read: timeout"),
        (with_chain(), "wait", "it was not selected"),
        (replace(with_chain(), standing="nobody was"), "wait", "it was not selected: nobody was"),
        (replace(with_chain(), registered=False), "wait", "it is not registered on chain"),
        (with_chain(selected=1, open=(ROUND,)), "wait", "it was selected once, and has not committed"),
        (
            with_chain(selected=2, settled=1, missed=1, missed_row=(10,), open=(ROUND,)),
            "wait",
            "it was selected twice, 1 missed, and has not committed",
        ),
        (with_chain(selected=1, precommits=1, commits=1), "wait", "it committed once, and 2 are asked"),
        (
            with_chain(selected=3, precommits=2, commits=2, missed=1, missed_row=(70,)),
            "wait",
            "it missed the newest round that it was selected for",
        ),
    ],
)
def test_each_rule(facts: GateFacts, outcome: str, text: str) -> None:
    found = judge(facts, ASKS)
    assert (found.outcome, found.text) == (outcome, text)


@pytest.mark.parametrize(
    "facts",
    [
        with_chain(),
        replace(WELL, chain=None, chain_why="timeout"),
        replace(WELL, running=None, running_why="h2: no answer within 10 s"),
        replace(MISSED, network=OTHERS_IDLE),
        replace(with_chain(), registered=False),
        with_chain(selected=1, settled=1, missed=1, missed_row=(10,)),
    ],
)
def test_what_was_waited_for_is_a_hold_at_the_deadline_with_the_reason(facts: GateFacts) -> None:
    before, after = judge(replace(facts, age_s=3_599.0), ASKS), judge(replace(facts, age_s=3_600.0), ASKS)
    assert before.outcome == "wait"
    assert (after.outcome, after.text) == ("hold", f"{before.text}, 60 min after the change")


def test_a_round_under_way_at_the_deadline_is_seen_to_its_end() -> None:
    working = with_chain(selected=1, precommits=1, open=(ROUND,))
    assert judge(replace(working, age_s=3_700.0), ASKS).outcome == "wait"
    assert judge(replace(working, age_s=3_600.0 + SETTLED_AFTER_S), ASKS).outcome == "hold"


def test_one_death_may_be_a_look_between_two_lives_and_a_count_may_not() -> None:
    assert not judge(replace(WELL, running=False), ASKS).certain
    assert judge(replace(WELL, crashes=1), ASKS).certain


def test_a_node_that_is_never_selected_must_only_run() -> None:
    asks = asks_of(Rate(0, 86_400), canary=False, selectable=False, soak_s=600.0)
    facts = GateFacts(age_s=599.0, running=True, program=True)
    assert judge(facts, asks).outcome == "wait"
    found = judge(replace(facts, age_s=600.0), asks)
    assert (found.outcome, found.text) == ("pass", "it has run for 10 min; it is never selected, so nothing more can be asked")


# --- from the rate to what is asked ---


def test_a_canary_selected_every_38_minutes() -> None:
    asks = asks_of(Rate(38, 38 * 38 * 60.0), canary=True, selectable=True)
    assert (asks.commits, asks.soak_s) == (2, 600.0)
    assert asks.expected_s == 2 * 38 * 60 + 60
    assert round(asks.deadline_s / 60) == 193


def test_a_node_after_it_is_asked_for_one_commit_and_no_time() -> None:
    asks = asks_of(Rate(38, 38 * 38 * 60.0), canary=False, selectable=True)
    assert (asks.commits, asks.soak_s, round(asks.deadline_s / 60)) == (1, 0.0, 124)


def test_who_was_not_selected_at_all_has_the_longest_time() -> None:
    asks = asks_of(Rate(0, 86_400.0), canary=True, selectable=True)
    assert asks.deadline_s == asks.expected_s == DEADLINE_S_MAX


def test_people_may_give_a_deadline() -> None:
    assert asks_of(Rate(1, 86_400.0), canary=True, selectable=True, within_s=40.0).deadline_s == 40.0


@given(st.integers(0, 10_000), st.floats(1, 7 * 86_400), st.booleans(), st.booleans())
def test_a_deadline_has_a_floor_and_a_ceiling(selected: int, over_s: float, canary: bool, selectable: bool) -> None:
    asks = asks_of(Rate(selected, over_s), canary=canary, selectable=selectable)
    assert DEADLINE_S_MIN <= asks.deadline_s <= max(DEADLINE_S_MAX, asks.soak_s + DEADLINE_S_MIN)
    assert asks.soak_s <= asks.expected_s <= asks.deadline_s


# --- what holds of every answer ---

chains = st.builds(
    NodeChain,
    selected=st.integers(0, 5),
    precommits=st.integers(0, 5),
    commits=st.integers(0, 5),
    missed_row=st.lists(st.integers(1, 99), max_size=4).map(lambda found: tuple(sorted(found))),
    precommits_since=st.integers(0, 3),
    open=st.sampled_from([(), (ROUND,)]),
)
networks = st.sampled_from([None, OTHERS_EARN, OTHERS_IDLE, NetworkChain()])
seen = st.builds(
    GateFacts,
    age_s=st.floats(0, 100_000),
    running=st.sampled_from([True, False, None]),
    crashes=st.integers(0, 2),
    program=st.sampled_from([True, False, None]),
    registered=st.sampled_from([True, False, None]),
    chain=st.none() | chains,
    network=networks,
)


@given(seen)
def test_nothing_passes_that_was_not_seen_to_run_and_to_commit(facts: GateFacts) -> None:
    if judge(facts, ASKS).outcome == "pass":
        assert facts.running is True
        assert facts.program is True
        assert facts.crashes == 0
        assert facts.chain is not None
        assert facts.chain.commits >= 2
        assert facts.age_s >= 600


@given(seen)
def test_what_nobody_saw_is_never_bad(facts: GateFacts) -> None:
    blind = replace(facts, running=None, crashes=0, chain=None)
    assert judge(blind, ASKS).outcome in ("wait", "hold")


@given(seen)
def test_not_selected_is_never_bad_while_it_lives(facts: GateFacts) -> None:
    alive = replace(facts, running=True, crashes=0, chain=NodeChain())
    assert judge(alive, ASKS).outcome in ("wait", "hold")


@given(seen)
def test_every_wait_ends(facts: GateFacts) -> None:
    late = replace(facts, age_s=ASKS.deadline_s + SETTLED_AFTER_S)
    assert judge(late, ASKS).outcome != "wait"
