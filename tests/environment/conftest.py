"""What the tests of the environment share: the small example, the whole one, and a way to load what must be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.environment.reason import Invalid

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE = EXAMPLES / "small.yaml"


@pytest.fixture(scope="session")
def example_text() -> str:
    return EXAMPLE.read_text()


@pytest.fixture(scope="session")
def loaded() -> Callable[[str], Environment]:
    def load_right(text: str) -> Environment:
        result = load(text, "local.yaml")
        assert not isinstance(result, Invalid), result.text
        return result

    return load_right


@pytest.fixture
def example(example_text: str, loaded: Callable[[str], Environment]) -> Environment:
    return loaded(example_text)


@pytest.fixture
def whole() -> Environment:
    result = load_file(EXAMPLES / "local.yaml")
    assert not isinstance(result, Invalid), result.text
    return result
