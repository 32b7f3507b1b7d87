"""The shipped artifacts: complete, small enough for a chain, found by name. What their ABI must hold: test_public_names."""

from __future__ import annotations

import pytest

from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak_hex
from cortops.words.errors import UnknownName


@pytest.mark.parametrize("name", NAMES)
def test_code_fits_the_chain(name: str) -> None:
    artifact = load(name)
    size = len(artifact.runtime_code) // 2 - 1
    assert 0 < size <= 24_576  # EIP-170
    assert artifact.code_hash == keccak_hex(bytes.fromhex(artifact.runtime_code[2:]))
    assert artifact.runtime_code[2:] in artifact.init_code  # no immutables: what is shipped is what will stand on chain


def test_topic_by_name() -> None:
    assert load("session_queue").topic("TaskAcked") == keccak_hex(b"TaskAcked(uint256,uint256,address)")
    with pytest.raises(UnknownName, match="no event Nothing"):
        load("session_queue").topic("Nothing")


def test_unknown_contract_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="there are runtime, node_registry, node_pool, "):
        load("../secrets")
