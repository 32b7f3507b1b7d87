"""Which node goes first, how waves grow, and what is said of the time beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.earning_gate import Rate
from cortops.deploy.waves.plan import Candidate, Standing, UpgradePlan, Wishes, estimate, plan_upgrade
from cortops.words.errors import BadInput, UnknownName

NEW, OLD = "9a" * 32, "3f" * 32
DAY_S = 86_400.0


def candidate(node: str, host: str, standing: Standing = "old", *, selected: int = 38, earning: bool | None = True) -> Candidate:
    return Candidate(node=node, host=host, role="miner", program=OLD, standing=standing, rate=Rate(selected, DAY_S), earning=earning)


def twelve() -> list[Candidate]:
    return [candidate(f"{host}-m{number}", host) for host, count in (("h1", 4), ("h2", 5), ("h3", 3)) for number in range(1, count + 1)]


def made(candidates: Sequence[Candidate], **wishes: object) -> UpgradePlan:
    return plan_upgrade("lab", "april", NEW, candidates, Wishes(**wishes))  # type: ignore[arg-type]


def names(plan: UpgradePlan) -> list[list[str]]:
    return [[step.node for step in wave] for wave in plan.waves]


def test_one_node_then_waves_that_grow_over_the_hosts_in_turn() -> None:
    assert names(made(twelve())) == [
        ["h1-m1"],
        ["h2-m1", "h3-m1"],
        ["h1-m2", "h2-m2", "h3-m2", "h1-m3"],
        ["h2-m3", "h3-m3", "h1-m4", "h2-m4", "h2-m5"],
    ]


def test_the_canary_is_the_earning_one_that_is_selected_most_often() -> None:
    nodes = twelve()
    nodes[2] = replace(nodes[2], rate=Rate(100, DAY_S), earning=False)
    nodes[7] = replace(nodes[7], rate=Rate(60, DAY_S))
    plan = made(nodes)
    assert names(plan)[0] == ["h2-m4"]
    assert names(plan)[-1][-1] == "h1-m3", "what did not earn before goes last: it tells nothing of the release"


def test_people_may_say_who_goes_first() -> None:
    assert names(made(twelve(), canary="h3-m3"))[0] == ["h3-m3"]
    with pytest.raises(UnknownName, match="nobody is no adopted node"):
        made(twelve(), canary="nobody")
    with pytest.raises(BadInput, match="cannot go first"):
        made([candidate("m1", "h1", "new"), candidate("m2", "h1")], canary="m1")


def test_only_some_nodes_or_hosts() -> None:
    assert names(made(twelve(), hosts=("h3",))) == [["h3-m1"], ["h3-m2", "h3-m3"]]
    assert names(made(twelve(), nodes=("h2-m5", "h1-m2"))) == [["h1-m2"], ["h2-m5"]]
    with pytest.raises(UnknownName, match="h9 has no adopted node"):
        made(twelve(), hosts=("h9",))


def test_a_wave_has_a_largest_size() -> None:
    assert [len(wave) for wave in made(twelve(), wave_max=3).waves] == [1, 2, 3, 3, 3]
    assert [len(wave) for wave in made(twelve(), wave_max=1).waves] == [1] * 12
    with pytest.raises(BadInput, match="at least one node"):
        made(twelve(), wave_max=0)


def test_a_gate_that_is_due_comes_before_anything_new() -> None:
    nodes = twelve()
    nodes[5] = replace(nodes[5], program=NEW, standing="due", before=OLD, changed_at=5.0)
    plan = made(nodes, hosts=("h1",))
    assert names(plan) == [["h2-m2"], ["h1-m1", "h1-m2"], ["h1-m3", "h1-m4"]]
    first = plan.waves[0][0]
    assert (first.was, first.due_since, first.asks.commits) == (OLD, 5.0, 2)


def test_one_that_runs_it_already_and_was_not_recorded_is_finished_first_too() -> None:
    nodes = twelve()
    nodes[6] = replace(nodes[6], program=NEW, standing="half", before=OLD)
    first = made(nodes, hosts=("h3",)).waves[0]
    assert [(step.node, step.half, step.was, step.due_since) for step in first] == [("h2-m3", True, OLD, None)]


def test_what_is_to_be_taken_back_is_all_that_is_done() -> None:
    nodes = twelve()
    nodes[0] = replace(nodes[0], program=NEW, standing="bad", before=OLD, why="it died")
    nodes[1] = replace(nodes[1], program=NEW, standing="due", before=OLD, changed_at=5.0)
    plan = made(nodes)
    assert names(plan) == [["h1-m1"]]
    assert (plan.steps[0].bad, plan.steps[0].was) == ("it died", OLD)


def test_what_runs_it_already_and_what_cannot_be_changed_is_said() -> None:
    nodes = [candidate("m1", "h1", "new"), replace(candidate("m2", "h1", "apart"), why="not adopted"), candidate("m3", "h1")]
    plan = made(nodes)
    assert (plan.passed, plan.apart, names(plan)) == (("m1",), (("m2", "not adopted"),), [["m3"]])


def test_nothing_to_do_has_no_wave() -> None:
    plan = made([candidate("m1", "h1", "new")])
    assert (plan.waves, estimate(plan).all_s) == ((), 0.0)


def test_time_is_the_slowest_host_of_each_wave() -> None:
    every_38_min = 38 * 60.0
    nodes = [replace(node, rate=Rate(1, every_38_min)) for node in twelve()]
    found = estimate(made(nodes))
    one = every_38_min + 60 + 20
    assert found.first_s == 2 * every_38_min + 60 + 20
    assert found.all_s == pytest.approx(found.first_s + one + 2 * one + 3 * one), "h2 has three of the last five nodes"
    assert found.latest_s > found.all_s
    side_by_side = estimate(made(nodes, per_host=5))
    assert side_by_side.all_s == pytest.approx(found.first_s + 3 * one)


def test_the_digest_is_of_what_is_done_and_not_of_how_often_nodes_are_selected() -> None:
    plan = made(twelve(), canary="h1-m1")
    other_rates = [replace(node, rate=Rate(node.rate.selected + 1, DAY_S)) for node in twelve()]
    assert made(other_rates, canary="h1-m1").digest == plan.digest
    assert made(twelve(), canary="h1-m2").digest != plan.digest
    nodes = twelve()
    nodes[3] = replace(nodes[3], program="77" * 32)
    assert made(nodes, canary="h1-m1").digest != plan.digest


fleets = st.lists(
    st.tuples(
        st.sampled_from(["h1", "h2", "h3"]),
        st.sampled_from(["old", "old", "old", "due", "new", "apart"]),
        st.integers(0, 50),
        st.sampled_from([True, False, None]),
    ),
    max_size=30,
).map(
    lambda rows: [
        candidate(f"m{number}", host, standing, selected=selected, earning=earning)  # type: ignore[arg-type]
        for number, (host, standing, selected, earning) in enumerate(rows)
    ]
)


@given(fleets, st.none() | st.integers(1, 9))
def test_every_node_has_its_turn_once_and_no_wave_grows_too_fast(nodes: list[Candidate], wave_max: int | None) -> None:
    plan = made(nodes, wave_max=wave_max)
    turns = [step.node for step in plan.steps]
    due = [one.node for one in nodes if one.standing == "due"]
    assert sorted(turns) == sorted(one.node for one in nodes if one.standing in ("old", "due"))
    assert names(plan)[0] == due if due else all(len(wave) == 1 for wave in plan.waves[:1])
    sizes = [len(wave) for wave in plan.waves[1:]]
    assert all(size <= min(2 ** (number + 1), wave_max or 30) for number, size in enumerate(sizes))
    assert made(nodes, wave_max=wave_max) == plan
