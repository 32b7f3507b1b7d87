"""When the state is asserted, when an assertion is confirmed, and which withdrawals are then paid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortops.programs.orbit.assertions import (
    NONE,
    PAYMENTS_MAX,
    Confirm,
    Create,
    Rollup,
    Withdrawal,
    due_payments,
    next_step,
)

ASSERTION = "0x" + "a5" * 32
ROLLUP = Rollup(
    now=1_000,
    paused=False,
    batches=4,
    messages=20,
    pending=NONE,
    confirmable_at=0,
    asserted=3,
    confirmed_hash=NONE,
    paid_out=0,
)


@pytest.mark.parametrize(
    ("change", "since_s", "step"),
    [
        ({}, 10, Create(batches=4, block=19)),
        ({}, 9.9, None),
        ({"asserted": 4}, 99, None),
        ({"paused": True}, 99, None),
        ({"pending": ASSERTION, "confirmable_at": 1_000}, 0, Confirm(assertion=ASSERTION)),
        ({"pending": ASSERTION, "confirmable_at": 1_001}, 99, None),
        ({"pending": ASSERTION, "confirmable_at": 1, "paused": True}, 99, None),
    ],
)
def test_what_is_due(change: dict[str, object], since_s: float, step: Create | Confirm | None) -> None:
    assert next_step(replace(ROLLUP, **change), since_s, 10) == step  # type: ignore[arg-type]


def withdrawals(*blocks: int) -> dict[int, Withdrawal]:
    return {at: Withdrawal(position=at, to="0x" + "22" * 20, amount=at + 1, block=block) for at, block in enumerate(blocks)}


@pytest.mark.parametrize(
    ("paid", "blocks", "confirmed", "final", "due"),
    [
        (0, (3, 5, 9), 9, 9, [0, 1, 2]),
        (1, (3, 5, 9), 9, 9, [1, 2]),
        (0, (3, 5, 9), 5, 9, [0, 1]),  # not confirmed
        (0, (3, 5, 9), 9, 4, [0]),  # a kill of the child could take it back
        (0, (3, 5, 9), None, 9, []),  # the child does not have the block that was confirmed
        (3, (3, 5, 9), 9, 9, []),
        (0, tuple(range(50)), 99, 99, list(range(PAYMENTS_MAX))),
    ],
)
def test_payments_are_certain_in_order_and_once(
    paid: int, blocks: tuple[int, ...], confirmed: int | None, final: int, due: list[int]
) -> None:
    found = due_payments(replace(ROLLUP, paid_out=paid), withdrawals(*blocks), confirmed, final)
    assert [one.position for one in found] == due


def test_a_gap_ends_the_payments_and_a_paused_rollup_pays_nothing() -> None:
    known = withdrawals(1, 2, 3)
    del known[1]
    assert [one.position for one in due_payments(ROLLUP, known, 9, 9)] == [0]
    assert due_payments(replace(ROLLUP, paused=True), withdrawals(1), 9, 9) == ()
