"""A world that answers as a test says: an Ask without sockets, on a clock that the test owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Question, Reply, Silence


@dataclass(slots=True)
class World:
    """`await world.ask(questions)` is an Ask. A question that nothing was said about is answered with status 200 and `{}`.

    said: question id -> (status, body), or why there is silence. takes_s: question id -> how long it takes, 0.01 by default.
    asked: ids in the order they were asked, with the time.
    """

    clock: Clock
    said: dict[str, tuple[int, bytes] | Silence] = field(default_factory=dict)
    takes_s: dict[str, float] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def ask(self, questions: Sequence[Question]) -> Mapping[str, Reply]:
        """Answer all of them after the longest time that one takes, with what is said at that moment."""
        at = self.clock.now()
        self.asked += [(at, question.id) for question in questions]
        elapsed_s = max(self.takes_s.get(question.id, 0.01) for question in questions)
        await self.clock.sleep(elapsed_s)
        return {question.id: self._reply(question.id, at, elapsed_s) for question in questions}

    def _reply(self, question: str, at: float, elapsed_s: float) -> Reply:
        said = self.said.get(question, (200, b"{}"))
        if isinstance(said, Silence):
            return NoAnswer(question=question, at=at, elapsed_s=elapsed_s, silence=said, why=f"{said} by the test")
        status, body = said
        return Answer(question=question, at=at, elapsed_s=elapsed_s, status=status, body=body)
