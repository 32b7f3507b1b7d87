"""What became of tasks, and the replies that are made of it. Pure. Forms of replies are ours (facts J.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cortops.protocol.chat import Usage
from cortops.protocol.consensus import Ruling, TextRuling
from cortops.protocol.families import ConsensusBody
from cortops.protocol.verdict import Judged, read_judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A task that was answered. name: session/task. text_hash: of what stands on chain."""

    name: str
    miner: str
    text: str
    text_hash: str
    finish_reason: str
    usage: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """A task that was not. name: "" when it never came to be."""

    name: str
    status: int
    code: str
    message: str


Outcome = Done | NotDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a reply repeats of its request. created: seconds since 1970."""

    id: str
    kind: str
    version: int
    created: int


def judged_of(outcomes: Sequence[Outcome]) -> tuple[Judged | None, ...]:
    """What each judge said, None for a task without an answer."""
    return tuple(read_judged(one.text) if isinstance(one, Done) else None for one in outcomes)


def delegated(
    call: Call, outcomes: Sequence[Outcome], ruling: TextRuling, consensus: ConsensusBody | None, output: str | None
) -> Mapping[str, Any]:
    """The reply of delegate. output: None where the replicas disagree and the policy gives no answer."""
    chosen = outcomes[ruling.place] if ruling.place is not None else None
    evidence = [_evidence(at, one, output=one.text if isinstance(one, Done) else None) for at, one in enumerate(outcomes)]
    reply = _head(call) | {
        "output": output,
        "finish_reason": chosen.finish_reason if isinstance(chosen, Done) and output is not None else None,
        "usage": _usage(outcomes),
        "evidence": evidence,
    }
    if consensus is None:
        return reply
    return reply | {"consensus": _asked(consensus) | {"reached": ruling.reached, "agreed": list(ruling.agreed)}}


def judged(
    call: Call, outcomes: Sequence[Outcome], said: Sequence[Judged | None], ruling: Ruling, consensus: ConsensusBody | None
) -> Mapping[str, Any]:
    """The reply of validate and of factcheck."""
    reply = _head(call) | {
        "verdict": ruling.verdict,
        "confidence": ruling.confidence,
        "reasons": list(ruling.reasons),
        "usage": _usage(outcomes),
        "evidence": [_evidence(at, one, **_said(vote)) for at, (one, vote) in enumerate(zip(outcomes, said, strict=True))],
    }
    if consensus is None:
        return reply
    votes = {str(verdict): weight for verdict, weight in ruling.tally.items()}
    return reply | {"consensus": _asked(consensus) | {"reached": ruling.reached, "votes": votes}}


def _head(call: Call) -> dict[str, Any]:
    return {"id": call.id, "object": call.kind, "version": call.version, "created": call.created}


def _asked(consensus: ConsensusBody) -> dict[str, Any]:
    return {
        "replicas": consensus.replicas,
        "strategy": str(consensus.strategy),
        "disagreement_policy": str(consensus.disagreement_policy),
    }


def _evidence(replica: int, outcome: Outcome, **more: Any) -> dict[str, Any]:
    session, _, task = outcome.name.partition("/")
    about = {"replica": replica, "session_id": int(session) if session else None, "task_id": int(task) if task else None}
    if isinstance(outcome, NotDone):
        return about | {"status": "failed", "error": {"code": outcome.code, "message": outcome.message}}
    return about | {"status": "answered", "miner": outcome.miner, "result_hash": outcome.text_hash, **more}


def _said(vote: Judged | None) -> dict[str, Any]:
    if vote is None:
        return {}
    return {"verdict": str(vote.verdict), "confidence": vote.confidence, "reasons": list(vote.reasons), "readable": vote.readable}


def _usage(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """All replicas together."""
    counts = [one.usage for one in outcomes if isinstance(one, Done) and one.usage is not None]
    whole = Usage(
        prompt_tokens=sum(one.prompt_tokens for one in counts),
        completion_tokens=sum(one.completion_tokens for one in counts),
        total_tokens=sum(one.total_tokens for one in counts),
    )
    found: dict[str, int] = msgspec.to_builtins(whole)
    return found
