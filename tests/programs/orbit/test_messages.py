"""The feed's frames, and which blocks are told."""

from __future__ import annotations

import base64
import json

from cortops.programs.orbit.messages import KEPT_MAX, Block, Recent, frame


def block(number: int) -> Block:
    return Block(number=number, hash="0x" + f"{number:02x}" * 32, timestamp=1_000 + number, parent_block=70, delayed=2)


def test_a_frame_has_the_shape_of_arbitrums_feed() -> None:
    told = json.loads(frame([block(4), block(5)]))
    assert told["version"] == 1
    assert [one["sequenceNumber"] for one in told["messages"]] == [4, 5]
    inner = told["messages"][0]["message"]
    assert inner["delayedMessagesRead"] == 2
    header = inner["message"]["header"]
    assert (header["kind"], header["timestamp"], header["blockNumber"]) == (3, 1_004, 70)
    assert base64.b64decode(inner["message"]["l2Msg"]) == bytes([4]) * 32


def test_every_block_is_told_once_and_a_new_client_the_newest() -> None:
    recent = Recent()
    assert list(recent.wanted(2)) == [0, 1, 2]
    recent.add([block(number) for number in range(3)])
    assert list(recent.wanted(2)) == []
    assert list(recent.wanted(4)) == [3, 4]
    recent.add([block(number) for number in range(3, KEPT_MAX + 20)])
    assert (len(recent.blocks), recent.blocks[0].number, recent.last) == (KEPT_MAX, 20, KEPT_MAX + 19)


def test_a_chain_that_went_back_is_told_anew() -> None:
    recent = Recent()
    recent.add([block(number) for number in range(5)])
    assert list(recent.wanted(3)) == [0, 1, 2, 3]
    recent.add([block(number) for number in range(4)])
    assert [one.number for one in recent.blocks] == [0, 1, 2, 3]


def test_a_long_silence_begins_with_the_newest_blocks() -> None:
    recent = Recent()
    recent.add([block(0)])
    assert next(iter(recent.wanted(500))) == 500 - KEPT_MAX + 1
