"""States from one round of checks, and what was observed. No history."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cortops.surfaces.judging import Judged, judge
from cortops.surfaces.states import VALUE_MAX_CHARS, evidence_of, states
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Answer, NoAnswer, Reply, Silence
from cortops.words.state import State

R1, R2 = Entity("router", "r1"), Entity("router", "r2")


def check(entity: Entity, question: str, makes: str = "down", name: str = "health") -> Check:
    def verdict(replies: Mapping[str, Reply], now: float) -> Verdict:
        reply = replies.get(question)
        if not isinstance(reply, Answer):
            return Verdict(outcome="inconclusive", text="no answer")
        return Verdict(outcome="ok" if reply.status == 200 else "bad", text=f"said {reply.status}")

    return Check(entity=entity, name=name, asks=(question,), judge=verdict, owner="ops", makes=makes)


def answer(question: str, status: int, body: bytes = b"x") -> Answer:
    return Answer(question=question, at=5.0, elapsed_s=0.1, status=status, body=body)


def judged(replies: Mapping[str, Reply], *checks: Check) -> tuple[Judged, ...]:
    return judge(checks, replies, now=9.0)


def test_unknown_is_not_down_and_down_outweighs_unknown() -> None:
    silent = NoAnswer(question="q2", at=1, elapsed_s=1, silence=Silence.LOST, why="the host is lost")
    checks = (check(R1, "q1"), check(R2, "q2"), check(R1, "q2", name="other"))
    found = {
        item.entity: item
        for item in states([R1, R2, Entity("pool", "p")], {R1: (R2,)}, judged({"q1": answer("q1", 503), "q2": silent}, *checks))
    }
    assert (found[R1].state, found[R1].reason, found[R1].depends_on) == (State.DOWN, "said 503", (R2,))
    assert found[R2].state is State.UNKNOWN
    assert found[Entity("pool", "p")].state is State.UNKNOWN
    assert found[R1].evidence == ("q1", "q2")


def test_a_check_says_which_state_it_leads_to() -> None:
    found = states([R1], {}, judged({"q1": answer("q1", 500)}, check(R1, "q1", makes="degraded")))
    assert found[0].state is State.DEGRADED


def test_evidence_is_what_was_said_when_and_how() -> None:
    silent = NoAnswer(question="q2", at=7, elapsed_s=1, silence=Silence.REFUSED, why="nobody listens")
    found = {item.id: item for item in evidence_of(judged({}, check(R1, "q1"), check(R2, "q2")), {"q1": answer("q1", 200), "q2": silent})}
    assert (found["q1"].value, found["q1"].at) == ("200 x", 5.0)
    assert found["q2"].value == "refused: nobody listens"
    assert found["q1"].how == "q1", "the question's kind is the first part of its id"


def test_a_long_answer_is_shown_in_part() -> None:
    (found,) = evidence_of(judged({}, check(R1, "q1")), {"q1": answer("q1", 200, b"y" * 10_000)})
    assert len(found.value) == VALUE_MAX_CHARS + len("200 ")


@pytest.mark.parametrize("error", [ValueError, KeyError, AssertionError, OverflowError, RecursionError])
def test_a_check_that_breaks_cannot_tell_and_hides_no_other(error: type[Exception]) -> None:
    def broken(replies: Mapping[str, Reply], now: float) -> Verdict:
        raise error("odd")

    checks = (Check(entity=R1, name="broken", asks=("q1",), judge=broken, owner="ops"), check(R2, "q2"))
    first, second = judged({"q1": answer("q1", 200), "q2": answer("q2", 200)}, *checks)
    assert first.verdict.outcome == "inconclusive" and first.verdict.text.startswith(f"the check broke on the answer: {error.__name__}: ")
    assert second.verdict.outcome == "ok"
