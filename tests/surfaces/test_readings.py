"""Which silence is certain: one that the other side spoke."""

from __future__ import annotations

import pytest

from cortops.surfaces.readings import answered_by, reply_of, silent
from cortops.surfaces.services.checks import running
from cortops.words.entity import Entity
from cortops.words.evidence import Verdict
from cortops.words.question import Answer, NoAnswer, Reply, Silence

PROCESS = running(Entity("router", "r1"), "r1", "h1", "ops")


def no_answer(silence: Silence) -> NoAnswer:
    return NoAnswer(question="q", at=1.0, elapsed_s=1.0, silence=silence, why="no answer")


@pytest.mark.parametrize("silence", list(Silence))
def test_only_a_refusal_is_certain(silence: Silence) -> None:
    assert silent(no_answer(silence)).certain == (silence is Silence.REFUSED)


def test_a_refusal_says_nothing_certain_of_another() -> None:
    found = answered_by({"q": no_answer(Silence.REFUSED)}, "q", "the gateway")
    assert isinstance(found, Verdict) and not found.certain
    direct = reply_of({"q": no_answer(Silence.REFUSED)}, "q")
    assert isinstance(direct, Verdict) and direct.certain


@pytest.mark.parametrize(
    ("row", "status", "outcome", "certain"),
    [
        ("r1 RUNNING 7 9", 0, "ok", False),
        ("r1 STARTING 7 0", 0, "bad", False),  # it has a process
        ("r1 EXITED 0 0", 0, "bad", True),
        ("r1 FATAL 0 0", 0, "bad", True),
        ("r2 RUNNING 8 9", 0, "bad", True),
        ("", 3, "bad", True),
        ("it timed out", 1, "inconclusive", False),
    ],
)
def test_what_the_service_manager_says_is_certain(row: str, status: int, outcome: str, certain: bool) -> None:
    replies: dict[str, Reply] = {"services:h1": Answer(question="services:h1", at=1.0, elapsed_s=0.1, status=status, body=row.encode())}
    found = PROCESS.judge(replies, 1.0)
    assert (found.outcome, found.certain) == (outcome, certain)
