"""When the child's state is asserted on the parent, when an assertion is confirmed, and which withdrawals are then paid. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAYMENTS_MAX = 32  # in one go
NONE = "0x" + "00" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """What the parent's contracts say. now: its newest block's time, Unix seconds. messages: posted in all batches.

    pending: hash of the assertion that waits, NONE without; confirmable_at: Unix seconds. asserted: batches that assertions cover.
    confirmed_hash: the child's block that the latest confirmed assertion ends with. paid_out: withdrawals paid.
    """

    now: int
    paused: bool
    batches: int
    messages: int
    pending: str
    confirmable_at: int
    asserted: int
    confirmed_hash: str
    paid_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Assert that after so many batches the child's last block is `block`."""

    batches: int
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """The assertion that nobody challenged."""

    assertion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One L2ToL1Tx of the child."""

    position: int
    to: str
    amount: int
    block: int


def next_step(rollup: Rollup, since_created_s: float, every_s: float) -> Create | Confirm | None:
    """What is due; nothing while the rollup is paused."""
    if rollup.paused:
        return None
    if rollup.pending != NONE:
        return Confirm(assertion=rollup.pending) if rollup.now >= rollup.confirmable_at else None
    if rollup.batches > rollup.asserted and since_created_s >= every_s:
        return Create(batches=rollup.batches, block=rollup.messages - 1)
    return None


def due_payments(
    rollup: Rollup, withdrawals: Mapping[int, Withdrawal], confirmed_block: int | None, final_block: int
) -> tuple[Withdrawal, ...]:
    """Withdrawals to pay now, in order and without gap: in blocks that a confirmed assertion covers and that no crash takes back.

    confirmed_block: number of the confirmed block, None when the child does not have it.
    """
    if rollup.paused or confirmed_block is None:
        return ()
    due: list[Withdrawal] = []
    for position in range(rollup.paid_out, rollup.paid_out + PAYMENTS_MAX):
        withdrawal = withdrawals.get(position)
        if withdrawal is None or withdrawal.block > min(confirmed_block, final_block):
            break
        due.append(withdrawal)
    return tuple(due)
