"""Slow for a fast test (a second of compiling), so it counts as real."""

from __future__ import annotations

import pytest

from cortops.contracts import build
from cortops.contracts.artifact import ALL, load


@pytest.mark.real
@pytest.mark.parametrize("name", ALL)
def test_the_shipped_artifact_is_what_the_sources_give(name: str) -> None:
    assert build.artifact_text(build.compile_one(name)) == (build.ARTIFACTS / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_the_sources_have_not_changed_since_the_build(name: str) -> None:
    assert load(name).source_sha256 == build.source_sha256(name), "run: python -m cortops.contracts.build"
