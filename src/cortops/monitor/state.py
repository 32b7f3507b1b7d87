"""From verdicts to states, with patience: a check turns after M of its last N verdicts, at once on certain evidence. Pure.

Unknown is not down: a check that cannot tell keeps what it said for a few verdicts, then says unknown, never ok and never bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cortops.monitor.restarts import RestartMark
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Outcome
from cortops.words.state import State, worst

Settled = Literal["ok", "bad", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient we are. A check turns bad when `bad_needed` of its last `bad_window` verdicts are bad, or one is certain; ok again when
    the last `ok_needed` are ok, the first time after one. It keeps what it said for `grace` inconclusive verdicts in a row.
    """

    bad_needed: int = 2
    bad_window: int = 3
    ok_needed: int = 2
    grace: int = 3

    @property
    def remembered(self) -> int:
        """How many verdicts must be kept."""
        return max(self.bad_window, self.ok_needed, self.grace + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMemory:
    """What is kept of one check: the last verdicts, oldest first; what they settled; whether it ever could tell.

    text: of the last verdict that says what is settled. newest: of the last verdict.
    """

    recent: tuple[Outcome, ...] = ()
    settled: Settled = "unknown"
    told: bool = False
    text: str = "nothing was asked yet"
    newest: str = ""

    @property
    def calm(self) -> bool:
        """Well, and nothing hints at a change: it need not be looked at more often than it costs."""
        return self.settled == "ok" and self.recent[-1:] == ("ok",)


def settle(memory: CheckMemory, verdict: Verdict, policy: Policy) -> CheckMemory:
    """The memory after one more verdict."""
    recent = (*memory.recent, verdict.outcome)[-policy.remembered :]
    settled = _settled(memory, recent, verdict.certain, policy)
    return CheckMemory(
        recent=recent,
        settled=settled,
        told=memory.told or verdict.outcome != "inconclusive",
        text=verdict.text if settled == verdict.outcome else memory.text,
        newest=verdict.text,
    )


def _settled(memory: CheckMemory, recent: tuple[Outcome, ...], certain: bool, policy: Policy) -> Settled:
    match recent[-1]:
        case "bad" if certain or recent[-policy.bad_window :].count("bad") >= policy.bad_needed:
            return "bad"
        case "ok" if not memory.told or recent[-policy.ok_needed :] == ("ok",) * policy.ok_needed:
            return "ok"
        case "inconclusive" if recent[-policy.grace - 1 :] == ("inconclusive",) * (policy.grace + 1):
            return "unknown"
    return memory.settled


def weigh(items: Sequence[tuple[Check, CheckMemory]]) -> tuple[State, str]:
    """The state that the checks of one entity give, and why: one bad check makes it what that check says, an unknown one unknown."""
    bad = [(check, memory) for check, memory in items if memory.settled == "bad"]
    unsure = [memory for _, memory in items if memory.settled == "unknown"]
    if bad:
        state = worst(State(check.makes) for check, _ in bad)
        return state, _said(next(memory for check, memory in bad if State(check.makes) is state))
    if unsure:
        return State.UNKNOWN, _said(unsure[0])
    if not items:
        return State.UNKNOWN, "nothing is asked about it"
    return State.OK, "; ".join(dict.fromkeys(_said(memory) for _, memory in items))


def _said(memory: CheckMemory) -> str:
    """What is settled, and what the last look said where that differs."""
    if memory.settled == "unknown":
        return memory.newest or memory.text
    differs = memory.recent[-1:] != (memory.settled,) and memory.newest
    return f"{memory.text}; last look: {memory.newest}" if differs else memory.text


def with_restart(state: State, reason: str, mark: RestartMark | None, now: float, shown_s: float) -> tuple[State, str]:
    """A well entity whose service was restarted less than `shown_s` ago is degraded, and says so."""
    if mark is None or state is not State.OK or now - mark.at >= shown_s:
        return state, reason
    return State.DEGRADED, mark.text(now)
