"""How near the answers of a task are to each other: numbers for each pair, and one score out of them. Pure.

`whole` is the cosine of the two vectors. `sentence`: of each sentence of one text what is nearest in the other, and the least of those;
so one sentence that the other answer does not have weighs as much in a long text as in a short one, and the table is not the same in both
directions: it says how far the row's answer is borne out by the column's. `length`: words of the shorter over those of the longer.
`order`: of an answer in the other's words, how many of its neighbouring words are neighbours there. The score shifts each number so that
its own threshold falls on `similarity_min`, and is the least of them: an answer agrees with another when its score reaches
`similarity_min`, whichever number held them apart.

`numbers`: figures that only one of the two has. They are a doubt, not a distance: honest answers round and count differently too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cortops.contracts.records import SCORE_MAX
from cortops.programs.validator import signals
from cortops.protocol.validation import Policy

Similarity = Callable[[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closeness:
    """Of one answer beside another, in thousandths, 0..SCORE_MAX; None: not asked. named: which number made the score.

    numbers: those that only one of the two has.
    """

    score: int
    named: str
    whole: int
    sentence: int | None = None
    length: int | None = None
    order: int | None = None
    numbers: tuple[str, ...] = ()


def thousandths(share: float) -> int:
    """Rounded, within 0..SCORE_MAX: similarity and threshold are compared as they are shown."""
    return max(0, min(SCORE_MAX, round(share * SCORE_MAX)))


def parts_of(text: str, policy: Policy) -> tuple[str, ...]:
    """The text, and its sentences where the policy asks for them: what needs a vector."""
    return (text, *signals.sentences(text)) if policy.sentence_min else (text,)


def closeness(one: str, other: str, similarity: Similarity, policy: Policy) -> Closeness:
    """Of `one` beside `other`."""
    if one == other:
        return Closeness(score=SCORE_MAX, named="same text", whole=SCORE_MAX)
    first, second = sorted((one, other))
    least = thousandths(policy.similarity_min)
    whole = thousandths(similarity(first, second))
    found = [("whole", whole, least)]
    sentence = length = order = None
    if policy.sentence_min:
        sentence = thousandths(_covered(one, other, similarity))
        found.append(("sentence", sentence, thousandths(policy.sentence_min)))
    if policy.length_min:
        length = thousandths(signals.length_ratio(first, second))
        found.append(("length", length, thousandths(policy.length_min)))
    if policy.order_min:
        order = thousandths(signals.order_share(one, other))
        found.append(("order", order, thousandths(policy.order_min)))
    differing = tuple(sorted({*signals.numbers(one)} ^ {*signals.numbers(other)})) if policy.numbers != "ignore" else ()
    named, score = min(((name, value - limit + least) for name, value, limit in found), key=lambda pair: pair[1])
    score = max(0, min(SCORE_MAX - 1, score))  # the full score says: the same text
    return Closeness(score=score, named=named, whole=whole, sentence=sentence, length=length, order=order, numbers=differing)


def _covered(one: str, other: str, similarity: Similarity) -> float:
    """The least of what is nearest in `other` to each sentence of `one`."""
    there = signals.sentences(other)
    return min(max(_near(sentence, place, similarity) for place in there) for sentence in signals.sentences(one))


def _near(one: str, other: str, similarity: Similarity) -> float:
    first, second = sorted((one, other))
    return 1.0 if one == other else similarity(first, second)


def table_of(texts: Sequence[str], similarity: Similarity, policy: Policy) -> list[list[Closeness]]:
    """Row: an answer, column: the one that it stands beside. A text with itself has the full score."""
    pairs = {(one, other): closeness(one, other, similarity, policy) for one in {*texts} for other in {*texts}}
    return [[pairs[one, other] for other in texts] for one in texts]
