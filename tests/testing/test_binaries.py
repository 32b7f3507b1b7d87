from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from cortops.testing import binaries
from cortops.words.errors import ArtifactUnavailable

EXAMPLE = Path(__file__).parents[2] / "examples" / "local.yaml"


@pytest.mark.parametrize(
    ("release", "machine", "artifact"),
    [
        ("anvil", "x86_64", binaries.anvil_artifact("x86_64")),
        ("anvil", "aarch64", binaries.anvil_artifact("aarch64")),
        ("smollm2", "", binaries.SMOLLM2),
    ],
)
def test_tests_use_what_the_example_declares(release: str, machine: str, artifact: binaries.Artifact) -> None:
    declared = yaml.safe_load(EXAMPLE.read_text())["releases"][release]
    declared = declared[machine] if machine else declared
    ours = dataclasses.asdict(artifact) | {"from": artifact.source}
    assert {key: ours[key] for key in declared} == declared


def test_a_machine_without_anvil_is_told_which_have_one() -> None:
    with pytest.raises(ArtifactUnavailable, match="riscv64") as caught:
        binaries.anvil_artifact("riscv64")
    assert "x86_64" in caught.value.next


@pytest.mark.real
def test_the_shared_cache_gives_anvil_and_the_model() -> None:
    assert binaries.anvil().stat().st_mode & 0o111
    with binaries.smollm2().open("rb") as model:
        assert model.read(4) == b"GGUF"
