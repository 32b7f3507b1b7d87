"""Releases per machine, and references that are plain text or a block."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cortops.environment.declared import Environment
from cortops.environment.model import MinerNode
from cortops.words.errors import ArtifactUnavailable


def test_one_block_is_for_every_machine(example: Environment) -> None:
    release = example.releases["smollm2"]
    assert release.on("x86_64", "smollm2") == release.on("riscv64", "smollm2")
    assert release.on("x86_64").size == 98_362_432


def test_a_machine_that_nobody_measured_is_refused(example: Environment) -> None:
    release = example.releases["anvil"]
    assert release.on("x86_64").source == "npm:@foundry-rs/anvil-linux-amd64@1.7.1"
    with pytest.raises(ArtifactUnavailable, match="nobody has measured anvil on aarch64 yet") as caught:
        release.on("aarch64", "anvil")
    assert "releases.anvil.aarch64" in caught.value.next


def test_a_machine_that_is_not_declared_is_refused(example: Environment) -> None:
    with pytest.raises(ArtifactUnavailable, match="anvil declares no file for riscv64"):
        example.releases["anvil"].on("riscv64", "anvil")


def test_an_engine_may_be_only_a_url(example_text: str, loaded: Callable[[str], Environment]) -> None:
    url = "http://127.0.0.1:9999/v1"
    env = loaded(example_text.replace("engine: engine-1", f'engine: {{url: "{url}", model: smollm2}}'))
    miner = env.nodes["miner-1"]
    assert isinstance(miner, MinerNode)
    assert (miner.engine.node, miner.engine.url, miner.engine.model) == (None, url, "smollm2")


def test_values_are_frozen(example: Environment) -> None:
    with pytest.raises(ValueError, match="frozen"):
        example.nodes["miner-1"].port = 1
