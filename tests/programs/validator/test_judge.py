"""Texts are single letters here; `NEAR` says which of them mean the same, and how much."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.contracts.network import result_hash
from cortops.contracts.records import NOTE_BYTES_MAX, SCORE_MAX
from cortops.programs.validator.comparison import Similarity
from cortops.programs.validator.evidence import Judgement, judgement
from cortops.programs.validator.judge import Asked, Replica, Verdict, decide, texts_to_compare
from cortops.programs.validator.signals import says_nothing
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged

# Nothing but the meaning, so that the rule alone is tested.
PLAIN = Policy(similarity_min=0.75, sentence_min=0, length_min=0, order_min=0, echo_max=1, repeated_max=1, numbers="ignore")
NEAR = {
    ("a", "b"): 0.9,
    ("a", "c"): 0.6,
    ("b", "c"): 0.8,
    ("c", "d"): 0.8,
    ("x", "y"): 0.95,
    ("a", "x"): 0.31,
    ("a", "z"): -0.2,
    ("p", "q"): 0.7496,
    ("p", "r"): 0.7494,
}


def near(one: str, other: str) -> float:
    assert one != other, "equal texts are not asked for"
    return NEAR.get((one, other), NEAR.get((other, one), 0.1))


def replicas(texts: str | list[str]) -> list[Replica]:
    """Of miners m0, m1, ..."""
    return [Replica(miner=f"m{at}", text=text) for at, text in enumerate(texts)]


def judge(
    said: list[Replica],
    similarity: Similarity,
    policy: Policy = PLAIN,
    absent: tuple[str, ...] | list[str] = (),
    readings: dict[str, Judged] | None = None,
    asked: Asked = Asked(prompt="?"),  # noqa: B008 - frozen
) -> Judgement:
    decision = decide(said, similarity, policy, asked, readings)
    return judgement(decision, said, policy, asked, readings, absent=absent, task="1/7")


def judged(texts: str | list[str], similarity: Similarity = near, policy: Policy = PLAIN) -> Judgement:
    """Texts -> the judgement of miners m0, m1, ..."""
    return judge(replicas(texts), similarity, policy)


TABLE = {
    # all the same, by hash
    "aaa": "V1000 V1000 V1000",
    "aa": "V1000 V1000",
    # the same by meaning; the score is the closest other valid one's
    "ab": "V900 V900",
    "aab": "V1000 V1000 V900",
    # one lies
    "aax": "V1000 V1000 I310",
    "abx": "V900 V900 I310",
    "aaz": "V1000 V1000 I0",
    # a and c do not agree, but both agree with b, which most agree with
    "abc": "V900 V900 V800",
    # two liars that agree, against three
    "abbxy": "V900 V1000 V1000 I310 I100",
    # no majority: nobody is accused
    "ax": "R310 R310",
    "axz": "R310 R310 R100",
    "aaxx": "R1000 R1000 R1000 R1000",
    "abxy": "R900 R900 R950 R950",
    "aaxyz": "R1000 R1000 R950 R950 R100",
    # one answer
    "a": "R0",
    # silence is no answer: it does not count against a majority, and does not make one
    "aa ": "V1000 V1000 I0",
    "aa  ": "V1000 V1000 I0 I0",
    "a ": "R0 R0",
    "a  ": "R0 R0 R0",
    "ax ": "R310 R310 R0",
    " ": "R0",
    "   ": "R0 R0 R0",
    # compared as shown, in thousandths: .7496 is .750
    "pq": "V750 V750",
    "pr": "R749 R749",
}


@pytest.mark.parametrize(("texts", "expected"), TABLE.items())
def test_the_table(texts: str, expected: str) -> None:
    assert " ".join(f"{one.verdict.name[0]}{one.score}" for one in judged(texts).verdicts) == expected


def test_no_replica_no_verdict() -> None:
    assert judged("").verdicts == ()


def test_reasons_and_note_are_told_to_people() -> None:
    found = judge(
        [Replica(miner=miner, text=text) for miner, text in (("m0", "a"), ("m1", "b"), ("m2", "x"), ("m3", "\n"))],
        near,
        absent=("m4",),
    )
    assert [one.reason for one in found.verdicts] == ["agrees .90", "agrees .90", "differs, closest .31", "says nothing"]
    assert found.note == "2 of 4 agree (.90 or more); m2: differs, closest .31; m3: says nothing; m4: no answer"
    assert judged("aa").note == "2 of 2 agree (1.00 or more)"
    assert judged("aa").verdicts[0].reason == "same text as another"
    assert judged("a").note == "0 of 1 agree; m0: only one answer"
    assert judged("ax").note == "0 of 2 agree; m0: no majority, closest .31; m1: no majority, closest .31"


def test_the_note_fits_into_the_contract() -> None:
    miners = [f"0x{at:040x}" for at in range(8)]
    found = judge([Replica(miner=miner, text=str(at)) for at, miner in enumerate(miners)], near, absent=miners)
    assert len(found.note.encode()) <= NOTE_BYTES_MAX and all(miner in found.note for miner in miners[:7])


def test_the_evidence_says_what_was_compared() -> None:
    found = judged("xa")
    assert msgspec.json.decode(found.evidence) == {
        "rule": "centre-2, all-MiniLM-L6-v2",
        "task": "1/7",
        "policy": {
            "replicas": 0,
            "disagreement": "return_all",
            "similarity_min": 750,
            "sentence_min": 0,
            "length_min": 0,
            "order_min": 0,
            "echo_max": 1000,
            "repeated_max": 1000,
            "numbers": "ignore",
            "sampled": False,
            "copy_words_min": 12,
            "rubric": [],
            "confidence_min": 500,
        },
        "prompt": result_hash("?"),
        "replicas": [["m0", result_hash("x")], ["m1", result_hash("a")]],
        "pairs": [["m0", "m1", {"score": 310, "by": "whole", "whole": 310}]],
        "findings": [],
        "verdicts": [["m0", "RETRY", 310, "no majority, closest .31"], ["m1", "RETRY", 310, "no majority, closest .31"]],
    }
    assert found.evidence_hash == result_hash(found.evidence.decode())


def test_only_a_full_score_says_the_same_text() -> None:
    assert [one.score for one in judged("ab", lambda *_: 1.0).verdicts] == [SCORE_MAX - 1] * 2


def test_what_is_compared_by_meaning() -> None:
    def wanted(texts: str) -> tuple[str, ...]:
        return texts_to_compare(replicas(texts), PLAIN)

    assert wanted("aaa") == wanted("aa ") == wanted("a ") == wanted("") == ()
    assert wanted("bab x") == ("a", "b", "x")


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0\u3000", "\u200b\ufeff", "\x00"])
def test_what_says_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", [".", "0", " \u4e2d ", "\U0001f44d"])
def test_what_says_something(text: str) -> None:
    assert not says_nothing(text)


# Any texts, any symmetric similarity.
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", " "]), min_size=1, max_size=8)
SIMILARITIES = st.lists(st.floats(-1, 1), min_size=10, max_size=10)


def _of(values: list[float]) -> Similarity:
    table = dict(zip(itertools.combinations("abcde", 2), values, strict=True))
    return lambda one, other: table[min(one, other), max(one, other)]


@given(TEXTS, SIMILARITIES, st.randoms(use_true_random=False))
def test_the_order_of_the_replicas_changes_nothing(texts: list[str], values: list[float], random: object) -> None:
    straight = replicas(texts)
    mixed = [*straight]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = (judge(order, _of(values)) for order in (straight, mixed))
    assert {verdict.miner: verdict for verdict in one.verdicts} == {verdict.miner: verdict for verdict in other.verdicts}
    assert one.evidence == other.evidence and [verdict.miner for verdict in other.verdicts] == [replica.miner for replica in mixed]


@given(st.text(min_size=1).filter(lambda text: not says_nothing(text)), st.integers(2, 8))
def test_equal_answers_are_all_valid(text: str, count: int) -> None:
    found = judge(replicas([text] * count), near)
    assert {(one.verdict, one.score) for one in found.verdicts} == {(Verdict.VALID, SCORE_MAX)}


@given(TEXTS, SIMILARITIES)
def test_a_verdict_can_be_read_off_its_score(texts: list[str], values: list[float]) -> None:
    found = judge(replicas(texts), _of(values)).verdicts
    answers = [one for one, text in zip(found, texts, strict=True) if text != " "]
    valid = [one for one in found if one.verdict is Verdict.VALID]
    assert all(0 <= one.score <= SCORE_MAX for one in found)
    assert all(one.score >= 750 for one in valid)
    assert all(one.score < 750 for one in found if one.verdict is Verdict.INVALID)
    assert (not valid and all(one.verdict is Verdict.RETRY for one in found)) or 2 * len(valid) > len(answers)
