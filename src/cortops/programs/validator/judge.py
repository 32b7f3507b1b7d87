"""The replicas of one task -> a verdict for each miner, pure.

Equal texts (by hash) agree; others agree when their similarity by meaning reaches `similarity_min`. A text that says nothing is no answer.
A centre is an answer that more than half of the answers, and at least two, agree with, itself counted. Then who agrees with a centre is
VALID, everybody else INVALID. Without a centre nobody is accused: all are to RETRY. That is so for a single answer, for two that
differ, for a tie, and when nobody says anything. NEEDS_SPEC is never given: it would ask for a reading of the task, and we compare answers
only. A miner without a commit is no replica; it is named in the note.

Scores are thousandths of the similarity: of a VALID answer to the closest other VALID one (>= similarity_min), of an INVALID one to the
closest centre (< similarity_min), of one to RETRY to the closest other answer; 0 for silence and for a single answer.
Source: facts E for the names; rule and numbers are ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from cortops.contracts import records
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import result_hash
from cortops.contracts.records import NOTE_BYTES_MAX, SCORE_MAX

RULE = "centre-1, all-MiniLM-L6-v2"  # to be changed with the rule, so that evidence of the old one is not read by the new one

Similarity = Callable[[str, str], float]


class Verdict(IntEnum):
    """As on chain, where 0 means none."""

    VALID = records.VALID
    INVALID = records.INVALID
    RETRY = records.RETRY
    NEEDS_SPEC = records.NEEDS_SPEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What one miner committed."""

    miner: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerVerdict:
    """score: 0..SCORE_MAX."""

    miner: str
    verdict: Verdict
    score: int
    reason: str


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


def says_nothing(text: str) -> bool:
    """Nothing but blanks, line breaks and characters that cannot be seen."""
    return all(character.isspace() or unicodedata.category(character)[0] in "CZ" for character in text)


def texts_to_compare(replicas: Sequence[Replica]) -> tuple[str, ...]:
    """The different texts whose similarity `judge` will ask for, in order of their text; none when hashes alone decide."""
    texts = sorted({replica.text for replica in replicas if not says_nothing(replica.text)})
    return tuple(texts) if len(texts) > 1 else ()


def judge(
    replicas: Sequence[Replica], similarity: Similarity, *, similarity_min: float, absent: Sequence[str] = (), task: str = ""
) -> Judgement:
    """similarity: of two different texts, -1..1, asked only for pairs of `texts_to_compare`. similarity_min: 0..1.

    absent: miners that were assigned and did not commit. task: "session/task", for the evidence.
    """
    answers = [replica for replica in replicas if not says_nothing(replica.text)]
    table = [[_score(one.text, other.text, similarity) for other in answers] for one in answers]
    least = _thousandths(similarity_min)
    found = {answer.miner: verdict for answer, verdict in zip(answers, _verdicts(answers, table, least), strict=True)}
    decided = any(verdict.verdict is Verdict.VALID for verdict in found.values())
    verdicts = tuple(found.get(replica.miner) or _silent(replica.miner, decided) for replica in replicas)
    return Judgement(verdicts=verdicts, evidence=_evidence(replicas, answers, table, least, task), note=_note(verdicts, absent))


def _score(one: str, other: str, similarity: Similarity) -> int:
    if one == other:
        return SCORE_MAX
    first, second = sorted((one, other))  # so that both directions give one number
    return min(SCORE_MAX - 1, _thousandths(similarity(first, second)))  # the full score says: the same text


def _thousandths(share: float) -> int:
    """Rounded, within 0..SCORE_MAX: similarity and threshold are compared as they are shown."""
    return max(0, min(SCORE_MAX, round(share * SCORE_MAX)))


def _verdicts(answers: Sequence[Replica], table: Sequence[Sequence[int]], least: int) -> list[MinerVerdict]:
    count = len(answers)
    places = range(count)
    agreeing = [sum(score >= least for score in row) for row in table]  # each with itself too
    centres = [at for at in places if 2 * agreeing[at] > count > 1]
    valid = [at for at in places if any(table[at][centre] >= least for centre in centres)]
    verdicts: list[MinerVerdict] = []
    for at in places:
        others = [other for other in places if other != at]
        if not centres:
            score = max((table[at][other] for other in others), default=0)
            verdict, reason = Verdict.RETRY, f"no majority, closest {_share(score)}" if others else "only one answer"
        elif at in valid:
            score = max(table[at][other] for other in others if other in valid)
            verdict, reason = Verdict.VALID, "same text as another" if score == SCORE_MAX else f"agrees {_share(score)}"
        else:
            score = max(table[at][centre] for centre in centres)
            verdict, reason = Verdict.INVALID, f"differs, closest {_share(score)}"
        verdicts.append(MinerVerdict(miner=answers[at].miner, verdict=verdict, score=score, reason=reason))
    return verdicts


def _silent(miner: str, decided: bool) -> MinerVerdict:
    verdict = Verdict.INVALID if decided else Verdict.RETRY
    return MinerVerdict(miner=miner, verdict=verdict, score=0, reason="says nothing")


def _share(score: int) -> str:
    """970 -> ".97"; cut, not rounded, so that .749 is not shown as the .75 it did not reach."""
    return "1.00" if score == SCORE_MAX else f".{score // 10:02d}"


def _note(verdicts: Sequence[MinerVerdict], absent: Sequence[str]) -> str:
    """For people, ASCII, at most NOTE_BYTES_MAX."""
    valid = [one.score for one in verdicts if one.verdict is Verdict.VALID]
    words = [f"{len(valid)} of {len(verdicts)} agree" + (f" ({_share(min(valid))} or more)" if valid else "")]
    words += [f"{one.miner}: {one.reason}" for one in verdicts if one.verdict is not Verdict.VALID]
    words += [f"{miner}: no answer" for miner in absent]
    return "; ".join(words)[:NOTE_BYTES_MAX]


def _evidence(replicas: Sequence[Replica], answers: Sequence[Replica], table: Sequence[Sequence[int]], least: int, task: str) -> bytes:
    """The same bytes whatever the order of the replicas; the texts themselves are on chain, under their hashes."""
    order = sorted(range(len(answers)), key=lambda at: answers[at].miner)
    pairs = [
        (answers[one].miner, answers[other].miner, table[one][other]) for place, one in enumerate(order) for other in order[place + 1 :]
    ]
    hashes = sorted((replica.miner, result_hash(replica.text)) for replica in replicas)
    return msgspec.json.encode({"rule": RULE, "task": task, "similarity_min": least, "replicas": hashes, "similarities": pairs})
