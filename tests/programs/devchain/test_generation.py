"""Snapshots as bytes: whole or known to be damaged; compacted without losing what is asked for later."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.devchain.generation import Damaged, Snapshot, compact, decode, encode, note, told

SNAPSHOT = Snapshot(block=120, at=1_800_000_000.25, state=b"\x1f\x8b the state \n of the chain")


def test_what_is_encoded_is_decoded() -> None:
    assert decode(encode(SNAPSHOT)) == SNAPSHOT


@given(st.data())
def test_no_cut_and_no_flipped_bit_passes(data: st.DataObject) -> None:
    whole = encode(SNAPSHOT)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert isinstance(decode(whole[:cut]), Damaged)
    start = whole.index(b"\n")  # a flipped bit of the header's numbers is not the state's damage
    at, bit = data.draw(st.integers(start, len(whole) - 1)), data.draw(st.integers(0, 7))
    assert isinstance(decode(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]), Damaged)


@given(st.binary(max_size=2000))
def test_any_bytes_are_answered(junk: bytes) -> None:
    assert isinstance(decode(junk), Damaged)
    assert isinstance(compact(junk), Damaged)
    assert isinstance(compact(gzip.compress(junk)), Damaged)


@pytest.mark.parametrize(
    ("data", "why", "block"),
    [
        (b"", "is torn: it is empty", None),
        (b"x" * 2000, "is torn: it has no header", None),
        (b"{}\n", "is torn: its header cannot be read", None),
        (encode(SNAPSHOT)[:-3], "is torn: 24 of 27 bytes", 120),
        (encode(SNAPSHOT) + b"x", "is torn: it has bytes after its end", 120),
        (encode(SNAPSHOT)[:-1] + b"X", "is torn: it does not match its sha256", 120),
        (encode(SNAPSHOT).replace(b"cortops-chain-1", b"cortops-chain-9"), "is of format cortops-chain-9, not cortops-chain-1", 120),
    ],
)
def test_damage_is_named(data: bytes, why: str, block: int | None) -> None:
    assert decode(data) == Damaged(why, block)


def test_a_torn_gzip_inside_a_whole_frame_is_named() -> None:
    torn = state(10, {5})[:-20]
    whole = decode(encode(Snapshot(block=10, at=0.5, state=torn)))
    assert isinstance(whole, Snapshot)
    assert compact(whole.state) == Damaged("is torn: it is no state that anvil wrote (EOFError)")


def state(head: int, work: set[int]) -> bytes:
    """As anvil writes it: blocks in no order, what we do not know left in place."""
    numbers = sorted(range(head + 1), key=lambda number: number * 7919 % 1009)
    blocks = [{"header": {"number": hex(n), "extra": "0x"}, "transactions": [{"hash": "0xaa"}] if n in work else []} for n in numbers]
    transactions = [{"block_hash": "0xbb", "block_number": n, "info": {"logs": [n]}} for n in sorted(work)]
    document = {"block": {"number": hex(head)}, "accounts": {"0x1": {"balance": "0x5"}}, "best_block_number": head, "blocks": blocks}
    return gzip.compress(msgspec.json.encode({**document, "transactions": transactions, "historical_states": None}))


def compacted(data: bytes, **limits: int) -> dict[str, Any]:
    result = compact(data, **limits)
    assert not isinstance(result, Damaged)
    return dict(msgspec.json.decode(result))


def numbers(document: dict[str, Any]) -> list[int]:
    return sorted(int(block["header"]["number"], 16) for block in document["blocks"])


def test_old_empty_blocks_go_and_everything_else_stays() -> None:
    before = msgspec.json.decode(gzip.decompress(state(1000, {5, 300, 999})))
    after = compacted(state(1000, {5, 300, 999}), recent=4)
    assert numbers(after) == [0, 5, 300, 997, 998, 999, 1000]
    assert after["transactions"] == before["transactions"]
    for key in ("block", "accounts", "best_block_number", "historical_states"):
        assert after[key] == before[key]


def test_the_oldest_work_goes_when_there_is_more_than_the_limit() -> None:
    after = compacted(state(1000, {5, 300, 999}), recent=4, work=2)
    assert numbers(after) == [0, 300, 997, 998, 999, 1000]
    assert [one["block_number"] for one in after["transactions"]] == [300, 999]


def test_a_short_chain_is_left_whole() -> None:
    assert numbers(compacted(state(10, set()))) == list(range(11))


@pytest.mark.parametrize(
    ("chosen", "damaged", "words"),
    [
        (None, [], "nothing: a new chain"),
        (SNAPSHOT, [], "newest generation, block 120"),
        (SNAPSHOT, ["is empty"], "previous generation, block 120, because the newest generation is empty"),
        (
            SNAPSHOT,
            ["is empty", "does not match its sha256"],
            "third newest generation, block 120, because the newest generation is empty; the previous generation does not match its sha256",
        ),
    ],
)
def test_where_the_chain_came_from_is_told(chosen: Snapshot | None, damaged: list[str], words: str) -> None:
    assert told(chosen, [Damaged(why) for why in damaged]) == words


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ([], ""),
        (
            [Damaged("is torn: 24 of 27 bytes", 131)],
            "started from the snapshot before: the newest one (block 131) is torn: 24 of 27 bytes; the chain went on from block 120",
        ),
        (
            [Damaged("is torn: it is empty")],
            "started from the snapshot before: the newest one is torn: it is empty; the chain went on from block 120",
        ),
        (
            [Damaged("is torn: it is empty"), Damaged("was refused by anvil (no)", 125)],
            "started from an older snapshot: the newest one is torn: it is empty; the one before (block 125) was refused by anvil (no); "
            "the chain went on from block 120",
        ),
    ],
)
def test_a_chain_that_went_back_has_a_note(damaged: list[Damaged], words: str) -> None:
    assert note(SNAPSHOT, damaged) == words
