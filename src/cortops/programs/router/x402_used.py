"""Which payments are under way and which are settled, so that each pays for one call. Pure: the time comes as an argument.

The facilitator and the chain decide in the end: a router that starts again has forgotten, and they have not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

PAYMENTS_MAX = 100_000  # remembered at once; each but those under way has cost somebody its price


class Payment(NamedTuple):
    """What makes a payment the same one: who pays, and the number that he may use once (EIP-3009)."""

    payer: str
    nonce: str


class Stand(StrEnum):
    """What was found when a payment was taken. `FREE`: it is the caller's now."""

    FREE = "free"
    HELD = "held"
    SPENT = "spent"
    FULL = "full"


class Used:
    """Payments by their state, each until nobody could settle it any more."""

    def __init__(self, limit: int = PAYMENTS_MAX) -> None:
        self._limit = limit
        self._spent: dict[Payment, bool] = {}  # False: held
        self._ends: dict[Payment, float] = {}

    def __len__(self) -> int:
        return len(self._spent)

    def take(self, payment: Payment, valid_before: float, now: float) -> Stand:
        """FREE holds it until `spend` or `release`. valid_before: Unix time from which the chain refuses it."""
        spent = self._spent.get(payment)
        if spent is not None:
            return Stand.SPENT if spent else Stand.HELD
        if len(self._spent) >= self._limit:
            self._forget(now)
        if len(self._spent) >= self._limit:
            return Stand.FULL
        self._spent[payment], self._ends[payment] = False, valid_before
        return Stand.FREE

    def spend(self, payment: Payment) -> None:
        """It is settled."""
        self._spent[payment] = True

    def release(self, payment: Payment) -> None:
        """It paid for nothing and may be offered again; a settled one stays settled."""
        if self._spent.get(payment) is False:
            del self._spent[payment], self._ends[payment]

    def _forget(self, now: float) -> None:
        """Those that the chain would refuse anyway; never one that is under way."""
        for payment in [one for one, end in self._ends.items() if end <= now and self._spent[one]]:
            del self._spent[payment], self._ends[payment]
