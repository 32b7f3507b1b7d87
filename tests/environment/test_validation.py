"""The block `validation` of a validator, and what follows from a judge that is an engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.environment.declared import Environment
from cortops.environment.dials import dials
from cortops.environment.graph import depends_on
from cortops.environment.validation import Validation
from cortops.protocol.validation import Policy
from cortops.words.entity import Entity

LOCAL = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"


def with_judge(engine: str) -> str:
    """The whole example, whose validator asks a judge."""
    text, count = re.subn(
        r"(validator-1: \{.*)\}", rf"\1, runs: validatorv3, validation: {{replicas: 3}}, engine: {engine}}}", LOCAL.read_text()
    )
    assert count == 1
    return text


def test_its_defaults_are_those_that_were_measured() -> None:
    assert Validation().policy(Policy().similarity_min) == Policy()


def test_what_is_declared_is_what_the_validator_reads() -> None:
    block = Validation(replicas=5, disagreement="fail_hard", sampled=True, rubric=("It cites a source.",), length_min=0)
    expected = Policy(similarity_min=0.8, replicas=5, disagreement="fail_hard", sampled=True, rubric=("It cites a source.",), length_min=0)
    assert block.policy(0.8) == expected


@pytest.mark.parametrize(
    ("engine", "entity"), [("engine-1", "engine-1"), ('{url: "http://10.0.0.9:8090", model: big}', "10.0.0.9:8090")], ids=["node", "url"]
)
def test_a_validator_depends_on_the_engine_of_its_judge(engine: str, entity: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(with_judge(engine))
    assert Entity("engine", entity) in depends_on(env)[Entity("validator", "validator-1")]
    assert (("validator-1", "engine-1") in {(dial.who, dial.to) for dial in dials(env)}) == (entity == "engine-1")
