"""Who passes a network task."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.programs.oracle.test_network_task import TASK

from cortops.programs.validator.judge import Asked, Decision, decide
from cortops.programs.validator.network_task import replicas_of, results
from cortops.protocol.validation import Policy


def decided(texts: dict[str, str]) -> tuple[Decision | None, dict[str, bool]]:
    """By hash alone: different texts are as far apart as can be."""
    task = replace(TASK, committed=frozenset(texts), precommitted=frozenset(texts))
    replicas = replicas_of(task, texts)
    decision = decide(replicas, lambda _one, _other: 0.0, Policy(), Asked(prompt="science sky")) if replicas else None
    return decision, dict(results(task, decision))


def test_a_majority_passes_and_the_rest_does_not() -> None:
    same = "Light of short waves is scattered most."
    assert decided({"a": same, "b": same, "c": "Bread is made of flour and water."})[1] == {"a": True, "b": True, "c": False}


def test_who_committed_nothing_has_failed() -> None:
    same = "Light of short waves is scattered most."
    assert decided({"a": same, "b": same})[1] == {"a": True, "b": True, "c": False}


def test_without_a_majority_nobody_is_accused_of_a_wrong_answer() -> None:
    assert decided({"a": "Light of short waves is scattered.", "b": "Bread is made of flour and water."})[1] == {"c": False}


def test_an_answer_that_stands_alone_passes() -> None:
    assert decided({"a": "Light of short waves is scattered most."})[1] == {"a": True, "b": False, "c": False}


def test_when_nobody_answers_nobody_is_accused() -> None:
    assert decided({})[1] == {}


@given(st.dictionaries(st.sampled_from("abc"), st.text(min_size=1, max_size=30)))
def test_nobody_passes_without_an_answer(texts: dict[str, str]) -> None:
    assert {miner for miner, passed in decided(texts)[1].items() if passed} <= set(texts)
