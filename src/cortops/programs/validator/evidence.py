"""What a decision rested on, as the bytes whose hash goes on chain, and as a line for people. Pure.

No answer and no prompt stands in it, only their hashes and the numbers that were compared; what a judge gave as reasons does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import result_hash
from cortops.contracts.records import NOTE_BYTES_MAX
from cortops.programs.validator.comparison import Closeness, thousandths
from cortops.programs.validator.judge import Asked, Decision, MinerVerdict, Replica, Verdict, share_text
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged

RULE = "centre-2, all-MiniLM-L6-v2"  # to be changed with the rule, so that evidence of the old one is not read by the new one
THRESHOLDS = ("similarity_min", "sentence_min", "length_min", "order_min", "echo_max", "repeated_max", "confidence_min")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """verdicts: in the order of the replicas. evidence: canonical JSON of what was compared; its keccak256 goes on chain."""

    verdicts: tuple[MinerVerdict, ...]
    evidence: bytes
    note: str

    @property
    def evidence_hash(self) -> str:
        """0x… of 32 bytes."""
        return keccak_hex(self.evidence)


def judgement(
    decision: Decision,
    replicas: Sequence[Replica],
    policy: Policy,
    asked: Asked,
    readings: Mapping[str, Judged] | None = None,
    *,
    absent: Sequence[str] = (),
    task: str = "",
    judge: str = "",
) -> Judgement:
    """absent: miners that were assigned and did not commit. task: "session/task". judge: the model that the readings are of."""
    told: dict[str, Any] = {
        "rule": RULE,
        "task": task,
        "policy": _policy(policy),
        "prompt": result_hash(asked.prompt),
        "replicas": sorted((one.miner, result_hash(one.text)) for one in replicas),
        "pairs": [[*pair, _numbers(decision.pairs[pair])] for pair in sorted(decision.pairs)],
        "findings": [[one.miner, one.what, one.value, one.limit] for one in sorted(decision.findings, key=lambda one: one.miner)],
        "verdicts": sorted((one.miner, one.verdict.name, one.score, one.reason) for one in decision.verdicts),
    }
    if readings is not None:
        said = ((one.miner, readings[one.text]) for one in replicas if one.text in readings)
        told["judge"] = judge
        told["readings"] = sorted([miner, one.verdict.value, thousandths(one.confidence), list(one.reasons)] for miner, one in said)
    return Judgement(verdicts=decision.verdicts, evidence=msgspec.json.encode(told), note=_note(decision.verdicts, absent))


def _policy(policy: Policy) -> dict[str, Any]:
    """All of it, thresholds in thousandths."""
    whole = msgspec.structs.asdict(policy)
    return {name: thousandths(value) if name in THRESHOLDS else value for name, value in whole.items()}


def _numbers(one: Closeness) -> dict[str, Any]:
    found = {"score": one.score, "by": one.named, "whole": one.whole, "sentence": one.sentence, "length": one.length, "order": one.order}
    return {name: value for name, value in found.items() if value is not None} | ({"numbers": one.numbers} if one.numbers else {})


def _note(verdicts: Sequence[MinerVerdict], absent: Sequence[str]) -> str:
    """For people, ASCII, at most NOTE_BYTES_MAX."""
    valid = [one.score for one in verdicts if one.verdict is Verdict.VALID]
    words = [f"{len(valid)} of {len(verdicts)} agree" + (f" ({share_text(min(valid))} or more)" if valid else "")]
    words += [f"{one.miner}: {one.reason}" for one in verdicts if one.verdict is not Verdict.VALID]
    words += [f"{miner}: no answer" for miner in absent]
    return "; ".join(words)[:NOTE_BYTES_MAX]
