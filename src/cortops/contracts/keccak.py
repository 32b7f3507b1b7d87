"""keccak-256, the hash of the chain (not SHA3-256 of FIPS 202)."""

from __future__ import annotations

from functools import lru_cache


def keccak256(data: bytes) -> bytes:
    """32 bytes. Source: the Keccak submission with the original padding, as Ethereum uses it."""
    from Crypto.Hash import keccak  # brings cffi's parser, 50 ms that commands do without that hash nothing

    return keccak.new(digest_bits=256, data=data).digest()


def keccak_hex(data: bytes) -> str:
    """As `keccak256`, written `0x` and 64 lower-case digits."""
    return "0x" + keccak256(data).hex()


@lru_cache(maxsize=4096)  # the same few addresses stand in every event
def checksummed(address: bytes | str) -> str:
    """20 bytes or 0x… of any case -> the mixed-case form. ValueError when it is not 20 bytes. Source: EIP-55."""
    raw = bytes.fromhex(address.removeprefix("0x")) if isinstance(address, str) else address
    if len(raw) != 20:
        raise ValueError(f"an address has 20 bytes, this one {len(raw)}")
    digits = raw.hex()
    shade = keccak256(digits.encode()).hex()
    return "0x" + "".join(digit.upper() if int(mask, 16) >= 8 else digit for digit, mask in zip(digits, shade, strict=False))
