"""Which nodes go back to what."""

from __future__ import annotations

import pytest
from tests.deploy.waves.records import history, sha

from cortops.deploy.waves.back import Goals, goals_of, release_named
from cortops.deploy.waves.history import HostHistory
from cortops.words.errors import BadInput

H1 = history({"a": "XYYY", "b": "XXYY", "c": "..XX"})
H2 = history({"d": "XY"}, host="h2")
DOWN = HostHistory(host="h3", silent="no answer within 10 s")


def back(*, nodes: dict[str, str] | None = None, hosts: tuple[str, ...] = (), to: int | None = None) -> Goals:
    return goals_of([H1, H2, DOWN], nodes=nodes or {}, hosts=hosts, to=to)


def told(found: Goals) -> dict[str, int]:
    return {goal.node: goal.earlier.generation for goal in found.goals}


def test_without_a_word_every_node_goes_to_what_it_ran_before() -> None:
    found = back()
    assert told(found) == {"a": 0, "b": 1, "d": 0}
    assert found.still == (("c", "it has run only xxxxxx since it was adopted"),)
    assert found.silent == (("h3", "no answer within 10 s"),)
    assert {host: [goal.node for goal in goals] for host, goals in found.by_host.items()} == {"h1": ["a", "b"], "h2": ["d"]}
    assert [[goal.node for goal in group] for group in found.groups] == [["a"], ["b"], ["d"]]


def test_a_node_that_runs_what_nobody_has_recorded_goes_to_what_is_recorded() -> None:
    found = goals_of([H1, H2], nodes={}, hosts=(), to=None, runs={"a": sha("Z"), "b": sha("Y"), "c": sha("Z"), "d": ""})
    assert told(found) == {"a": 3, "b": 1, "c": 3, "d": 0}


def test_one_node_or_one_host() -> None:
    assert told(back(nodes={"b": "h1"})) == {"b": 1}
    assert told(back(hosts=("h2",))) == {"d": 0}
    assert back(nodes={"b": "h1"}).silent == ()
    assert back(nodes={"z": "h3"}).silent == (("h3", "no answer within 10 s"),)
    assert back(nodes={"z": "h1"}).still == (("z", "it is not adopted"),)


def test_to_a_generation_all_of_a_host_go_and_who_was_not_there_stays() -> None:
    found = back(hosts=("h1",), to=1)
    assert told(found) == {"a": 1, "b": 1}
    assert found.still == (("c", "it was not adopted in generation 1"),)
    assert len(found.groups) == 1
    assert found.goals[0].release == "build-y"


def test_a_generation_that_is_not_kept_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="h1 keeps no generation 9") as refused:
        back(hosts=("h1",), to=9)
    assert "It keeps 0, 1, 2, 3" in refused.value.next


def test_the_release_is_named_as_the_file_names_that_hash_now() -> None:
    goal = back(nodes={"a": "h1"}).goals[0]
    assert release_named(goal, {"build-x": sha("X"), "other": sha("X")}) == "build-x"
    assert release_named(goal, {"build-x": sha("Z"), "march": sha("X")}) == "march"
    assert release_named(goal, {"build-x": sha("Z")}) == ""
