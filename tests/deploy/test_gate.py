"""The gate waits until all is well, or says what is not. Virtual clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from cortops.deploy.gate import wait_until_well
from cortops.testing.clock import VirtualClock
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Answer, Http, Question, Reply

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
