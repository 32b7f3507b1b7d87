from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.consensus import Disagreement, Ruling, Strategy, rule_texts, rule_verdicts
from cortops.protocol.verdict import Judged, Verdict, unreadable

VOTES = st.lists(
    st.one_of(
        st.none(),
        st.just(unreadable()),
        st.builds(
            Judged,
            verdict=st.sampled_from(Verdict),
            confidence=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
            reasons=st.sampled_from([("a",), ("b",), ("a", "c")]),
        ),
    ),
    min_size=1,
    max_size=5,
)
TEXTS = st.lists(
    st.sampled_from([None, "", "  ", "the sky is blue", "The sky is blue.", "grass is green", "no", "a b c d"]), min_size=1, max_size=5
)


def vote(verdict: Verdict, confidence: float = 1.0) -> Judged:
    return Judged(verdict=verdict, confidence=confidence, reasons=(f"says {verdict}",))


def rule(*votes: Judged | None, strategy: Strategy = Strategy.MAJORITY, policy: Disagreement = Disagreement.RETURN_ALL) -> Ruling:
    return rule_verdicts(votes, strategy=strategy, policy=policy)


@given(VOTES, st.sampled_from(Strategy), st.sampled_from(Disagreement), st.randoms(use_true_random=False))
def test_the_order_of_votes_changes_nothing(votes: list[Judged | None], strategy: Strategy, policy: Disagreement, chance: object) -> None:
    turned = list(votes)
    chance.shuffle(turned)  # type: ignore[attr-defined]
    assert rule_verdicts(votes, strategy=strategy, policy=policy) == rule_verdicts(turned, strategy=strategy, policy=policy)


@given(VOTES, st.sampled_from(Strategy), st.sampled_from(Disagreement))
def test_a_verdict_was_given_by_somebody_and_a_majority_is_more_than_half(
    votes: list[Judged | None], strategy: Strategy, policy: Disagreement
) -> None:
    found = rule_verdicts(votes, strategy=strategy, policy=policy)
    given_by = [one for one in votes if one is not None and one.readable and one.verdict is found.verdict]
    assert 0 <= found.confidence <= 1 and found.reasons
    if found.verdict is not Verdict.RETRY:
        assert given_by
    if found.reached and strategy is Strategy.MAJORITY:
        assert 2 * len(given_by) > len(votes)
    if policy is not Disagreement.BEST_EFFORT and not found.reached:
        assert found.verdict is Verdict.RETRY and found.confidence == 0


@given(VOTES)
def test_silence_makes_no_majority(votes: list[Judged | None]) -> None:
    with_silence = rule_verdicts([*votes, None, unreadable()])
    assert not with_silence.reached or rule_verdicts(votes).verdict is with_silence.verdict


def test_one_judge_is_a_majority_of_one() -> None:
    found = rule(vote(Verdict.INVALID, 0.7))
    assert (found.verdict, found.reached, found.confidence, found.reasons) == (Verdict.INVALID, True, 0.7, ("says INVALID",))
    assert rule(unreadable("mumbles")).reasons == ("mumbles",)


def test_two_of_three_rule_and_the_third_is_not_counted_for_them() -> None:
    found = rule(vote(Verdict.VALID), vote(Verdict.VALID, 0.5), vote(Verdict.INVALID))
    assert (found.verdict, found.reached, found.confidence) == (Verdict.VALID, True, 0.5)
    assert found.tally == {Verdict.VALID: 2, Verdict.INVALID: 1}


def test_policies_without_a_majority() -> None:
    split = (vote(Verdict.VALID), vote(Verdict.INVALID), vote(Verdict.RETRY), vote(Verdict.VALID), vote(Verdict.NEEDS_SPEC))
    assert rule(*split).verdict is Verdict.RETRY
    assert rule(*split).reasons == ("no majority of 5: VALID 2, INVALID 1, RETRY 1, NEEDS_SPEC 1",)
    assert (rule(*split, policy=Disagreement.BEST_EFFORT).verdict, rule(*split, policy=Disagreement.BEST_EFFORT).reached) == (
        Verdict.VALID,
        False,
    )
    tie = (vote(Verdict.VALID), vote(Verdict.INVALID), None)
    assert rule(*tie, policy=Disagreement.BEST_EFFORT).verdict is Verdict.RETRY
    assert rule(*tie).reasons[0].endswith("1 without a sure verdict")


def test_two_sure_judges_outweigh_three_that_are_not() -> None:
    votes = (*(vote(Verdict.INVALID, 1.0) for _ in range(2)), *(vote(Verdict.VALID, 0.5) for _ in range(3)))
    assert rule(*votes).verdict is Verdict.VALID
    assert rule(*votes, strategy=Strategy.WEIGHTED).verdict is Verdict.INVALID


def test_a_judge_that_is_not_sure_has_said_nothing() -> None:
    found = rule(vote(Verdict.VALID, 0.0))
    assert (found.verdict, found.reached, found.reasons) == (Verdict.RETRY, False, ("the judge is not sure: 0, and 0.5 is needed",))
    assert not rule(vote(Verdict.VALID), vote(Verdict.VALID, 0.4), None).reached


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_texts_changes_nothing(texts: list[str | None], chance: object) -> None:
    turned = list(texts)
    chance.shuffle(turned)  # type: ignore[attr-defined]
    one, other = rule_texts(texts), rule_texts(turned)
    assert (one.reached, len(one.agreed)) == (other.reached, len(other.agreed))
    assert (one.place is None) == (other.place is None)
    if one.place is not None and other.place is not None:
        assert texts[one.place] == turned[other.place]


@given(TEXTS)
def test_who_says_nothing_agrees_with_nobody(texts: list[str | None]) -> None:
    found = rule_texts(texts)
    assert all((texts[at] or "").strip() for at in found.agreed)
    assert found.reached is (2 * len(found.agreed) > len(texts))
    assert found.place is None or found.place in found.agreed


def test_texts_that_say_the_same_agree() -> None:
    found = rule_texts(["The sky is blue.", "the sky is blue", "grass is green"])
    assert found.reached and found.agreed == (0, 1) and found.place in (0, 1)
    assert not rule_texts(["one", "two", "three"]).reached
    assert rule_texts(["x", None, None]).reached is False
