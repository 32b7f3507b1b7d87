"""Deployment at an address that only deployer, salt and init code decide. Source: EIP-1014 and the deterministic deployment proxy."""

from __future__ import annotations

from cortops.contracts.keccak import checksummed, keccak256

# Present on anvil and most chains; takes salt (32 bytes) followed by init code as its calldata.
DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
NO_SALT = "0x" + "00" * 32


def address(init_code: str, salt: str = NO_SALT, *, deployer: str = DEPLOYER) -> str:
    """init_code (0x…, constructor arguments included) and salt (0x…, 32 bytes) -> checksummed address of the contract."""
    preimage = b"\xff" + _bytes(deployer) + _salt(salt) + keccak256(_bytes(init_code))
    return checksummed(keccak256(preimage)[12:])


def deploy_calldata(init_code: str, salt: str = NO_SALT) -> str:
    """What to send to DEPLOYER; it reverts when the address already has code, so look first."""
    return "0x" + (_salt(salt) + _bytes(init_code)).hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _salt(text: str) -> bytes:
    salt = _bytes(text)
    if len(salt) != 32:
        raise ValueError(f"a salt has 32 bytes, this one {len(salt)}")
    return salt
