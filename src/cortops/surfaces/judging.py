"""Answers read and checks judged: the one judgement behind the gate, `status`, the monitor and runbooks. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from cortops.words.evidence import Check, Verdict
from cortops.words.question import Question, Reply

BROKE_MAX_CHARS = 120

Ask = Callable[[Sequence[Question]], Awaitable[Mapping[str, Reply]]]  # question id -> reply, for every question given


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A check with what it said."""

    check: Check
    verdict: Verdict


def judge(checks: Sequence[Check], replies: Mapping[str, Reply], now: float) -> tuple[Judged, ...]:
    """Every check with its verdict over the replies. A check that an odd answer breaks cannot tell, and hides no other."""
    return tuple(Judged(check=check, verdict=_verdict(check, replies, now)) for check in checks)


def _verdict(check: Check, replies: Mapping[str, Reply], now: float) -> Verdict:
    try:
        return check.judge(replies, now)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        return Verdict(
            outcome="inconclusive", text=f"the check broke on the answer: {type(error).__name__}: {str(error)[:BROKE_MAX_CHARS]}"
        )
