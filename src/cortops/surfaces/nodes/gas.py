"""How long a wallet's balance lasts at the rate at which it shrank. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

DAY_S = 86_400.0
PAGE_DAYS, WARN_DAYS = 2.0, 7.0
SPAN_MIN_S = 1_800.0  # a shorter look back says nothing of a day
AGES_S = (7 * DAY_S, DAY_S, 3_600.0)  # when the balance is looked at besides now; many RPCs keep no more than the newest


@dataclass(frozen=True, slots=True)
class Balance:
    """What a wallet held then, in wei."""

    at: float
    wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gas:
    """What is left. days: at the measured rate, None where that is not known or nothing was spent; why says which.

    over_s: how much of the past the rate is measured over.
    """

    wei: int
    days: float | None
    over_s: float = 0.0
    why: str = ""


def gas(balances: Sequence[Balance], *, sent: int | None = None) -> Gas:
    """Balances, the newest last. sent: transactions in that time, where known.

    A stretch in which the balance rose held a top-up: what was spent in it is unknown, so it is left out.
    """
    now = balances[-1]
    falls = [(later.at - sooner.at, sooner.wei - later.wei) for sooner, later in pairwise(balances) if sooner.wei >= later.wei]
    over_s, spent = sum(length for length, _ in falls), sum(wei for _, wei in falls)
    if now.wei == 0 and (spent or not sent):
        return Gas(wei=0, days=0.0, over_s=over_s)
    if over_s < SPAN_MIN_S:
        return Gas(wei=now.wei, days=None, over_s=over_s, why="no RPC keeps old balances" if len(balances) < 2 else "topped up just now")
    if spent == 0:
        return Gas(wei=now.wei, days=None, over_s=over_s, why="nothing was spent")
    return Gas(wei=now.wei, days=now.wei / (spent / over_s) / DAY_S, over_s=over_s)
