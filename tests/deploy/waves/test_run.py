"""Whole upgrades on a simulated fleet, from a seed: rounds by chance, every kind of bad release, blind eyes, and a kill at every step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.deploy.waves.fleet import NEW, OLD, Kind, World, check, simulate, upgrade_once, world

from cortops.deploy.earning_gate import GateFacts
from cortops.deploy.waves.machine import Phase, Upgrade
from cortops.deploy.waves.plan import Step
from cortops.deploy.waves.run import Stopping, run
from cortops.testing.clock import VirtualClock

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes


def test_a_good_release_reaches_all() -> None:
    made = world("good")
    told: list[str] = []
    found = upgrade_once(made, told=told)
    check(made)
    assert found is not None
    assert (found.outcome, {node.program for node in made.nodes.values()}) == ("passed", {NEW})
    assert [line for line in told if line.startswith("wave")] == [
        "wave 1 passed: h1-m1; 3 waves are left",
        "wave 2 passed: 2 nodes; 2 waves are left",
        "wave 3 passed: 4 nodes; one wave is left",
        "wave 4 passed: 5 nodes",
    ]


@pytest.mark.parametrize("kind", ["crashes", "pings", "dies"])
def test_a_bad_release_reaches_one_of_twelve_and_is_taken_back(kind: Kind) -> None:
    made = world(kind)
    found = upgrade_once(made)
    check(made)
    assert found is not None
    assert (found.outcome, {node.program for node in made.nodes.values()}) == ("bad", {OLD})
    assert found.named(Phase.TAKEN_BACK) == ("h1-m1",)


def test_a_release_that_nobody_selects_is_held_and_neither_undone_nor_passed() -> None:
    made = world("unselected")
    found = upgrade_once(made)
    check(made)
    assert found is not None
    assert (found.outcome, found.named(Phase.HELD)) == ("held", ("h1-m1",))
    assert made.nodes["h1-m1"].program == NEW


def test_blind_eyes_hold_and_never_accuse() -> None:
    made = world("good", blind=frozenset(range(100_000)))
    found = upgrade_once(made)
    check(made)
    assert found is not None
    assert found.outcome == "held"
    assert found.nodes["h1-m1"].text.startswith("nobody can see whether it runs")


def test_stop_asked_once_ends_after_the_current_node_and_twice_at_once() -> None:
    made = world("good")
    stopping = Stopping()
    stopping.ask()
    found = upgrade_once(made, stopping)
    assert found is not None
    assert found.outcome == "stopped"
    assert len(set(made.ever_new)) <= 1
    stopping.ask()
    left = upgrade_once(made, stopping)
    assert left is not None
    assert left.outcome in ("stopped", "held")
    check(made)


KINDS: tuple[Kind, ...] = ("good", "crashes", "pings", "dies", "unselected")
FEW = {"h1": 2, "h2": 2, "h3": 1}
SEEDS, KILLS = st.integers(0, 10_000), st.none() | st.integers(1, 400)
BLIND = st.sets(st.integers(1, 200), max_size=60).map(frozenset)


def kill_everywhere(kind: Kind, points: int, **more: object) -> None:
    """An upgrade that is killed at each of so many steps; the runs after it bring it to its end."""
    whole = world(kind, **more)
    upgrade_once(whole)
    ends = {"good": ("passed", {NEW}), "unselected": ("held", {OLD, NEW})}
    for kill_at in range(1, whole.steps + 1, max(1, whole.steps // points)):
        made = world(kind, kill_at=kill_at, **more)
        found = simulate(made)
        check(made)
        outcome, programs = ends.get(kind, (found.outcome, {OLD}))
        assert (found.outcome, {node.program for node in made.nodes.values()}) == (outcome, programs), kill_at


@pytest.mark.parametrize("kind", KINDS)
def test_killed_anywhere_the_next_run_finishes_or_takes_back(kind: Kind) -> None:
    kill_everywhere(kind, 8, hosts=FEW)


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_step_the_next_run_finishes_or_takes_back(kind: Kind) -> None:
    kill_everywhere(kind, 1_000)


def whatever(kind: Kind, seed: int, kill_at: int | None, blind: frozenset[int], **more: object) -> None:
    made = world(kind, seed, kill_at=kill_at, blind=blind, **more)
    found = simulate(made)
    check(made)
    taken_back = {made.nodes[name].program for name in found.named(Phase.TAKEN_BACK)}
    assert NEW not in taken_back
    if kind == "good":
        assert not found.named(Phase.TAKEN_BACK), "what nobody saw accuses nobody"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), SEEDS, KILLS, BLIND)
def test_whatever_happens_a_bad_release_stays_on_the_canary(kind: Kind, seed: int, kill_at: int | None, blind: frozenset[int]) -> None:
    whatever(kind, seed, kill_at, blind, hosts=FEW)


@pytest.mark.proof
@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), SEEDS, KILLS, BLIND)
def test_from_many_seeds_a_bad_release_stays_on_the_canary(kind: Kind, seed: int, kill_at: int | None, blind: frozenset[int]) -> None:
    whatever(kind, seed, kill_at, blind)


def test_a_fault_of_ours_is_not_swallowed() -> None:
    class Broken(World):
        async def look(self, steps: Sequence[Step]) -> Mapping[str, GateFacts]:
            raise ZeroDivisionError

    made = Broken(seed=1, kind="good", clock=VirtualClock(), hosts={"h1": 1})
    with pytest.raises(ZeroDivisionError):
        made.clock.run(run(made.plan(), made, made, made.clock, Stopping(), lambda tell, upgrade: None))


def test_asked_to_leave_at_once_it_leaves_what_is_under_way() -> None:
    made = world("good")
    stopping = Stopping()

    async def leave_later() -> Upgrade:
        task = asyncio.create_task(run(made.plan(), made, made, made.clock, stopping, lambda tell, upgrade: None))
        await made.clock.sleep(30)
        stopping.ask()
        stopping.ask()
        return await task

    found = made.clock.run(leave_later())
    assert found.named(Phase.GATED, Phase.SWITCHING) == ("h1-m1",)
    assert not found.finished
