"""Which deposits of the parent are credited on the child next: each message once, in the order of its number. Pure.

The child's own contract counts what was delivered, in the same state as the credit. So whatever is killed, and wherever either chain
goes back to, the next look finds what is missing; and a history that is not the one delivered from is seen by its accumulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cortops.contracts.abi import word
from cortops.contracts.keccak import checksummed, keccak_hex

DELIVERIES_MAX = 32  # in one go
DEPOSIT = 12  # L1MessageType_ethDeposit of nitro-contracts
DATA_BYTES = 52  # address, amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One MessageDelivered of the bridge with the data that its inbox gave. block: of the parent."""

    index: int
    before_acc: str
    kind: int
    sender: str
    data_hash: str
    data: str
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Both sides of the bridge: how many messages the parent has and the accumulator after the last; the same of the child."""

    parent_count: int
    parent_acc: str
    child_count: int
    child_acc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One call of the child's `deliver`."""

    index: int
    after_acc: str
    to: str
    amount: int


@dataclass(frozen=True, slots=True)
class Astray:
    """Why nothing may be delivered: the two chains do not tell one history."""

    why: str


def acc_after(message: Message) -> str:
    """The bridge's accumulator after a message, 0x…; as bridge.vy makes it."""
    parts = message.before_acc[2:] + word(message.kind) + word(message.sender) + word(message.index) + message.data_hash[2:]
    return keccak_hex(bytes.fromhex(parts))


def wanted(books: Books) -> range:
    """Numbers of the messages to be read from the parent; empty when nothing is missing."""
    return range(books.child_count, min(books.parent_count, books.child_count + DELIVERIES_MAX))


def judge(books: Books) -> Astray | None:
    """Whether the child was credited from the history that the parent has now, as far as the two counts tell."""
    if books.child_count > books.parent_count:
        return Astray(
            f"the child was credited with {books.child_count} deposits, and the parent knows {books.parent_count}: it has gone back "
            "behind what was final"
        )
    if books.child_count == books.parent_count and books.child_acc != books.parent_acc:
        return Astray(f"deposit {books.child_count - 1} that the child was credited with is another one on the parent")
    return None


def next_deliveries(books: Books, messages: Mapping[int, Message], final_block: int) -> tuple[Delivery, ...] | Astray:
    """What to deliver now, in order: messages in blocks of the parent that no crash takes back. Astray where they do not fit together.

    messages: those of `wanted` that could be read, by number; a gap ends the list.
    """
    if (astray := judge(books)) is not None:
        return astray
    acc = books.child_acc
    deliveries: list[Delivery] = []
    for index in wanted(books):
        message = messages.get(index)
        if message is None or message.block > final_block:
            break
        if message.before_acc != acc:
            return Astray(f"deposit {index} does not follow what the child was credited with")
        if message.kind != DEPOSIT or keccak_hex(bytes.fromhex(message.data[2:])) != message.data_hash:
            return Astray(f"message {index} is no deposit, or its data is not what the bridge recorded")
        acc = acc_after(message)
        deliveries.append(_delivery(message, acc))
    return tuple(deliveries)


def _delivery(message: Message, after_acc: str) -> Delivery:
    data = bytes.fromhex(message.data[2:])
    amount = int.from_bytes(data[20:DATA_BYTES], "big")
    return Delivery(index=message.index, after_acc=after_acc, to=checksummed("0x" + data[:20].hex()), amount=amount)


def joined(delivered: Sequence[Mapping[str, object]], inboxed: Sequence[Mapping[str, object]]) -> Mapping[int, Message]:
    """Decoded arguments of MessageDelivered and InboxMessageDelivered, each with its `block` -> messages by number, those with both."""
    data = {int(str(one["messageNum"])): str(one["data"]) for one in inboxed}
    return {
        index: Message(
            index=index,
            before_acc=str(one["beforeInboxAcc"]),
            kind=int(str(one["kind"])),
            sender=str(one["sender"]),
            data_hash=str(one["messageDataHash"]),
            data=data[index],
            block=int(str(one["block"])),
        )
        for one in delivered
        if (index := int(str(one["messageIndex"]))) in data
    }
