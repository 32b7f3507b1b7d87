"""Wallet: one private key, what it signs, and whose signature a text has.

Transactions are put together here from RLP (rlp) and ECDSA (coincurve). eth_account is the oracle in the tests: it takes 1 s of CPU to
import, for a pairing library that nothing here uses, and every node of an environment would pay that at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey

from cortops.contracts.keccak import checksummed, keccak256
from cortops.contracts.keccak import keccak_hex as keccak_hex
from cortops.words.errors import BadInput

_DYNAMIC_FEE = b"\x02"  # transaction type. Source: EIP-1559
_GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1; a key is 1 .. this - 1. Source: SEC 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What is signed and sent; fees in wei. to: 0x…, 20 bytes. data: 0x…. Source: EIP-1559."""

    chain_id: int
    nonce: int
    max_fee_per_gas: int
    gas: int
    to: str
    data: str = "0x"
    value: int = 0
    max_priority_fee_per_gas: int = 0


class Wallet:
    """A private key that never shows itself: not in repr, not in errors."""

    __slots__ = ("_key", "address")

    def __init__(self, private_key: str) -> None:
        """private_key: 0x… (32 bytes); BadInput when it is not a key, without quoting it."""
        self._key = PrivateKey(_secret(private_key))
        self.address = _address(self._key.public_key)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def sign(self, tx: Transaction) -> str:
        """The raw signed transaction, 0x…, for eth_sendRawTransaction. Source: EIP-1559, EIP-2718."""
        encode = load_signing()
        fees = [tx.chain_id, tx.nonce, tx.max_priority_fee_per_gas, tx.max_fee_per_gas, tx.gas]
        fields = [*fees, bytes.fromhex(tx.to[2:]), tx.value, bytes.fromhex(tx.data[2:]), []]  # last: the access list
        signature = self._key.sign_recoverable(keccak256(_DYNAMIC_FEE + encode(fields)), hasher=None)
        r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
        return "0x" + (_DYNAMIC_FEE + encode([*fields, parity, r, s])).hex()

    def sign_text(self, text: str) -> str:
        """Signature over a text, 0x… (65 bytes, v = 27 or 28). Source: EIP-191 version 0x45 (personal_sign)."""
        signature = self._key.sign_recoverable(_text_hash(text), hasher=None)
        return "0x" + (signature[:64] + bytes([signature[64] + 27])).hex()


def load_signing() -> Callable[[object], bytes]:
    """The RLP encoder; the first call imports it (.1 to .4 s)."""
    from rlp import encode

    return encode  # type: ignore[no-any-return]


def recover(text: str, signature: str) -> str:
    """Whose `sign_text` this is: a checksummed address. BadInput when it is no signature at all."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
            raise ValueError("65 bytes ending in 27 or 28 are expected")
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] % 27]), _text_hash(text), hasher=None)
    except Exception as error:  # coincurve raises bare Exception for points off the curve
        raise BadInput("this is not an EIP-191 signature", why=str(error)) from error
    return _address(key)


def new_private_key(random_bytes: bytes) -> str:
    """32 or more random bytes -> 0x… private key. ValueError for fewer; the source of chance is the caller's."""
    if len(random_bytes) < 32:
        raise ValueError("a private key needs 32 random bytes")
    return "0x" + (int.from_bytes(random_bytes, "big") % (_GROUP_ORDER - 1) + 1).to_bytes(32, "big").hex()


def address_of(private_key: str) -> str:
    """The checksummed address of a private key (0x…); BadInput when it is not a key."""
    return _address(PrivateKey(_secret(private_key)).public_key)


def _secret(private_key: str) -> bytes:
    try:
        secret = bytes.fromhex(private_key.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _GROUP_ORDER:
        raise BadInput("the private key is not 0x and 64 hexadecimal digits within the curve's range")
    return secret


def _address(key: PublicKey) -> str:
    return checksummed(keccak256(key.format(compressed=False)[1:])[12:])


def _text_hash(text: str) -> bytes:
    raw = text.encode()
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)
