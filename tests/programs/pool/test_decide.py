"""Who is let into the ephemeral pool, and who is taken out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cortops.contracts.network import Node
from cortops.contracts.network_tasks import LastResult
from cortops.programs.pool.decide import Policy, Standing, decide

NOW = 10_000.0
POLICY = Policy(ping_age_max_s=900)
ALIVE = Node(address="a", registered_at=1, last_ping_at=int(NOW) - 10, verified=False)
PASSED = Standing(level=1, result=LastResult.PASSED)


def test_a_node_that_is_alive_and_passed_is_let_in() -> None:
    changes = decide([ALIVE], {"a": PASSED}, set(), set(), POLICY, NOW)
    assert changes.add == {"a": "alive, and passed its newest network task"} and not changes.remove
    assert decide([ALIVE], None, set(), set(), POLICY, NOW).add == {"a": "alive"}, "a network without tasks of its own asks for none"


def test_each_reason_against_it() -> None:
    cases = [
        (replace(ALIVE, last_ping_at=0), PASSED, POLICY, "never pinged"),
        (replace(ALIVE, last_ping_at=int(NOW) - 901), PASSED, POLICY, "last pinged 901 s ago"),
        (ALIVE, PASSED, replace(POLICY, verified_only=True), "not verified"),
        (ALIVE, PASSED, replace(POLICY, level_min=2), "level 1, 2 is needed"),
        (ALIVE, replace(PASSED, result=LastResult.FAILED), POLICY, "failed its newest network task"),
        (ALIVE, replace(PASSED, result=LastResult.NONE), POLICY, "no network task yet"),
    ]
    for node, standing, policy, why in cases:
        assert decide([node], {"a": standing}, set(), set(), policy, NOW).add == {}
        assert decide([node], {"a": standing}, {"a"}, set(), policy, NOW).remove == {"a": why}


def test_who_left_the_registry_is_taken_out() -> None:
    assert decide([], {}, {"a"}, set(), POLICY, NOW).remove == {"a": "not registered any more"}


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_a_round_changes_only_what_it_must(alive: set[int], free: set[int], held: set[int], passed: set[int]) -> None:
    held -= free  # a node is in one of the two
    nodes = [replace(ALIVE, address=str(at), last_ping_at=int(NOW) if at in alive else 1) for at in range(10)]
    standings = {str(at): replace(PASSED, result=LastResult.PASSED if at in passed else LastResult.FAILED) for at in range(10)}
    changes = decide(nodes, standings, {str(at) for at in free}, {str(at) for at in held}, POLICY, NOW)
    after = ({str(at) for at in free} - set(changes.remove)) | set(changes.add)
    assert after == {str(at) for at in (alive & passed) - held}
    assert changes.kept == len(free) - len(changes.remove)
    again = decide(nodes, standings, after, {str(at) for at in held}, POLICY, NOW)
    assert not again.add and not again.remove
