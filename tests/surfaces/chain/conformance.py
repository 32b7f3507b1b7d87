"""Every check of a chain that settles on another, well and ill: one table of faults, for any pair of chains that can bring them about.

The fake pair (test_conformance) brings all; the real one of examples/local-l3.yaml brings those that it can, and says which not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cortops.surfaces.judging import Judged
from cortops.words.evidence import Check

GREEN, RED, UNKNOWN = "ok", "bad", "inconclusive"


class Pair(Protocol):
    """Two chains with everything between them."""

    faults: frozenset[str]  # what it can bring about

    async def inject(self, fault: str) -> None:
        """Bring a fault about; what is asked afterwards sees it."""

    async def heal(self) -> None:
        """All faults away; what is asked afterwards sees none."""

    async def judged(self) -> Sequence[Judged]:
        """Everything asked and judged now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Under `fault`, this check of this entity says so. says: a part of its text."""

    fault: str
    entity: str
    check: str
    outcome: str = RED
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of a case. text: what the check said."""

    case: Case
    outcome: str
    text: str

    @property
    def held(self) -> bool:
        return self.outcome == self.case.outcome and self.case.says in self.text


CASES = (
    Case(fault="wrong-id", entity="rpc/rpc", check="chain id", says="says it is chain 99"),
    Case(fault="rollup-of-another-chain", entity="rpc/rpc", check="chain ids", says="the rollup 99"),
    Case(fault="head-stale", entity="rpc/rpc", check="head age", says="s old"),
    Case(fault="lag", entity="rpc/rpc", check="lag", says="400 blocks behind http://127.0.0.1:"),
    Case(fault="latency", entity="rpc/rpc", check="latency", says=" ms, the fastest other "),
    Case(fault="fork", entity="rpc/rpc", check="fork", says="2 of 2 others agree with that one"),
    Case(fault="fork", entity="rpc/fallback-1", check="fork", outcome=GREEN),
    Case(fault="fallback-wrong-id", entity="rpc/fallback-1", check="answers", says="serves chain 99, not "),
    Case(fault="fallback-wrong-id", entity="rpc/fallback-1", check="lag", outcome=UNKNOWN, says="cannot be compared"),
    Case(fault="rate-limit", entity="rpc/rpc", check="chain ids", outcome=UNKNOWN, says="too many requests"),
    Case(fault="rate-limit", entity="contract/session", check="code", outcome=UNKNOWN, says="too many requests"),
    Case(fault="rate-limit", entity="chain/arbos", check="version", outcome=UNKNOWN, says="too many requests"),
    Case(fault="rate-limit", entity="chain/retryables", check="redeemed", outcome=UNKNOWN),
    Case(fault="rate-limit", entity="wallet/deployer", check="gas", outcome=UNKNOWN),
    Case(fault="half-batch", entity="chain/arbos", check="version", outcome=UNKNOWN, says="could not be asked"),
    Case(fault="half-batch", entity="contract/session", check="code", outcome=UNKNOWN, says="could not be asked"),
    Case(fault="main-down", entity="rpc/rpc", check="chain id"),
    Case(fault="main-down", entity="rpc/rpc", check="lag", outcome=UNKNOWN),
    Case(fault="main-down", entity="chain/arbos", check="version", outcome=UNKNOWN),
    Case(fault="main-down", entity="chain/batch-poster", check="age and backlog", outcome=UNKNOWN),
    Case(fault="parent-down", entity="rpc/parent", check="parent's id"),
    Case(fault="parent-down", entity="chain/batch-poster", check="age and backlog", outcome=UNKNOWN, says="the parent"),
    Case(fault="parent-rate-limit", entity="rpc/parent", check="parent's id", outcome=UNKNOWN),
    Case(fault="parent-rate-limit", entity="contract/rollup", check="code", outcome=UNKNOWN),
    Case(fault="parent-rate-limit", entity="chain/delayed-inbox", check="taken over", outcome=UNKNOWN),
    Case(fault="parent-rate-limit", entity="chain/assertions", check="made and confirmed", outcome=UNKNOWN),
    Case(fault="parent-rate-limit", entity="chain/gas-token", check="as declared", outcome=UNKNOWN),
    Case(fault="parent-wrong-id", entity="rpc/parent", check="parent's id", says="says it is chain 99"),
    Case(fault="parent-stale", entity="rpc/parent", check="parent's head age", says="2 h old"),
    Case(fault="parent-lag", entity="rpc/parent", check="lag", says="400 blocks behind"),
    Case(fault="upgrade-due", entity="chain/arbos", check="version", says="and it is not there"),
    Case(fault="fees-high", entity="chain/fees", check="price", says="more than the 50 declared"),
    Case(fault="sequencer-of-another-chain", entity="chain/sequencer", check="answers", says="says it is chain 99"),
    Case(fault="feed-gap", entity="chain/feed", check="age and gaps", says="messages are missing"),
    Case(fault="feed-silent", entity="chain/feed", check="age and gaps", says="while the chain made a block"),
    Case(fault="feed-private", entity="chain/feed", check="age and gaps", outcome=UNKNOWN, says="it is private"),
    Case(fault="feed-down", entity="chain/feed", check="age and gaps", says="answers 502"),
    Case(fault="poster-silent", entity="chain/batch-poster", check="age and backlog", says="blocks wait"),
    Case(fault="chain-idle", entity="chain/batch-poster", check="age and backlog", outcome=GREEN, says="nothing waits"),
    Case(fault="poster-not-allowed", entity="chain/batch-poster", check="allowed", says="does not let"),
    Case(fault="poster-poor", entity="chain/batch-poster", check="gas", says="is empty"),
    Case(fault="delayed-stuck", entity="chain/delayed-inbox", check="taken over", says="1 message from the parent waits"),
    Case(fault="assertions-stopped", entity="chain/assertions", check="made and confirmed", says="no assertion made since"),
    Case(fault="rollup-paused", entity="chain/assertions", check="made and confirmed", says="the rollup is paused"),
    Case(fault="older-rollup", entity="chain/assertions", check="made and confirmed", outcome=GREEN, says="last node"),
    Case(fault="bridge-paused", entity="chain/bridge", check="open", says="the inbox is paused"),
    Case(fault="ticket-left", entity="chain/retryables", check="redeemed", says="1 ticket waits"),
    Case(fault="token-missing", entity="chain/gas-token", check="as declared", says="no contract"),
    Case(fault="token-missing", entity="contract/gas-token", check="code", says="no code at its address"),
    Case(fault="token-other", entity="chain/gas-token", check="as declared", says="the bridge takes the token"),
    Case(fault="token-decimals", entity="chain/gas-token", check="as declared", says="has 6 decimals, declared are 18"),
    Case(fault="new-owner", entity="chain/owners", check="known", says="may change the chain and is not declared"),
    Case(fault="explorer-down", entity="chain/explorer", check="answers", says="answers 503"),
    Case(fault="contract-missing", entity="contract/rollup", check="code", says="no code at its address"),
    Case(fault="code-differs", entity="contract/session", check="code", says="differs from the artifact"),
    Case(fault="unlinked", entity="contract/session", check="linked", says="in its place"),
    Case(fault="wallet-empty", entity="wallet/deployer", check="gas", says="is empty"),
    Case(fault="wallet-low", entity="wallet/deployer", check="gas", says="less than the 7 d declared"),
)


async def run(pair: Pair, cases: Sequence[Case] = CASES) -> tuple[Row, ...]:
    """Nothing injected: every check must be well. Then each fault by itself, with the checks that must see it."""
    await pair.heal()
    rows = [
        Row(
            case=Case(fault="", entity=str(item.check.entity), check=item.check.name, outcome=GREEN),
            outcome=item.verdict.outcome,
            text=item.verdict.text,
        )
        for item in await pair.judged()
    ]
    for fault in dict.fromkeys(case.fault for case in cases if case.fault in pair.faults):
        await pair.inject(fault)
        found = {(str(item.check.entity), item.check.name): item.verdict for item in await pair.judged()}
        await pair.heal()
        for case in cases:
            if case.fault == fault:
                verdict = found.get((case.entity, case.check))
                rows.append(Row(case=case, outcome=verdict.outcome if verdict else "not asked", text=verdict.text if verdict else ""))
    return tuple(rows)


def never_red(checks: Sequence[Check], cases: Sequence[Case] = CASES) -> list[str]:
    """Checks that no case turns red, by kind and name; of one kind a single entity is enough."""
    red = {(_kind(case.entity), case.check) for case in cases if case.outcome == RED}
    return sorted({f"{_kind(str(check.entity))} {check.name}" for check in checks if (_kind(str(check.entity)), check.name) not in red})


def _kind(entity: str) -> str:
    kind = entity.partition("/")[0]
    return entity if kind == "chain" else kind


def table(rows: Sequence[Row], about: Mapping[str, str]) -> str:
    """For people: a line for each case."""
    lines = []
    for row in rows:
        fault = about.get(row.case.fault, row.case.fault) or "nothing"
        mark = " " if row.held else "!"
        lines.append(f"{mark} {row.outcome:12}  {row.case.entity:24}  {row.case.check:18}  {fault:55}  {row.text}")
    return "\n".join(lines)
