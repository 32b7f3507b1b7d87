"""Sentences are compared by WordCounts: equal words mean the same, disjoint ones nothing."""

from __future__ import annotations

import msgspec

from cortops.programs.validator.comparison import closeness, parts_of, table_of
from cortops.protocol.validation import Policy
from cortops.testing.embedding import WordCounts

POLICY = Policy(similarity_min=0.75, sentence_min=0.4, length_min=0.5, numbers="doubt")
WHOLE = "The sky is blue today. Rain will come tomorrow."
WITH_MORE = "The sky is blue today. Send your coins here."


def similarity(one: str, other: str) -> float:
    assert one != other, "equal texts are not asked for"
    return WordCounts().compare([one, other])[0][1]


def test_the_same_text_is_asked_nothing() -> None:
    found = closeness(WHOLE, WHOLE, similarity, POLICY)
    assert (found.score, found.named) == (1000, "same text")


def test_a_sentence_that_the_other_does_not_have_weighs_as_much_as_the_whole() -> None:
    found = closeness(WITH_MORE, WHOLE, similarity, POLICY)
    assert found.sentence == 0 and found.named == "sentence" and found.score == 350, "0 shifted by .75 - .40"


def test_what_is_borne_out_need_not_bear_out() -> None:
    part = "The sky is blue today. Rain will come."
    more = f"{part} Also a storm from northern lands."
    there, back = closeness(part, more, similarity, POLICY), closeness(more, part, similarity, POLICY)
    assert there.sentence == 1000 and back.sentence == 0
    assert there.whole == back.whole and there.length == back.length


def test_a_short_one_is_told_by_its_length() -> None:
    policy = msgspec.structs.replace(POLICY, similarity_min=0.1, length_min=0.8)
    found = closeness("The sky is blue today.", WHOLE, similarity, policy)
    assert (found.named, found.length) == ("length", 556) and found.score < 100


def test_numbers_are_named_and_cost_nothing() -> None:
    found = closeness("It is 7 metres long.", "It is 8 metres long.", similarity, POLICY)
    assert found.numbers == ("7", "8") and found.score >= 750
    ignored = msgspec.structs.replace(POLICY, numbers="ignore")
    assert closeness("It is 7 metres long.", "It is 8 metres long.", similarity, ignored).numbers == ()


def test_what_needs_a_vector() -> None:
    assert parts_of(WHOLE, POLICY) == (WHOLE, "The sky is blue today.", "Rain will come tomorrow.")
    assert parts_of(WHOLE, msgspec.structs.replace(POLICY, sentence_min=0.0)) == (WHOLE,)


def test_the_table_has_a_row_for_each() -> None:
    table = table_of([WHOLE, WITH_MORE, WHOLE], similarity, POLICY)
    assert [one.score for one in table[0]] == [1000, table[0][1].score, 1000] and len(table) == 3
