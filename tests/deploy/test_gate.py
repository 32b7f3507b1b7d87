"""The gate and the states: the same judgement, waiting or not. Virtual clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from cortops.deploy.gate import Judged, judge, wait_until_well
from cortops.deploy.status import evidence_of, states
from cortops.testing.clock import VirtualClock
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Answer, Http, NoAnswer, Question, Reply, Silence
from cortops.words.state import State

R1, R2 = Entity("router", "r1"), Entity("router", "r2")
QUESTIONS = (Http(id="q1", url="http://r1"), Http(id="q2", url="http://r2"))


def check(entity: Entity, question: str, makes: str = "down", name: str = "health") -> Check:
    def verdict(replies: Mapping[str, Reply], now: float) -> Verdict:
        reply = replies.get(question)
        if not isinstance(reply, Answer):
            return Verdict(outcome="inconclusive", text="no answer")
        return Verdict(outcome="ok" if reply.status == 200 else "bad", text=f"said {reply.status}")

    return Check(entity=entity, name=name, asks=(question,), judge=verdict, owner="ops", makes=makes)


def answer(question: str, status: int) -> Answer:
    return Answer(question=question, at=5.0, elapsed_s=0.1, status=status, body=b"x")


def wait(statuses: Sequence[int], entities: Sequence[Entity]) -> tuple[float, list[str]]:
    """Ask until well; the statuses come one a round, the last one stays. Returns the time it took and which questions were asked."""

    clock = VirtualClock()

    async def run() -> tuple[float, list[str]]:
        rounds = iter([*statuses, *[statuses[-1]] * 10_000])
        asked: list[str] = []

        async def ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
            status = next(rounds)
            asked.extend(question.id for question in questions)
            return {question.id: answer(question.id, status) for question in questions}

        begun = clock.monotonic()
        await wait_until_well(entities, [check(R1, "q1"), check(R2, "q2")], QUESTIONS, ask, clock, deadline_s=30)
        return clock.monotonic() - begun, asked

    return clock.run(run())


def test_the_gate_opens_as_soon_as_all_is_well_and_asks_only_what_it_must() -> None:
    elapsed_s, asked = wait([503, 503, 200], [R1])
    assert 0 < elapsed_s < 1
    assert asked == ["q1"] * 3


def test_the_gate_closes_at_its_deadline_and_names_what_is_ill() -> None:
    with pytest.raises(GateClosed, match="router/r1 is not well after 30 s: said 503") as caught:
        wait([503], [R1, R2])
    assert caught.value.why == "router/r2 health: said 503"
    assert caught.value.next == "cortops logs r1"


def test_with_nothing_to_watch_the_gate_is_open() -> None:
    assert wait([503], []) == (0.0, [])


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
