"""From answers to what a gate must know: what happened since the change by the chain's clock, and crashes that are no restart by people."""

from __future__ import annotations

import pytest

from cortops.deploy.waves.sight import CLOCK_SLOP_S, Mark, ProcessSeen, crashes, facts_of, moment_of, since
from cortops.probes.chain_tail import TailSeen
from cortops.surfaces.fleet.found.running import Running, RunState
from cortops.surfaces.nodes.blocks import Look
from cortops.surfaces.nodes.chain_facts import ChainEvent, Step
from cortops.surfaces.nodes.chain_places import ChainPlaces

ME, OTHER = "0x" + "a" * 40, "0x" + "b" * 40
PLACES = ChainPlaces(addresses={"cognitive": "0x" + "c" * 40}, how={"cognitive": "declared"})
NOW = 2_000.0


def event(step: Step, at: float, *miners: str, session: int = 1, stamped: bool = True) -> ChainEvent:
    return ChainEvent(step=step, round=("network", session, 0), miners=miners, block=int(at), index=0, at=at if stamped else None)


def tail(*events: ChainEvent, ahead_s: float = 0.0, why: str = "") -> TailSeen:
    """A chain whose block N is of second N, and whose clock is so far ahead of ours."""
    look = Look(url="http://rpc", asked_at=NOW, number=int(NOW + ahead_s), head_at=NOW + ahead_s)
    return TailSeen(events=events, at_of=float, now=NOW + ahead_s, looks=(look,), places=PLACES, why=why)


def process(state: RunState = "running", text: str = "", pid: int | None = 7) -> ProcessSeen:
    return ProcessSeen(now=Running(state=state, pid=pid, text=text), program=True)


EARNED = (
    event("assigned", 1_950, ME, OTHER),
    event("precommitted", 1_951, ME),
    event("committed", 1_952, ME),
    event("committed", 1_953, OTHER),
    event("ended", 1_954),
)


def test_what_happened_since_the_change_is_counted_and_nothing_before() -> None:
    found = facts_of(ME, Mark(at=1_900.0), process(), tail(*EARNED), now=NOW, registered=True)
    assert found.chain is not None and found.network is not None
    assert (found.age_s, found.running, found.program) == (100.0, True, True)
    assert (found.chain.selected, found.chain.precommits, found.chain.commits) == (1, 1, 1)
    assert (found.network.others, found.network.others_commits) == (1, 1)
    later = facts_of(ME, Mark(at=1_990.0), process(), tail(*EARNED), now=NOW, registered=True)
    assert later.chain is not None and later.chain.commits == 0


def test_the_moment_of_the_change_is_taken_by_the_chains_clock_and_by_its_blocks() -> None:
    just_after, just_before = event("committed", 1_900 + CLOCK_SLOP_S, ME), event("committed", 1_899, ME)
    assert since(tail(just_before, just_after), Mark(at=1_900.0), NOW) == [just_after]
    assert since(tail(just_after), Mark(at=1_900.0, block=1_902), NOW) == [], "an RPC behind the others tells late of what was before"
    ahead = tail(event("committed", 2_395, ME), event("committed", 2_405, ME), ahead_s=500.0)
    assert [one.block for one in since(ahead, Mark(at=1_900.0), NOW)] == [2_405]
    unstamped = event("committed", 1_950, ME, stamped=False)
    assert since(tail(unstamped), Mark(at=1_900.0), NOW) == [unstamped]


def test_a_chain_that_cannot_be_read_says_why() -> None:
    silent = facts_of(ME, Mark(at=1_900.0), process(), tail(*EARNED, why="no RPC answers"), now=NOW, registered=None)
    assert (silent.chain, silent.chain_why) == (None, "no RPC answers")
    assert facts_of(ME, Mark(at=1_900.0), process(), None, now=NOW, registered=None).chain_why == "nobody knows where its contracts are"
    assert "its address stands neither" in facts_of("", Mark(at=1_900.0), process(), tail(), now=NOW, registered=None).chain_why


def test_a_network_that_stands_is_told() -> None:
    found = facts_of(ME, Mark(at=1_900.0), process(), tail(), now=NOW, registered=None)
    assert found.standing.startswith("nobody in the network was selected in the last ")
    assert facts_of(ME, Mark(at=1_900.0), process(), tail(*EARNED), now=NOW, registered=None).standing == ""


def test_a_host_that_says_nothing_leaves_the_process_unseen() -> None:
    found = facts_of(ME, Mark(at=1_900.0), ProcessSeen(now=None, why="no answer"), tail(*EARNED), now=NOW, registered=None)
    assert (found.running, found.running_why, found.crashes) == (None, "no answer", 0)
    stopped = facts_of(ME, Mark(at=1_900.0), process("stopped", "x.service is failed"), tail(), now=NOW, registered=None)
    assert (stopped.running, stopped.running_why) == (False, "x.service is failed")
    restarting = process("stopped", "x.service is deactivating (stop-sigint)")
    assert facts_of(ME, Mark(at=1_900.0), restarting, tail(), now=NOW, registered=None).running is None, "people restart it"


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        (None, "restarted 0 times since it was loaded", 0),
        (None, "restarted 2 times since it was loaded", 2),
        (3, "restarted 3 times since it was made", 0),
        (3, "restarted 4 times since it was made", 1),
        (3, "restarted 1 times since it was made", 1),  # people started it, which sets the count back; then it crashed
        (0, "", 0),
    ],
)
def test_crashes_are_what_its_manager_counts_beyond_the_change(marked: int | None, text: str, expected: int) -> None:
    assert crashes(Mark(at=0.0, restarts=marked), Running(state="running", pid=1, text=text)) == expected
    assert crashes(Mark(at=0.0, restarts=marked), None) == 0


def test_the_moment_for_a_restart() -> None:
    working = moment_of(ME, selectable=True, running=True, tail=tail(event("assigned", 1_990, ME), event("precommitted", 1_995, ME)))
    assert working.rounds is not None
    assert [(one.selected_at, one.precommitted_at) for one in working.rounds] == [(1_990.0, 1_995.0)]
    assert moment_of(ME, selectable=True, running=True, tail=tail(why="timeout")).why == "timeout"
    assert moment_of("", selectable=True, running=True, tail=tail()).rounds is None
    assert moment_of(ME, selectable=True, running=True, tail=None).why == "nobody knows where its contracts are"
