"""The last word on each thing, and what a sign of work lays to rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.log_facts import MODE_LINES_MAX, LogFacts, facts_of
from cortops.surfaces.nodes.patterns import LogLine, SessionState, understand

TX = "TX: 0x" + "0c" * 32
STATE = "* Latest ID: 7 / Latest State: 3"
STALE, FRESH = "* Node Pool Ephemeral Node Stale: True", "* Node Pool Ephemeral Node Stale: False"
FAULT = "Traceback (most recent call last):"
PING = "Pinging network..."
SIGNS = {TX, STATE, "* Event: Commit", "* Task Mode: USER"}


def facts(*text: str, more: int = 0, offset_s: float = 0.0) -> LogFacts:
    found = understand([LogLine(number, line) for number, line in enumerate(text, 1)])
    return facts_of(found, len(text) + more, offset_s)


def test_pings_are_counted_from_the_last_sign_of_work() -> None:
    said = facts(PING, TX, PING, PING, STATE)
    assert (said.pings, said.pings_since_work, said.sent) == (3, 2, 1)
    assert facts(PING, PING).pings_since_work == 2


def test_a_traceback_stands_until_something_moves() -> None:
    assert facts(FAULT, PING, more=50).traceback_lines == 51
    for sign in SIGNS:
        assert facts(FAULT, sign).traceback_lines is None, sign
    assert facts(STATE, FAULT, STATE).traceback_lines == 1, "the same state again is no movement"


def test_other_faults_are_over_with_the_next_work_too() -> None:
    said = facts("ipfs: repo.lock", "version mismatch")
    assert (said.ipfs_locked, said.version_mismatch) == (True, "version mismatch")
    said = facts("ipfs: repo.lock", "version mismatch", TX)
    assert (said.ipfs_locked, said.version_mismatch) == (False, "")


def test_the_newest_word_on_a_pool_counts_and_since_when_it_has_been_said() -> None:
    assert facts(STALE, FRESH).stale == ()
    said = facts(f"2026-04-22 01:40:00Z {STALE}", f"2026-04-22 01:45:00Z {STALE}", offset_s=-10.0)
    assert said.stale == ("ephemeral",)
    assert said.stale_since == 1776822000.0 - 10
    assert facts(STALE).stale_since is None, "no stamp, no time"


def test_a_user_task_counts_near_the_end_only() -> None:
    assert facts("* Task Mode: USER", more=MODE_LINES_MAX - 1).user
    said = facts("* Task Mode: USER", more=MODE_LINES_MAX)
    assert (said.user, said.mode) == (False, "USER")
    assert not facts("* Task Mode: USER", "* Task Mode: NETWORK").user


def test_the_rest_is_what_was_said_last() -> None:
    miner = "0x" + "a1" * 20
    said = facts(STATE, "* Latest ID: 8 / Latest State: 6", f"Assigned Miners: {miner}", "CL: 3", "CL: 4", "Event Stats: {'Ping': 2}")
    assert (said.session, said.assigned, said.level, said.stats) == (SessionState(8, 6), (miner,), 4, {"Ping": 2})
    assert (said.pack, said.lines, said.unknown) == ("one-line/3", 6, 0)
    assert facts("nothing known").pack == ""


@given(st.lists(st.sampled_from([TX, STATE, STALE, FRESH, FAULT, PING, "ipfs: repo.lock", "* Task Mode: USER", "noise"])))
def test_what_stands_at_the_end_was_said_after_the_last_sign_of_work(text: list[str]) -> None:
    said = facts(*text)
    last = max((at for at, line in enumerate(text) if line in SIGNS - {STATE}), default=-1)
    assert (said.traceback_lines is not None) <= (FAULT in text[last + 1 :])
    assert said.ipfs_locked <= ("ipfs: repo.lock" in text[last + 1 :])
    assert bool(said.stale) == ([line for line in text if line in (STALE, FRESH)][-1:] == [STALE])
    assert said.pings_since_work <= said.pings == text.count(PING)
