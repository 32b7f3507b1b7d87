"""Frames between router and miner: JSON text frames on a websocket that the miner opens. All ours (facts J.2).

router: challenge, welcome, watch. miner: hello, chunk, result, failed.
"""

from __future__ import annotations

import msgspec

from cortops.protocol.chat import EngineChunk, Usage
from cortops.words.errors import BadInput

FRAME_KIB_MAX = 256
PURPOSE = "cortops-miner"


class Challenge(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="challenge"):
    """First frame: sign `handshake_text(nonce, router)`. `router` is the router's own address."""

    nonce: str
    router: str


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The miner's answer; `signature` is EIP-191 over `handshake_text`."""

    address: str
    signature: str


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="welcome"):
    """The signature fits and the address is registered; else the router closes with its reason."""


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="watch"):
    """Send the chunks of this task from the first one on, then its result; may be asked before the miner knows the task."""

    session: int
    task: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chunk"):
    """One chunk of the engine; `index` counts from 0 without gaps (a gap means the miner's buffer was full)."""

    session: int
    task: int
    index: int
    data: EngineChunk


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """The text that the miner is about to precommit."""

    session: int
    task: int
    text: str
    finish_reason: str
    usage: Usage | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """The engine gave no result; nothing is precommitted. code: of a private payload's fault, else empty."""

    session: int
    task: int
    why: str
    code: str = ""


FromRouter = Challenge | Welcome | Watch
FromMiner = Hello | Chunk | Result | Failed

_router_frames: msgspec.json.Decoder[FromRouter] = msgspec.json.Decoder(FromRouter)
_miner_frames: msgspec.json.Decoder[FromMiner] = msgspec.json.Decoder(FromMiner)
_encoder = msgspec.json.Encoder()


def encode(frame: FromRouter | FromMiner) -> str:
    """A frame -> its JSON text."""
    return _encoder.encode(frame).decode()


def decode_from_router(text: str) -> FromRouter:
    """JSON text -> frame; BadInput for anything else."""
    try:
        return _router_frames.decode(text)
    except msgspec.DecodeError as error:
        raise BadInput(f"not a frame of a router: {error}") from error


def decode_from_miner(text: str) -> FromMiner:
    """JSON text -> frame; BadInput for anything else."""
    try:
        return _miner_frames.decode(text)
    except msgspec.DecodeError as error:
        raise BadInput(f"not a frame of a miner: {error}") from error


def handshake_text(nonce: str, router: str) -> str:
    """What the miner signs. Names purpose and router, so that a signature serves nowhere else."""
    return f"{PURPOSE}:{nonce}:{router}"
