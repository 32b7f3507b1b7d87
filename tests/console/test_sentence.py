"""The one sentence: what is wrong, since when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.console.console_rig import ROUTER_DOWN, Told, example, picture

from cortops.console.sentence import REASON_MAX_CHARS, sentence
from cortops.testing.clock import START
from cortops.words.state import State

ALL = 34
CASES: dict[str, tuple[Told, str]] = {
    "all is well": ({}, f"All {ALL} are ok since 07:00:00 UTC."),
    "one pauses": ({"miner/miner-1": (State.MAINTENANCE, "until 12:00")}, "33 of 34 are ok since 07:59:00 UTC; 1 in maintenance."),
    "one down, one on it": (
        ROUTER_DOWN,
        "router/router-1 is down since 07:59:00 UTC: exited on here: SIGKILL. 1 that stands on it is not ok either.",
    ),
    "the cause before its symptoms, though they are as bad": (
        {
            "rpc/chain-1": (State.DOWN, "connection refused."),
            "router/router-1": (State.DOWN, "answers 503"),
            "router/router-2": (State.DOWN, "answers 503"),
            "oracle/oracle-1": (State.UNKNOWN, "timed out"),
        },
        "rpc/chain-1 is down since 07:59:00 UTC: connection refused. 2 that stand on it are not ok either. 1 cannot be seen.",
    ),
    "two causes": (
        {"miner/miner-1": (State.DOWN, "exited"), "miner/miner-2": (State.DEGRADED, "restarted 4 s ago")},
        "miner/miner-1 is down since 07:59:00 UTC: exited. Also miner/miner-2 is degraded.",
    ),
    "one cannot be seen": (
        {"dns/rpc.localhost": (State.UNKNOWN, "the resolver does not answer")},
        "dns/rpc.localhost cannot be seen since 07:59:00 UTC: the resolver does not answer. 33 others can.",
    ),
    "some cannot be seen": (
        {"miner/miner-1": (State.UNKNOWN, "timed out"), "miner/miner-2": (State.UNKNOWN, "timed out")},
        "2 of 34 cannot be seen, first miner/miner-1 since 07:59:00 UTC: timed out.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sentence(case: str) -> None:
    told, text = CASES[case]
    found = sentence(picture(example(), told).entities, START)
    assert found.text == text


def test_it_speaks_of_the_worst_state() -> None:
    assert sentence(picture(example(), ROUTER_DOWN).entities, START).state is State.DOWN
    assert sentence(picture(example()).entities, START).state is State.OK


def test_nothing_seen_is_not_everything_down() -> None:
    entities = tuple(replace(item, state=State.UNKNOWN, reason="ssh: timed out") for item in picture(example()).entities)
    found = sentence(entities, START)
    assert (found.state, found.text) == (State.UNKNOWN, "Nothing can be seen since 07:00:00 UTC: ssh: timed out.")


def test_no_history_no_since() -> None:
    entities = tuple(replace(item, since=None) for item in picture(example(), ROUTER_DOWN).entities)
    assert sentence(entities, START).text.startswith("router/router-1 is down: exited")


def test_a_long_reason_is_one_short_line() -> None:
    text = sentence(picture(example(), {"miner/miner-1": (State.DOWN, "line one\nline two " + "x" * 400)}).entities, START).text
    assert "\n" not in text and "line one line two" in text and len(text) < REASON_MAX_CHARS + 60


def test_it_does_not_change_while_no_state_does() -> None:
    env = example()
    one, other = picture(env, at=START), picture(env, at=START + 600)
    assert sentence(one.entities, one.at) == sentence(other.entities, other.at)
