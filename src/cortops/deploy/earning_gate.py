"""Did a node that was changed earn since? Pass, bad, hold, or wait on: from what was seen of it since the change. Pure.

Bad is what the new program did: it died, its manager restarts it, or it was selected twice and committed nothing. What nobody could see,
a network that stands, and a node that was not selected say nothing of the program: at the deadline they are a hold, never bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from cortops.surfaces.nodes.chain_facts import SETTLED_AFTER_S, NetworkChain, NodeChain

Outcome = Literal["pass", "bad", "hold", "wait"]

MISSED_MIN = 2  # selections in a row without a commit: one alone may be chance
DEADLINE_S_MIN, DEADLINE_S_MAX = 900.0, 12 * 3600.0
CANARY_COMMITS, CANARY_SOAK_S = 2, 600.0
ROUND_S = 60.0  # from a selection to its commit, for what is said beforehand


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a node was selected: so many times in so many seconds."""

    selected: int
    over_s: float

    @property
    def every_s(self) -> float | None:
        """Seconds between two selections; None where there was none."""
        return self.over_s / self.selected if self.selected and self.over_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAsks:
    """What must be seen of a node. commits: since the change, 0 for one that is never selected; soak_s: how long it must run at least.

    deadline_s: after the change; expected_s: how long it takes as a rule.
    """

    commits: int
    soak_s: float
    deadline_s: float
    expected_s: float

    @property
    def latest_s(self) -> float:
        """When it is over in any case: a round that is under way at the deadline is seen to its end."""
        return self.deadline_s + (SETTLED_AFTER_S if self.commits else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What was seen since the change. age_s: since then.

    running: None when nobody could see, then running_why; of one that does not run, running_why is what its manager says.
    crashes: how often its manager has started it again since the change. program: whether it runs what it was changed to, None = unseen.
    chain: its part since the change, None when that could not be read, then chain_why; network: everybody's, itself left out.
    registered: on chain, None = unseen. standing: why the network stands, "" while it moves, and where nobody can tell.
    """

    age_s: float
    running: bool | None
    running_why: str = ""
    crashes: int = 0
    program: bool | None = None
    registered: bool | None = None
    chain: NodeChain | None = None
    network: NetworkChain | None = None
    chain_why: str = ""
    standing: str = ""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The outcome with its reason. certain: no second look is needed."""

    outcome: Outcome
    text: str
    certain: bool = False


def asks_of(rate: Rate, *, canary: bool, selectable: bool, soak_s: float = CANARY_SOAK_S, within_s: float | None = None) -> GateAsks:
    """What a gate asks, from the node's own rate. soak_s: of a canary, and of a node that is never selected (not `selectable`).

    within_s: a deadline given by people, instead of the one from the rate: by then 19 of 20 such nodes have been selected so often.
    """
    if not selectable:
        return GateAsks(commits=0, soak_s=soak_s, deadline_s=soak_s + DEADLINE_S_MIN if within_s is None else within_s, expected_s=soak_s)
    commits, soak = (CANARY_COMMITS, soak_s) if canary else (1, 0.0)
    every_s = rate.every_s
    if every_s is None:
        likely_s = expected_s = DEADLINE_S_MAX
    else:
        likely_s = (commits + 2 * sqrt(commits)) * every_s + SETTLED_AFTER_S
        expected_s = commits * every_s + ROUND_S
    deadline_s = max(soak, min(max(likely_s, DEADLINE_S_MIN), DEADLINE_S_MAX)) if within_s is None else within_s
    return GateAsks(commits=commits, soak_s=soak, deadline_s=deadline_s, expected_s=min(max(soak, expected_s), deadline_s))


def judge(facts: GateFacts, asks: GateAsks) -> GateVerdict:
    """The first rule that applies."""
    if (bad := died(facts) or _misses(facts)) is not None:
        return bad
    if facts.program is False:
        # Not certain: between fork and exec a process that its manager starts again is still the manager's program.
        return GateVerdict("hold", "it runs another program than it was changed to: somebody else changed it")
    missing = _missing(facts, asks)
    if not missing:
        return GateVerdict("pass", _earned(facts, asks))
    if facts.age_s < asks.deadline_s or (_works_now(facts) and facts.age_s < asks.latest_s):
        return GateVerdict("wait", missing)
    return GateVerdict("hold", f"{missing}, {_span(facts.age_s)} after the change", certain=True)


def died(facts: GateFacts) -> GateVerdict | None:
    """Bad, when its process ended or its manager had to start it again; None when not, and when nobody could see."""
    after = f"{_span(facts.age_s)} after the change"
    if facts.crashes > 0:
        times = "once" if facts.crashes == 1 else f"{facts.crashes} times"
        return GateVerdict("bad", f"it died: its manager started it again {times} within {_span(facts.age_s)}", certain=True)
    if facts.running is False:
        return GateVerdict("bad", f"it died: it does not run {after}{': ' if facts.running_why else ''}{facts.running_why}")
    return None


def _misses(facts: GateFacts) -> GateVerdict | None:
    chain = facts.chain
    if chain is None or len(chain.missed_row) < MISSED_MIN or _others_miss_too(facts):
        return None
    did = "precommitted and did not commit" if chain.precommits_since else "did not precommit"
    times = "twice" if len(chain.missed_row) == MISSED_MIN else f"{len(chain.missed_row)} times in a row"
    others = ", while others committed" if facts.network is not None and facts.network.others_commits else ""
    return GateVerdict("bad", f"it was selected {times} since the change and {did}{others}", certain=True)


def _others_miss_too(facts: GateFacts) -> bool:
    """Whether nobody else has committed since it missed its first round, though others were selected."""
    network, chain = facts.network, facts.chain
    if network is None or chain is None or not chain.missed_row or not network.others_missed_rounds:
        return False
    return network.others_missed_since_block <= chain.missed_row[0]


def _missing(facts: GateFacts, asks: GateAsks) -> str:
    """What the gate still waits for; "" when all was seen."""
    if facts.running is None:
        return f"nobody can see whether it runs: {facts.running_why or 'its host does not answer'}"
    if facts.program is None:
        return "nobody could see which program it runs"
    if asks.commits and (told := _missing_on_chain(facts, asks)):
        return told
    if facts.age_s < asks.soak_s:
        return f"it runs, and is watched for {_span(asks.soak_s)}"
    return ""


def _missing_on_chain(facts: GateFacts, asks: GateAsks) -> str:
    chain = facts.chain
    if chain is None:
        return f"the chain could not be read: {facts.chain_why or 'no RPC answered'}"
    if _others_miss_too(facts):
        return "the network stands: others were selected too, and nobody commits"
    if facts.registered is False and not chain.commits:
        return "it is not registered on chain"
    if not chain.selected and not chain.commits:
        return f"it was not selected{': ' if facts.standing else ''}{facts.standing}"
    if not chain.commits or not chain.precommits:
        missed = f", {len(chain.missed_row)} missed" if chain.missed_row else ""
        return f"it was selected {_times(chain.selected)}{missed}, and has not committed"
    if chain.commits < asks.commits:
        return f"it committed {_times(chain.commits)}, and {asks.commits} are asked"
    if chain.missed_row:
        return "it missed the newest round that it was selected for"
    return ""


def _works_now(facts: GateFacts) -> bool:
    return facts.chain is not None and bool(facts.chain.open)


def _earned(facts: GateFacts, asks: GateAsks) -> str:
    if not asks.commits or facts.chain is None:
        return f"it has run for {_span(facts.age_s)}; it is never selected, so nothing more can be asked"
    return f"selected {facts.chain.selected}, committed {facts.chain.commits}, in {_span(facts.age_s)}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
