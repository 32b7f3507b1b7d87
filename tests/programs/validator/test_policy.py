"""What a policy changes in the verdicts; letters as in test_judge."""

from __future__ import annotations

import msgspec
import pytest
from tests.programs.validator.test_judge import PLAIN, judge, judged, near, replicas

from cortops.programs.validator.evidence import Judgement
from cortops.programs.validator.judge import Asked, Replica, decide, texts_to_judge
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged, unreadable
from cortops.protocol.verdict import Verdict as Said
from cortops.words.errors import BadInput

LONG = "so long an answer that nobody else would have found the same words for it by chance"


def policy(**changes: object) -> Policy:
    return msgspec.structs.replace(PLAIN, **changes)


def told(found: Judgement) -> str:
    return " ".join(f"{one.verdict.name[0]}{one.score}" for one in found.verdicts)


@pytest.mark.parametrize(
    ("disagreement", "texts", "expected"),
    [
        ("return_all", "aax", "V1000 V1000 I310"),
        ("fail_hard", "aax", "R1000 R1000 I310"),
        ("fail_hard", "aab", "V1000 V1000 V900"),
        ("best_effort", "aax", "V1000 V1000 I310"),
        ("return_all", "aaxyz", "R1000 R1000 R950 R950 R100"),
        ("best_effort", "aaxz", "V1000 V1000 R310 R100"),
        ("best_effort", "aaxyz", "R1000 R1000 R950 R950 R100"),  # two groups of two
        ("best_effort", "axz", "R310 R310 R100"),
    ],
)
def test_disagreement(disagreement: str, texts: str, expected: str) -> None:
    assert told(judged(texts, policy=policy(disagreement=disagreement))) == expected


@pytest.mark.parametrize(
    ("count", "texts", "expected"), [(3, "aa", "V1000 V1000"), (5, "aa", "R1000 R1000"), (5, "aab", "V1000 V1000 V900"), (3, "a", "R0")]
)
def test_a_majority_is_of_the_replicas_that_were_asked_for(count: int, texts: str, expected: str) -> None:
    assert told(judged(texts, policy=policy(replicas=count))) == expected


def test_an_equal_long_answer_promised_later_is_a_copy_where_there_is_no_common_seed() -> None:
    said = [Replica(miner=f"m{at}", text=text, block=block) for at, (text, block) in enumerate(((LONG, 5), ("b", 5), (LONG, 7)))]
    sampled = judge(said, lambda *_: 0.9, policy(sampled=True))
    assert [one.reason for one in sampled.verdicts] == ["agrees .90", "agrees .90", "copy of m0"]
    assert told(sampled) == "V900 V900 I0" and b'["m2","copy of m0",17,12]' in sampled.evidence
    assert told(judge(said, lambda *_: 0.9)) == "V1000 V900 V1000", "with one seed they are expected to be equal"
    together = [Replica(miner=one.miner, text=one.text, block=5) for one in said]
    assert told(judge(together, lambda *_: 0.9, policy(sampled=True))) == "V1000 V900 V1000", "nobody could have seen the other's"
    alone = judge([said[0], said[2]], near, policy(sampled=True))
    assert told(alone) == "R0 R0", "a copy bears nothing out, and nobody is accused without a majority"


def test_an_echo_of_the_prompt_is_no_answer_unless_the_task_asks_for_one() -> None:
    asked, held = Asked(prompt="say hello to everybody"), policy(echo_max=0.8)
    echo = judge(replicas(["hello dear", "hello dear", "say hello to everybody"]), lambda *_: 0.9, held, asked=asked)
    assert [one.reason for one in echo.verdicts] == ["same text as another", "same text as another", "echo of the prompt"]
    assert told(judge(replicas(["say hello", "say hello", "hello"]), lambda *_: 0.9, held, asked=asked)) == "V1000 V1000 V900"
    again = judge(replicas(["one two", "one two", "no no no no no no no no"]), lambda *_: 0.9, policy(repeated_max=0.5))
    assert again.verdicts[2].reason == "repeats itself"


@pytest.mark.parametrize(("numbers", "expected"), [("ignore", "VVV"), ("doubt", "VVR"), ("reject", "VVI")])
def test_a_number_that_the_others_do_not_have(numbers: str, expected: str) -> None:
    found = judge(replicas(["it is 7", "it is 7 long", "it is 8"]), lambda *_: 0.9, policy(numbers=numbers)).verdicts
    assert "".join(one.verdict.name[0] for one in found) == expected
    assert numbers == "ignore" or found[2].reason == "agrees .90, but numbers differ: 7, 8"


def test_numbers_that_all_have_differently_say_nothing() -> None:
    found = judge(replicas(["it is 7", "it is 9", "it is 8"]), lambda *_: 0.9, policy(numbers="reject"))
    assert told(found) == "V900 V900 V900"


@pytest.mark.parametrize(
    ("asked", "held", "reason"),
    [
        (Asked(prompt=" \n"), PLAIN, "the prompt is empty"),
        (Asked(prompt="", unread="no chat body"), PLAIN, "no chat body"),
        (Asked(), policy(replicas=1), "the policy asks for one replica and no judge"),
    ],
)
def test_what_nobody_could_judge_needs_a_specification(asked: Asked, held: Policy, reason: str) -> None:
    found = judge(replicas("aax"), near, held, asked=asked)
    assert told(found) == "N0 N0 N0" and {one.reason for one in found.verdicts} == {reason}


def reading(verdict: str, confidence: float = 0.9) -> Judged:
    return Judged(verdict=Said(verdict), confidence=confidence, reasons=("it says so\n\x1b",))


@pytest.mark.parametrize(
    ("texts", "readings", "expected"),
    [
        # beside a comparison
        ("aa", {"a": reading("VALID")}, "V900 V900"),
        ("ab", {"a": reading("VALID", 0.95), "b": reading("INVALID")}, "V900 I100"),
        ("aa", {"a": reading("INVALID", 0.4)}, "R1000 R1000"),
        ("aa", {"a": unreadable()}, "R1000 R1000"),
        ("aa", {"a": reading("NEEDS_SPEC")}, "N0 N0"),
        ("aax", {"a": reading("VALID", 1.0), "x": reading("VALID", 1.0)}, "V1000 V1000 I310"),
        ("ax", {"a": reading("VALID"), "x": reading("VALID")}, "R310 R310"),  # still no majority
        # alone
        ("a", {"a": reading("VALID", 0.8)}, "V800"),
        ("a", {"a": reading("INVALID", 0.8)}, "I200"),
        ("a", {"a": unreadable("the judge's engine is lost")}, "R0"),
        (" ", {}, "R0"),
    ],
)
def test_a_judge_has_the_second_word_and_alone_the_only_one(texts: str, readings: dict[str, Judged], expected: str) -> None:
    assert told(judge(replicas(texts), near, readings=readings)) == expected


def test_a_judge_is_asked_only_what_it_can_still_change() -> None:
    def asked(texts: str) -> tuple[str, ...]:
        return texts_to_judge(replicas(texts), decide(replicas(texts), near, PLAIN, Asked(), {}), PLAIN)

    assert asked("aabx") == ("a", "b") and asked("ax") == () and asked("a") == ("a",) and asked(" ") == ()


def test_what_a_judge_said_stands_in_the_evidence_and_in_plain_letters_in_the_note() -> None:
    found = judge(replicas("a"), near, readings={"a": reading("INVALID")})
    assert found.note == "0 of 1 agree; m0: judge: it says so ?"
    body = msgspec.json.decode(found.evidence)
    assert body["readings"] == [["m0", "INVALID", 900, ["it says so\n\x1b"]]] and body["judge"] == ""


def test_a_policy_is_written_on_one_line_and_read_again() -> None:
    whole = policy(replicas=5, rubric=("It cites\na source.",), disagreement="fail_hard")
    assert "\n" not in whole.as_text() and Policy.parse(whole.as_text()) == whole
    assert Policy.parse("") == Policy() and Policy().as_text() == "{}"


@pytest.mark.parametrize("text", ["[]", "{", '{"replicas": 2}', '{"similarity_min": 0}', '{"sentence_min": 2}', '{"unknown": 1}'])
def test_a_policy_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="policy of validation"):
        Policy.parse(text)
