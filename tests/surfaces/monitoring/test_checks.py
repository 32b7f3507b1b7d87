"""The eye is asked like everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops.surfaces.monitoring.checks import HEALTH, checks, questions
from cortops.words.question import Answer, Http

ENV = example()
SITE = site_of(ENV)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "text"),
    [
        (200, b'{"status":"ok"}', "ok", "asks and answers"),
        (503, b'{"status":"degraded","why":["the last round of questions ended 40 s ago"]}', "bad", "ended 40 s ago"),
    ],
)
def test_its_own_word_is_taken(status: int, body: bytes, outcome: str, text: str) -> None:
    health = next(check for check in checks(ENV, SITE) if check.name == "health")
    found = health.judge({HEALTH: Answer(question=HEALTH, at=0, elapsed_s=0, status=status, body=body)}, 0)
    assert found.outcome == outcome and text in found.text


def test_one_question_on_loopback() -> None:
    (asked,) = questions(ENV, SITE)
    assert isinstance(asked, Http) and asked.url == "http://127.0.0.1:8500/health"


def test_without_a_monitor_nothing_is_asked() -> None:
    bare = replace(ENV, monitor=None)
    assert (list(questions(bare, SITE)), list(checks(bare, SITE))) == ([], [])
