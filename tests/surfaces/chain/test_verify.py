"""Is the code what was built: byte for byte, but for what creation fills in and what the compiler says of itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.chain.verify import Built, Compared, Same, compare, read_built, without_metadata, zeroed
from cortops.words.errors import BadInput

CODE = bytes(range(1, 97))
TAIL = bytes.fromhex("a264697066735822") + bytes(40)
OTHER_TAIL = bytes.fromhex("a264697066735822") + bytes([7] * 20) + bytes(20)


def with_tail(code: bytes, tail: bytes = TAIL) -> bytes:
    return code + tail + len(tail).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("built", "on_chain", "told"),
    [
        (Built(runtime=CODE, vyper=True), CODE, "exact"),
        (Built(runtime=CODE, vyper=True), CODE + bytes(64), "exact (64 bytes of immutables)"),
        (Built(runtime=CODE, vyper=True), CODE + bytes(31), "differs from byte 96 on"),
        (Built(runtime=CODE, vyper=True), CODE[:10] + b"\0" + CODE[11:], "differs from byte 10 on"),
        (Built(runtime=CODE, vyper=True), b"", "no code"),
        (Built(runtime=with_tail(CODE)), with_tail(CODE), "exact"),
        (Built(runtime=with_tail(CODE)), with_tail(CODE, OTHER_TAIL), "same code, other metadata"),
        (Built(runtime=with_tail(CODE)), CODE, "same code, other metadata"),
        (Built(runtime=with_tail(CODE)), with_tail(CODE[:50] + b"\0" + CODE[51:]), "differs from byte 50 on"),
        (Built(runtime=with_tail(CODE)), b"", "no code"),
    ],
)
def test_what_is_told(built: Built, on_chain: bytes, told: str) -> None:
    assert compare(built, on_chain).text == told


def test_immutables_of_solidity_are_not_compared() -> None:
    placed = with_tail(CODE[:8] + bytes(32) + CODE[40:])
    filled = with_tail(CODE[:8] + bytes([9] * 32) + CODE[40:])
    assert compare(Built(runtime=placed, immutables=((8, 32),)), filled) == Compared(same=Same.EXACT, immutable=32)
    assert compare(Built(runtime=placed), filled).same is Same.DIFFERS


@given(code=st.binary(max_size=200), start=st.integers(0, 300), length=st.integers(0, 64))
def test_zeroing_keeps_the_length_and_all_else(code: bytes, start: int, length: int) -> None:
    found = zeroed(code, [(start, length)])
    assert len(found) == len(code)
    assert all(left == right for at, (left, right) in enumerate(zip(code, found, strict=True)) if not start <= at < start + length)
    assert not any(found[start : start + length])


@given(code=st.binary(max_size=120))
def test_no_bytes_break_the_split(code: bytes) -> None:
    assert code.startswith(without_metadata(code))


def test_artifacts_of_solc_forge_and_hardhat_are_read() -> None:
    references = {"12": [{"start": 8, "length": 32}], "13": [{"start": 64, "length": 32}]}
    forge = {"deployedBytecode": {"object": "0x6001", "immutableReferences": references}}
    built = Built(runtime=b"\x60\x01", immutables=((8, 32), (64, 32)))
    assert read_built(json.dumps(forge).encode(), "x") == built
    assert (
        read_built(json.dumps({"evm": {**forge, "deployedBytecode": {**forge["deployedBytecode"], "object": "6001"}}}).encode(), "x")
        == built
    )
    assert read_built(b'{"deployedBytecode": "0x6001"}', "x") == Built(runtime=b"\x60\x01")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"deployedBytecode": "0x__$lib$__"}', b'{"deployedBytecode": {"object": 7}}'])
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput, match=r"x\.json holds no deployed bytecode"):
        read_built(text, "x.json")
