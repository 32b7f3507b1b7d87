"""Every process of the gateway is asked and judged by itself."""

from __future__ import annotations

import json

import pytest
from tests.surfaces.stage import example, site_of

from cortops.environment.graph import gateway_entities
from cortops.surfaces.gateway.checks import checks, health, questions
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Answer, Http, NoAnswer, Reply, Silence

ENV = example()
SITE = site_of(ENV)
NOW = 1_800_000_000.0
PAGE = {"name": "gateway-2", "status": "ok", "own": [], "pools": {}}


def check(process: str, name: str = "health") -> Check:
    return next(item for item in checks(ENV, SITE) if item.entity.name == process and item.name == name)


def answer(body: object, status: int = 200) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=text.encode())


def said(reply: Reply, process: str = "gateway-2") -> Verdict:
    return check(process).judge({health(process): reply}, NOW)


def test_each_process_is_asked_on_its_own_port() -> None:
    assert [(item.id, item.url) for item in questions(ENV, SITE) if isinstance(item, Http)] == [
        ("gateway:health:gateway-1", "http://127.0.0.1:8400/health"),
        ("gateway:health:gateway-2", "http://127.0.0.1:8401/health"),
    ]
    assert [(str(item.entity), item.name, item.asks[-1]) for item in checks(ENV, SITE)] == [
        ("gateway/gateway-1", "process", "services:here"),
        ("gateway/gateway-1", "health", "gateway:health:gateway-1"),
        ("gateway/gateway-2", "process", "services:here"),
        ("gateway/gateway-2", "health", "gateway:health:gateway-2"),
    ]
    assert {item.entity for item in checks(ENV, SITE)} == set(gateway_entities(ENV))


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (answer(PAGE), "ok", "answers, 10 ms"),
        (answer({**PAGE, "status": "degraded", "why": ["pool p has no member"]}, 503), "ok", "answers"),
        (answer({**PAGE, "own": ["the key store cannot be used"]}, 503), "bad", "key store"),
        (answer({**PAGE, "name": "gateway-1"}), "bad", "gateway-1 answers on its port"),
        (answer("<html>"), "bad", "no health page"),
        (answer("", 502), "bad", "answers 502"),
        (NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.REFUSED, why="nobody listens"), "bad", "nobody listens"),
        (NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.LOST, why="our own network"), "inconclusive", "our own network"),
    ],
)
def test_what_a_process_says_of_itself(reply: Reply, outcome: str, text: str) -> None:
    found = said(reply)
    assert (found.outcome, text in found.text) == (outcome, True), found


def test_one_process_down_says_nothing_of_the_other() -> None:
    replies = {health("gateway-2"): answer(PAGE)}
    assert check("gateway-2").judge(replies, NOW).outcome == "ok"
    assert check("gateway-1").judge(replies, NOW).outcome == "inconclusive"
