"""When the next batch of child blocks is posted, and which blocks it holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cortops.contracts.abi import word

BLOCKS_MAX = 10_000  # in one batch: it holds no more than the last one's hash
HEADER = "c0"  # first byte of a batch's data; public ones use 00 (brotli) and others


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What the parent has: the number of batches, of messages in them, and of delayed messages read."""

    batches: int
    messages: int
    delayed_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """The child as it is. head: its last block. oldest_at: time of the first block that no batch holds, Unix seconds; 0 when there is none.

    worked: whether one of those blocks carries a transaction. delayed: messages of the parent that were credited.
    """

    head: int
    oldest_at: float
    worked: bool
    delayed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The blocks `first`..`last`, as one call of addSequencerL2BatchFromOrigin."""

    number: int
    first: int
    last: int
    delayed: int

    @property
    def messages_before(self) -> int:
        """A block is a message, and the genesis block is the first."""
        return self.first

    @property
    def messages_after(self) -> int:
        return self.last + 1

    def data(self, last_hash: str) -> str:
        """What is posted: the last block's hash stands for all before it; transactions themselves stay with the child."""
        return "0x" + HEADER + word(self.last) + last_hash.removeprefix("0x")


def next_batch(posted: Posted, child: Child, now: float, posted_at: float, every_s: float, idle_every_s: float) -> Batch | None:
    """The batch that is due, if any. posted_at: when we posted last, Unix seconds; 0 before the first.

    Blocks with transactions, or a credited deposit, wait `every_s` after the batch before; empty ones until they are `idle_every_s` old.
    """
    first, last = posted.messages, min(child.head, posted.messages + BLOCKS_MAX - 1)
    if last < first or now - posted_at < every_s:
        return None
    if not (child.worked or child.delayed > posted.delayed_read or now - child.oldest_at >= idle_every_s):
        return None
    return Batch(number=posted.batches, first=first, last=last, delayed=max(child.delayed, posted.delayed_read))
