from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from cortops.deploy.fetch import Artifact
from cortops.testing.embedding import MINILM, MINILM_TOKENIZER, WordCounts, failing

EXAMPLE = Path(__file__).parents[2] / "examples" / "local.yaml"


@pytest.mark.parametrize("artifact", [MINILM, MINILM_TOKENIZER])
def test_tests_use_what_the_example_declares(artifact: Artifact) -> None:
    declared = yaml.safe_load(EXAMPLE.read_text())["releases"][artifact.name]
    ours = dataclasses.asdict(artifact) | {"from": artifact.source}
    assert {key: ours[key] for key in declared} == declared


def test_the_stand_in_counts_words() -> None:
    table = WordCounts().compare(["The sky is blue", "blue is the SKY!", "send money", ""])
    assert [[round(value, 3) for value in row] for row in table] == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_failing_loader_fails_so_often() -> None:
    load = failing(1, WordCounts)
    with pytest.raises(OSError, match="no such file"):
        load()
    assert load().asked == []
