"""What an answer says, and who may be accused by it: only a revert, or no contract, is the contract's own word."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.chain.reading import Reading
from cortops.words.evidence import Verdict
from cortops.words.question import REFUSED, REVERTED, Answer, NoAnswer, Reply, Silence


def answer(text: str, status: int = 0) -> Answer:
    return Answer(question="q", at=0, elapsed_s=0, status=status, body=text.encode())


def hexadecimal(*words: int) -> str:
    return json.dumps("0x" + "".join(f"{word:064x}" for word in words))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (answer(hexadecimal(7)), None),
        (answer("execution reverted", REVERTED), Verdict(outcome="bad", text="the contract refuses to tell its age: execution reverted")),
        (answer('"0x"'), Verdict(outcome="bad", text="no contract tells its age at its address")),
        (answer("too many requests", REFUSED), Verdict(outcome="inconclusive", text="the parent refused to say: too many requests")),
        (answer('"0x12"'), Verdict(outcome="inconclusive", text="its age could not be read: 0x12")),
        (answer("null"), Verdict(outcome="inconclusive", text="its age could not be read: null")),
        (
            NoAnswer(question="q", at=0, elapsed_s=1, silence=Silence.TIMEOUT, why="no answer"),
            Verdict(outcome="inconclusive", text="the parent could not be asked: no answer"),
        ),
        (None, Verdict(outcome="inconclusive", text="the parent could not be asked: was not asked")),
    ],
)
def test_who_is_accused(reply: Reply | None, verdict: Verdict | None) -> None:
    reading = Reading(replies={} if reply is None else {"q": reply}, who="the parent")
    assert reading.word("q", "its age") == (7 if verdict is None else 0)
    assert reading.verdict == verdict


def test_the_first_reason_stands() -> None:
    reading = Reading(replies={"a": answer("limit", REFUSED), "b": answer('"0x"')})
    reading.word("a", "one")
    assert reading.verdict == Verdict(outcome="inconclusive", text="the chain refused to say: limit")
    reading.word("b", "another")
    assert reading.verdict == Verdict(outcome="bad", text="no contract tells another at its address")


def test_lists_of_addresses() -> None:
    good = Reading(replies={"q": answer(hexadecimal(32, 2, 0xA1, 0xA2))})
    assert good.addresses("q", "owners") == (f"0x{0xA1:040x}", f"0x{0xA2:040x}") and good.verdict is None
    for words in ((32, 9, 1), (64, 1, 1), (32,)):
        short = Reading(replies={"q": answer(hexadecimal(*words))})
        assert short.addresses("q", "owners") == () and short.verdict is not None


@given(st.binary(max_size=300), st.sampled_from([0, REFUSED, REVERTED]))
def test_no_answer_breaks_a_reading(body: bytes, status: int) -> None:
    reply = Answer(question="q", at=0, elapsed_s=0, status=status, body=body)
    for read in ("word", "addresses", "quantity", "body"):
        reading = Reading(replies={"q": reply})
        getattr(reading, read)("q", "it")
        assert reading.verdict is None or reading.verdict.outcome in ("bad", "inconclusive")
