"""May this node be restarted now? Never between its precommit and its commit, and rather not while it is selected. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cortops.surfaces.nodes.chain_facts import SETTLED_AFTER_S, ChainEvent, Round

Move = Literal["go", "wait", "give up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a restart waits at most for each reason, in seconds; afterwards it goes ahead (`go`), or is not made (`give up`).

    selected_s: it is selected and has not precommitted; then it always goes: a selection is lost, and no work that was begun.
    """

    selected_s: float
    precommitted_s: float
    unseen_s: float
    afterwards: Literal["go", "give up"]


BEFORE_UPGRADE = Patience(selected_s=600.0, precommitted_s=900.0, unseen_s=120.0, afterwards="give up")
BEFORE_ROLLBACK = Patience(selected_s=30.0, precommitted_s=600.0, unseen_s=30.0, afterwards="give up")
BEFORE_TAKING_BACK = Patience(selected_s=0.0, precommitted_s=20.0, unseen_s=0.0, afterwards="go")  # what is bad earns nothing by waiting
AT_ONCE = Patience(selected_s=0.0, precommitted_s=0.0, unseen_s=0.0, afterwards="go")
WINDOW_S = SETTLED_AFTER_S + 60.0  # how far back the chain must have been read


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRound:
    """A round in which the node still has something to do. Times: seconds since 1970, None where the step lies before the window."""

    round: Round
    selected_at: float | None
    precommitted_at: float | None

    @property
    def text(self) -> str:
        """`session 41`, or `task 3/1`."""
        work, first, second = self.round
        return f"session {first}" if work == "network" else f"task {first}/{second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known of the node now. at: seconds since 1970, the chain's clock; running: None when nobody could see.

    selectable: whether it is one that gets work from the chain (a miner). rounds: None when the chain could not be read, then why.
    """

    at: float
    running: bool | None
    selectable: bool
    rounds: tuple[OpenRound, ...] | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and the reason in words; "" where there is nothing to say."""

    move: Move
    text: str


def open_rounds(events: Sequence[ChainEvent], address: str, at_of: Callable[[int], float], now: float) -> tuple[OpenRound, ...]:
    """Rounds that the node was selected for, or precommitted in, which it has neither committed nor seen end; not older than
    SETTLED_AFTER_S. events: in order. at_of: block -> seconds since 1970.
    """
    mine = address.lower()
    selected: dict[Round, float] = {}
    precommitted: dict[Round, float] = {}
    over: set[Round] = set()
    for event in events:
        at = event.at if event.at is not None else at_of(event.block)
        if event.step == "ended":
            over.add(event.round)
        elif mine in event.miners:
            match event.step:
                case "assigned":
                    selected.setdefault(event.round, at)
                case "precommitted":
                    precommitted.setdefault(event.round, at)
                case "committed":
                    over.add(event.round)
    last = {**selected, **precommitted}
    return tuple(
        OpenRound(round=round_, selected_at=selected.get(round_), precommitted_at=precommitted.get(round_))
        for round_, at in last.items()
        if round_ not in over and now - at <= SETTLED_AFTER_S
    )


def decide(moment: Moment, waited_s: float, patience: Patience) -> Decision:
    """Go, wait on, or give up. waited_s: since the first look."""
    if moment.running is False:
        return Decision("go", "it does not run, so nothing is interrupted")
    if not moment.selectable:
        return Decision("go", "")
    if moment.rounds is None:
        why = f"nobody can see whether it works now: {moment.why}"
        return Decision("wait", why) if waited_s < patience.unseen_s else Decision(patience.afterwards, why)
    begun = [(one.precommitted_at, one) for one in moment.rounds if one.precommitted_at is not None]
    if begun:
        at, one = min(begun, key=lambda pair: pair[0])
        why = f"it precommitted in {one.text} {_ago(moment.at - at)} and has not committed"
        return Decision("wait", why) if waited_s < patience.precommitted_s else Decision(patience.afterwards, why)
    if moment.rounds:
        one = moment.rounds[0]
        since = "" if one.selected_at is None else f" {_ago(moment.at - one.selected_at)}"
        why = f"it was selected for {one.text}{since}"
        return Decision("wait", why) if waited_s < patience.selected_s else Decision("go", f"{why}, and that one is lost")
    return Decision("go", "")


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"
