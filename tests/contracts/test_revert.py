from __future__ import annotations

import pytest

from cortops.contracts.abi import word
from cortops.contracts.revert import reason_of

REASON = "0x08c379a0" + word(32) + word(9) + b"not acked".hex().ljust(64, "0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (REASON, "not acked"),
        ({"data": REASON}, "not acked"),
        ({"result": REASON}, "not acked"),
        ("0x", ""),
        (None, ""),
        ({}, ""),
        ("0x4e487b71" + word(17), ""),  # Panic(uint256)
        ("0x08c379a0zz", ""),
        (REASON[: -2 * 29], "not"),  # cut short,
    ],
)
def test_reason(data: object, reason: str) -> None:
    assert reason_of(data) == reason
