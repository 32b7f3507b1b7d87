"""Source of the vectors: EIP-1014."""

from __future__ import annotations

import pytest

from cortops.contracts import create2

ZERO_SALT = "0x" + "00" * 32
VECTORS = [
    ("0x" + "00" * 20, ZERO_SALT, "0x00", "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
    ("0xdeadbeef" + "00" * 16, ZERO_SALT, "0x00", "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3"),
    ("0xdeadbeef" + "00" * 16, "0x" + "000000000000000000000000feed" + "00" * 18, "0x00", "0xD04116cDd17beBE565EB2422F2497E06cC1C9833"),
    ("0x" + "00" * 20, ZERO_SALT, "0xdeadbeef", "0x70f2b2914A2a4b783FaEFb75f459A580616Fcb5e"),
    ("0x" + "00" * 16 + "deadbeef", "0x" + "00" * 28 + "cafebabe", "0xdeadbeef", "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7"),
    ("0x" + "00" * 16 + "deadbeef", "0x" + "00" * 28 + "cafebabe", "0x" + "deadbeef" * 11, "0x1d8bfDC5D46DC4f61D6b6115972536eBE6A8854C"),
    ("0x" + "00" * 20, ZERO_SALT, "0x", "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
]


@pytest.mark.parametrize(("deployer", "salt", "init_code", "expected"), VECTORS)
def test_address_is_that_of_eip_1014(deployer: str, salt: str, init_code: str, expected: str) -> None:
    assert create2.address(init_code, salt, deployer=deployer) == expected


def test_deploy_calldata_is_salt_then_code() -> None:
    assert create2.deploy_calldata("0xdeadbeef", "0x" + "11" * 32) == "0x" + "11" * 32 + "deadbeef"


def test_a_salt_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        create2.address("0x00", "0x01")
