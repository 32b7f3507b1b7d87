"""A hostname that resolves, elsewhere, not at all, or of which nobody could say."""

from __future__ import annotations

import json

import pytest
from tests.surfaces.stage import example, site_of

from cortops.environment import graph
from cortops.surfaces.dns import checks as dns
from cortops.words.evidence import Verdict
from cortops.words.question import Answer, Dns, NoAnswer, Reply, Silence

ENV = example()
SITE = site_of(ENV)
CHECKS = tuple(dns.checks(ENV, SITE))


def verdict(reply: Reply) -> Verdict:
    return CHECKS[0].judge({CHECKS[0].asks[0]: reply}, 0)


def resolved(*addresses: str, by: str = "resolver") -> Answer:
    return answer(json.dumps({"addresses": addresses, "by": by}))


def answer(body: str) -> Answer:
    return Answer(question="q", at=0, elapsed_s=0, status=0, body=body.encode())


def test_every_hostname_is_asked_about_once() -> None:
    asked = list(dns.questions(ENV, SITE))
    assert [item.name for item in asked if isinstance(item, Dns)] == list(ENV.proxy)
    assert [item.asks for item in CHECKS] == [(item.id,) for item in asked]
    assert {item.entity for item in CHECKS} == {entity for entity in graph.entities(ENV) if entity.kind == "dns"}
    assert {item.owner for item in CHECKS} == {"you@localhost"}


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (resolved("127.0.0.1", by="rfc6761"), "ok", "127.0.0.1, loopback by RFC 6761"),
        (resolved("127.0.0.1"), "ok", "127.0.0.1"),
        (resolved("::1", "127.0.0.1"), "ok", "::1, 127.0.0.1"),
        (resolved("127.0.1.1"), "ok", "127.0.1.1"),
        (resolved("203.0.113.7"), "bad", "resolves to 203.0.113.7, and here is this machine (127.0.0.1)"),
        (resolved("127.0.0.1", "203.0.113.7"), "bad", "resolves to 127.0.0.1, 203.0.113.7, and here is this machine (127.0.0.1)"),
        (resolved(*(f"203.0.113.{n}" for n in range(9))), "bad", "203.0.113.3, ..., and"),
        (resolved("nonsense"), "bad", "resolves to nonsense"),
        (resolved(), "bad", "does not resolve"),
        (answer("{"), "inconclusive", "could not be read"),
        (answer('{"addresses": [7]}'), "inconclusive", "could not be read"),
    ],
)
def test_what_an_answer_says(reply: Answer, outcome: str, text: str) -> None:
    found = verdict(reply)
    assert (found.outcome, text in found.text) == (outcome, True), found


@pytest.mark.parametrize("silence", Silence)
def test_a_resolver_that_fails_says_nothing_of_the_name(silence: Silence) -> None:
    found = verdict(NoAnswer(question="q", at=0, elapsed_s=0, silence=silence, why="SERVFAIL"))
    assert (found.outcome, found.text) == ("inconclusive", "the resolver could not be asked: SERVFAIL")
