"""Is the code on chain what was built? Without an explorer, from bytes alone. Pure.

Vyper appends immutables behind the runtime; Solidity writes them into it, at ranges that its output names, and ends with metadata whose
length stands in the last two bytes (CBOR).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from cortops.words.errors import BadInput

LENGTH_BYTES = 2
WORD = 32
ARTIFACT_MAX_MIB = 16


class Same(StrEnum):
    """How much of it is the same."""

    EXACT = "exact"
    CODE = "same code, other metadata"
    DIFFERS = "differs"
    NONE = "no code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a compiler made. runtime: the code as it was built; immutables: (start, length) of the ranges that are filled in at creation.

    vyper: immutables stand behind the runtime instead.
    """

    runtime: bytes
    immutables: tuple[tuple[int, int], ...] = ()
    vyper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The outcome; at: the first byte that differs, None where none does; immutable: bytes filled in at creation."""

    same: Same
    at: int | None = None
    immutable: int = 0

    @property
    def text(self) -> str:
        """For people: `exact (64 bytes of immutables)`, `differs from byte 1,204 on`."""
        if self.same is Same.DIFFERS:
            return f"differs from byte {self.at:,} on"
        return f"{self.same} ({self.immutable} bytes of immutables)" if self.immutable else str(self.same)


def compare(built: Built, on_chain: bytes) -> Compared:
    """The code of an address against what was built."""
    if not on_chain:
        return Compared(same=Same.NONE)
    return _vyper(built.runtime, on_chain) if built.vyper else _solidity(built, on_chain)


def _vyper(runtime: bytes, on_chain: bytes) -> Compared:
    rest = len(on_chain) - len(runtime)
    if on_chain.startswith(runtime) and rest % WORD == 0:
        return Compared(same=Same.EXACT, immutable=rest)
    return Compared(same=Same.DIFFERS, at=_first_difference(runtime, on_chain))


def _solidity(built: Built, on_chain: bytes) -> Compared:
    mine, theirs = (zeroed(code, built.immutables) for code in (built.runtime, on_chain))
    size = sum(length for _, length in built.immutables)
    if mine == theirs:
        return Compared(same=Same.EXACT, immutable=size)
    code, theirs_code = without_metadata(mine), without_metadata(theirs)
    if code == theirs_code:
        return Compared(same=Same.CODE, immutable=size)
    return Compared(same=Same.DIFFERS, at=_first_difference(code, theirs_code))


def zeroed(code: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    """The code with these (start, length) set to zero; what lies beyond its end is left out."""
    copy = bytearray(code)
    for start, length in ranges:
        end = min(start + length, len(copy))
        copy[start:end] = bytes(max(0, end - start))
    return bytes(copy)


def without_metadata(code: bytes) -> bytes:
    """The code without its CBOR tail; as it is where the last two bytes name no tail that looks like one (a map of 1 to 5 entries)."""
    if len(code) < LENGTH_BYTES:
        return code
    size = int.from_bytes(code[-LENGTH_BYTES:]) + LENGTH_BYTES
    start = len(code) - size
    return code[:start] if start > 0 and 0xA1 <= code[start] <= 0xA5 else code


def _first_difference(one: bytes, other: bytes) -> int:
    return next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other)))


def read_built(text: bytes, where: str) -> Built:
    """A Solidity artifact of solc, forge or hardhat (JSON with the deployed bytecode) -> Built. BadInput for anything else.

    Hardhat's plain artifacts name no immutables; forge's and solc's do.
    """
    try:
        body: Any = msgspec.json.decode(text)
        deployed: Any = body.get("deployedBytecode") or (body.get("evm") or {}).get("deployedBytecode")
        code = deployed if isinstance(deployed, str) else deployed["object"]
        references: Mapping[str, Any] = {} if isinstance(deployed, str) else deployed.get("immutableReferences") or {}
        ranges = tuple((int(one["start"]), int(one["length"])) for group in references.values() for one in group)
        return Built(runtime=bytes.fromhex(code.removeprefix("0x")), immutables=ranges)
    except (msgspec.DecodeError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise BadInput(
            f"{where} holds no deployed bytecode",
            where=where,
            why=str(error)[:120] or type(error).__name__,
            next="give the JSON that solc, forge or hardhat wrote for the contract, with its libraries linked",
        ) from error
