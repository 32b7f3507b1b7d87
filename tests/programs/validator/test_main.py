from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.validator.main import policy_of, serve
from cortops.protocol.settings import ValidatorSettings
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput

ENV = {
    "NODE_NAME": "validator-1",
    "HOST": "http://127.0.0.1:1",
    "CHAINID": "1",
    "CONTRACT_ADDRESS_RUNTIME": "0x" + "00" * 20,
    "NODE_PUBLIC_KEY": "0x" + "00" * 20,
    "NODE_PRIVATE_KEY": "k",
    "VALIDATOR_MODEL_PATH": "m",
    "VALIDATOR_TOKENIZER_PATH": "t",
    "NODE_BIND_PORT": "5301",
}


def test_settings_are_written_and_read() -> None:
    found = ValidatorSettings.from_env(ENV)
    assert (found.similarity_min, found.bind_ips, found.port) == (0.75, ("127.0.0.1",), 5301)
    assert ValidatorSettings.from_env(found.to_env()) == found


def test_what_is_as_by_default_is_not_written() -> None:
    assert not {"VALIDATOR_RUNS", "VALIDATOR_POLICY", "VALIDATOR_EVIDENCE_PATH", "LLM_URL"} & {*ValidatorSettings.from_env(ENV).to_env()}


def test_the_policy_is_that_of_the_settings() -> None:
    found = policy_of(ValidatorSettings.from_env({**ENV, "VALIDATOR_POLICY": '{"replicas":3}', "VALIDATOR_SIMILARITY_MIN": ".8"}))
    assert (found.replicas, found.similarity_min) == (3, 0.8)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"VALIDATOR_RUNS": "minerv4"}, "it must be one of validatorv1, validatorv2, validatorv3"),
        ({"VALIDATOR_RUNS": "validatorv3"}, "needs its judge's engine"),
        ({"VALIDATOR_POLICY": "{"}, "policy of validation"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, str], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        policy_of(ValidatorSettings.from_env({**ENV, **changes}))


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_that_cannot_be_is_refused(value: float) -> None:
    clock = VirtualClock()
    settings = replace(ValidatorSettings.from_env(ENV), similarity_min=value)
    with pytest.raises(BadInput, match="VALIDATOR_SIMILARITY_MIN"):
        asyncio.run(serve(settings, make_log("validator", io.BytesIO(), clock), clock))
