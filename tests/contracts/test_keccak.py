from __future__ import annotations

import pytest

from cortops.contracts import records
from cortops.contracts.keccak import checksummed, keccak_hex


def test_keccak_of_nothing_is_the_known_value() -> None:
    assert keccak_hex(b"") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("address", ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"])
def test_checksums_are_those_of_eip_55(address: str) -> None:
    assert checksummed(address.lower()) == address
    assert checksummed(bytes.fromhex(address[2:])) == address


def test_an_address_has_20_bytes() -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        checksummed("0x01")


@pytest.mark.parametrize("name", ["ORACLE_ROLE", "VALIDATOR_ROLE", "POOL_ROLE"])
def test_a_role_is_the_hash_of_its_name(name: str) -> None:
    assert getattr(records, name) == keccak_hex(name.encode())
