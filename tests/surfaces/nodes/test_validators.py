"""What a validator is told of its policy and its judge, and that nothing is told where nothing is declared."""

from __future__ import annotations

import re
from typing import Any

from tests.surfaces.stage import EXAMPLE, site_of

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.programs.validator.main import policy_of
from cortops.protocol import envfile
from cortops.protocol.settings import ValidatorSettings
from cortops.surfaces.nodes.render import render
from cortops.words.resource import File

PLAIN = EXAMPLE.with_name("local.yaml").read_text()


def told(more: str = "") -> dict[str, str]:
    """The validator's env file, with `more` in its node; secrets left out."""
    text, count = re.subn(r"(validator-1: \{.*)\}", rf"\1{more}}}", PLAIN)
    assert count == 1
    env = load(text, "x.yaml")
    assert isinstance(env, Environment), env.text
    resources: list[Any] = [one for one in render(env, site_of(env)) if one.entity.name == "validator-1" and isinstance(one, File)]
    return envfile.parse("".join(part if isinstance(part, str) else "hidden" for part in resources[0].content))


def test_a_plain_one_is_told_nothing_new() -> None:
    assert {"VALIDATOR_RUNS", "VALIDATOR_POLICY", "VALIDATOR_EVIDENCE_PATH", "LLM_URL", "LLM_MODEL"} & {*told()} == set()


def test_policy_evidence_and_judge() -> None:
    plain = told()
    values = told(', runs: validatorv3, engine: engine-1, similarity_min: 0.8, validation: {replicas: 3, rubric: ["It cites a source."]}')
    assert {key: value for key, value in values.items() if plain.get(key) != value} == {
        "VALIDATOR_SIMILARITY_MIN": "0.8",
        "VALIDATOR_RUNS": "validatorv3",
        "VALIDATOR_POLICY": '{"replicas":3,"rubric":["It cites a source."]}',
        "VALIDATOR_EVIDENCE_PATH": "/srv/local/data/validator-1/evidence.db",
        "LLM_URL": "http://127.0.0.1:8090",
        "LLM_MODEL": "smollm2",
    }
    found = policy_of(ValidatorSettings.from_env(values))
    assert (found.replicas, found.similarity_min, found.rubric) == (3, 0.8, ("It cites a source.",))
