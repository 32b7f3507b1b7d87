"""The feed's frames, in the JSON shape of Arbitrum's sequencer feed (broadcast version 1), and the newest of them kept. Pure."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

VERSION = 1
KEPT_MAX = 100  # what a new client is told first
L2_MESSAGE = 3  # L1MessageType_L2Message of nitro-contracts
SEQUENCER = "0xa4b000000000000000000073657175656e636572"  # Arbitrum's name for who sends


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of the child. parent_block: the parent's head when it was told. delayed: messages of the parent read until then."""

    number: int
    hash: str
    timestamp: int
    parent_block: int
    delayed: int


def message(block: Block) -> dict[str, Any]:
    """One element of `messages`. l2Msg is the block's hash: the transactions themselves stay with the chain (ours)."""
    header = {
        "kind": L2_MESSAGE,
        "sender": SEQUENCER,
        "blockNumber": block.parent_block,
        "timestamp": block.timestamp,
        "requestId": None,
        "baseFeeL1": None,
    }
    l2 = base64.b64encode(bytes.fromhex(block.hash.removeprefix("0x"))).decode()
    inner = {"message": {"header": header, "l2Msg": l2}, "delayedMessagesRead": block.delayed}
    return {"sequenceNumber": block.number, "message": inner, "signature": None}


def frame(blocks: Sequence[Block]) -> bytes:
    """One websocket frame with these blocks, in order."""
    return msgspec.json.encode({"version": VERSION, "messages": [message(block) for block in blocks]})


@dataclass(slots=True)
class Recent:
    """The newest blocks, without gaps."""

    blocks: deque[Block] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))

    @property
    def last(self) -> int | None:
        return self.blocks[-1].number if self.blocks else None

    def wanted(self, head: int) -> range:
        """Numbers of the blocks to read when the child's head is `head`; from anew where it went back or ran far ahead."""
        first = max(0, head - KEPT_MAX + 1)
        if self.last is not None and first - 1 <= self.last <= head:
            first = self.last + 1
        return range(first, head + 1)

    def add(self, blocks: Sequence[Block]) -> None:
        """Blocks in order; what does not follow the newest one begins anew."""
        if blocks and self.last is not None and blocks[0].number != self.last + 1:
            self.blocks.clear()
        self.blocks.extend(blocks)
