"""The portal is asked for its health, and its hostname for a refusal that only it gives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.surfaces.portal.test_render import ENV, HOSTNAME, SITE

from cortops.surfaces.portal.checks import HEALTH, checks, questions
from cortops.surfaces.portal.render import PORTAL
from cortops.surfaces.proxy import checks as proxy_checks
from cortops.words.question import Answer, Http, NoAnswer, Reply, Silence

NOW = 1_800_000_000.0


def answer(status: int, body: object = None) -> Answer:
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=json.dumps(body).encode())


def test_what_is_asked() -> None:
    assert [(item.id, item.url) for item in questions(ENV, SITE) if isinstance(item, Http)] == [(HEALTH, "http://127.0.0.1:8700/health")]
    assert [(item.entity, item.name) for item in checks(ENV, SITE)] == [(PORTAL, "process"), (PORTAL, "health")]
    bare = replace(ENV, portal=None)
    assert [*questions(bare, SITE), *checks(bare, SITE)] == []


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (answer(200, {"status": "ok"}), "ok", "well"),
        (answer(503, {"status": "degraded", "why": ["the database keys.db cannot be used"]}), "bad", "keys.db"),
        (NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.REFUSED, why="nobody listens"), "bad", "nobody listens"),
    ],
)
def test_how_it_is(reply: Reply, outcome: str, text: str) -> None:
    (check,) = (item for item in checks(ENV, SITE) if item.name == "health")
    found = check.judge({HEALTH: reply}, NOW)
    assert (found.outcome, text in found.text) == (outcome, True), found


@pytest.mark.parametrize(("status", "outcome"), [(401, "ok"), (200, "bad"), (303, "bad"), (502, "bad")])
def test_its_hostname_leads_to_it(status: int, outcome: str) -> None:
    entities = [item for item in proxy_checks.checks(ENV, SITE) if item.entity.name == HOSTNAME and item.name == "route"]
    (asked,) = (item for item in proxy_checks.questions(ENV, SITE) if item.id == f"route:{HOSTNAME}")
    assert isinstance(asked, Http) and asked.url == f"https://{HOSTNAME}:8443/portal/api-keys"
    found = entities[0].judge({asked.id: answer(status)}, NOW)
    assert found.outcome == outcome and "portal" in found.text
