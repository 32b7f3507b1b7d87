from __future__ import annotations

import pytest

from cortops.protocol.chat import Choice, Delta, EngineChunk, Usage
from cortops.protocol.link import (
    Challenge,
    Chunk,
    Failed,
    FromMiner,
    FromRouter,
    Hello,
    Result,
    Watch,
    Welcome,
    decode_from_miner,
    decode_from_router,
    encode,
    handshake_text,
)  # fmt: skip
from cortops.words.errors import BadInput


@pytest.mark.parametrize("frame", [Challenge(nonce="n", router="0xR"), Welcome(), Watch(session=1, task=2)])
def test_frames_of_a_router_come_back(frame: FromRouter) -> None:
    assert decode_from_router(encode(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Hello(address="0xM", signature="0x00"),
        Chunk(session=1, task=2, index=0, data=EngineChunk(choices=(Choice(delta=Delta(content="é")),))),
        Result(session=1, task=2, text="é", finish_reason="stop", usage=Usage(total_tokens=3)),
        Failed(session=1, task=2, why="engine silent"),
    ],
)
def test_frames_of_a_miner_come_back(frame: FromMiner) -> None:
    assert decode_from_miner(encode(frame)) == frame


def test_the_wire_form_stays() -> None:
    assert encode(Watch(session=1, task=2)) == '{"type":"watch","session":1,"task":2}'
    assert handshake_text("n", "0xR") == "cortops-miner:n:0xR"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"type":"watch"}', '{"type":"hello","address":1,"signature":""}', '{"type":"other"}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        decode_from_miner(text)
    with pytest.raises(BadInput):
        decode_from_router(text)
