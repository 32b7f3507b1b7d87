"""Many replicas -> one answer: votes of judges, and texts of runs. Pure; the order of the replicas changes nothing.

A majority is more than half of those that were *asked*: who failed, or said nothing that can be read, has not agreed.
Strategies and policies have the names of facts E; rules and numbers are ours.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cortops.protocol.verdict import Judged, Verdict

CONFIDENCE_MIN = 0.5  # a judge that is less sure has not said anything, as with the validator
AGREE_MIN = 0.6  # cosine of two texts' word counts from which on they say the same; ours, and coarse: see decision 0025
_WORD = re.compile(r"\w+")


class Strategy(StrEnum):
    """majority: each vote counts once. weighted: as much as its judge is confident."""

    MAJORITY = "majority"
    WEIGHTED = "weighted"


class Disagreement(StrEnum):
    """What is answered without a majority.

    return_all: no answer of ours, all replicas'. best_effort: what most say, if it is one thing. fail_hard: an error.
    """

    RETURN_ALL = "return_all"
    BEST_EFFORT = "best_effort"
    FAIL_HARD = "fail_hard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """reached: there is a majority. confidence: 0..1, the agreeing judges' mean times their share. tally: weight of each verdict given."""

    verdict: Verdict
    reached: bool
    confidence: float
    reasons: tuple[str, ...]
    tally: Mapping[Verdict, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRuling:
    """place: of the text that stands for all, None when nothing was said. agreed: places that say the same, itself included."""

    place: int | None
    agreed: tuple[int, ...]
    reached: bool


def rule_verdicts(
    votes: Sequence[Judged | None], *, strategy: Strategy = Strategy.MAJORITY, policy: Disagreement = Disagreement.RETURN_ALL
) -> Ruling:
    """votes: one for each replica asked, None for one that failed. Without a majority RETRY, but for best_effort."""
    said = [vote for vote in votes if vote is not None and vote.readable and vote.confidence >= CONFIDENCE_MIN]
    weights = [vote.confidence if strategy is Strategy.WEIGHTED else 1.0 for vote in said]
    tally = {
        verdict: math.fsum(weight for vote, weight in zip(said, weights, strict=True) if vote.verdict is verdict) for verdict in Verdict
    }
    asked = math.fsum(weights) + (len(votes) - len(said))  # a silent judge weighs as a sure one: silence must not make a majority
    ranked = sorted(tally.items(), key=lambda item: -item[1])
    (best, weight), (_, second) = ranked[0], ranked[1]
    reached = weight > 0 and 2 * weight > asked
    if not reached and (policy is not Disagreement.BEST_EFFORT or weight <= second):
        return Ruling(verdict=Verdict.RETRY, reached=False, confidence=0.0, reasons=(_split(votes, said, tally),), tally=_given(tally))
    agreeing = sorted((vote for vote in said if vote.verdict is best), key=lambda vote: (-vote.confidence, vote.reasons))
    confidence = math.fsum(vote.confidence for vote in agreeing) / len(votes)
    reasons = tuple(dict.fromkeys(reason for vote in agreeing for reason in vote.reasons))
    return Ruling(verdict=best, reached=reached, confidence=round(confidence, 4), reasons=reasons, tally=_given(tally))


def rule_texts(texts: Sequence[str | None], *, agree_min: float = AGREE_MIN) -> TextRuling:
    """texts: one for each replica asked, None or blank for one that gave none. The text that most agree with stands for all."""
    words = [Counter(_WORD.findall(text.casefold())) if text is not None else Counter[str]() for text in texts]
    places = [at for at, text in enumerate(texts) if text is not None and text.strip()]
    near = {one: {other: _similarity(texts, words, one, other) for other in places} for one in places}
    agreed = {one: tuple(other for other in places if near[one][other] >= agree_min) for one in places}
    if not places:
        return TextRuling(place=None, agreed=(), reached=False)
    best = min(places, key=lambda at: (-len(agreed[at]), -round(math.fsum(near[at].values()), 9), texts[at] or "", at))
    return TextRuling(place=best, agreed=agreed[best], reached=2 * len(agreed[best]) > len(texts))


def _similarity(texts: Sequence[str | None], words: Sequence[Counter[str]], one: int, other: int) -> float:
    if texts[one] == texts[other]:
        return 1.0
    shared = sum(count * words[other][word] for word, count in words[one].items())
    length = math.sqrt(_square(words[one]) * _square(words[other]))
    return shared / length if length else 0.0


def _square(words: Counter[str]) -> int:
    return sum(count * count for count in words.values())


def _given(tally: Mapping[Verdict, float]) -> dict[Verdict, float]:
    return {verdict: round(weight, 4) for verdict, weight in tally.items() if weight}


def _split(votes: Sequence[Judged | None], said: Sequence[Judged], tally: Mapping[Verdict, float]) -> str:
    """Why there is no majority; of a single judge what it said."""
    if len(votes) == 1:
        only = votes[0]
        if only is None:
            return "the judge gave no answer"
        return only.reasons[0] if not only.readable else f"the judge is not sure: {only.confidence:g}, and {CONFIDENCE_MIN:g} is needed"
    told = ", ".join(f"{verdict} {weight:g}" for verdict, weight in tally.items() if weight)
    silent = len(votes) - len(said)
    return f"no majority of {len(votes)}: {told or 'nothing said'}" + (f", {silent} without a sure verdict" if silent else "")
