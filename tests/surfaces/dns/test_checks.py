"""A hostname that resolves, elsewhere, not at all, or of which nobody could say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops.environment import graph
from cortops.environment.dns import Dns as DeclaredDns
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


LEADS = DeclaredDns.model_validate(
    {"zones": {"lab.example": {"zone-file": "x"}}, "hosts": {"here": ["203.0.113.7", "2001:db8::7"], "far": ["edge.example"]}}
)


def judged(body: object, host: str = "here", servers: tuple[str, ...] = ("192.0.2.53",)) -> Verdict:
    """The check of `api.lab.example` that leads to a host."""
    dns_of = LEADS.model_copy(update={"servers": servers, "hosts": {"here": LEADS.hosts[host]}})
    env = replace(ENV, dns=dns_of, proxy={"api.lab.example": ENV.proxy["gateway.localhost"]})
    (check,) = dns.checks(env, SITE)
    return check.judge({check.asks[0]: answer(json.dumps(body))}, 0)


@pytest.mark.parametrize(
    ("host", "body", "outcome", "text"),
    [
        ("here", {"addresses": ["203.0.113.7", "2001:db8:0::7"], "ttl_s": 300}, "ok", "203.0.113.7, 2001:db8:0::7, for 300 s"),
        ("here", {"addresses": ["203.0.113.7"], "ttl_s": 300}, "bad", "resolves to 203.0.113.7, declared is 2001:db8::7, 203.0.113.7"),
        ("here", {"addresses": ["203.0.113.7", "2001:db8::7", "203.0.113.9"]}, "bad", "declared is"),
        ("here", {"addresses": []}, "bad", "does not resolve at 192.0.2.53; declared is 2001:db8::7, 203.0.113.7"),
        ("here", {"addresses": "all"}, "inconclusive", "could not be read"),
        ("far", {"addresses": [], "aliases": ["edge.example"], "ttl_s": 60}, "ok", "leads to edge.example, for 60 s"),
        ("far", {"addresses": ["203.0.113.7"], "aliases": []}, "bad", "resolves to 203.0.113.7, declared is edge.example"),
        ("far", {"addresses": [], "aliases": ["other.example"]}, "bad", "leads to other.example, declared is edge.example"),
    ],
)
def test_a_name_of_ours_leads_just_where_it_is_declared_to(host: str, body: object, outcome: str, text: str) -> None:
    found = judged(body, host)
    assert (found.outcome, text in found.text) == (outcome, True), found


def test_without_servers_this_machines_own_resolver_is_believed() -> None:
    assert judged({"addresses": ["203.0.113.7", "2001:db8::7"], "by": "resolver"}, servers=()).outcome == "ok"
    assert judged({"addresses": ["203.0.113.1"], "by": "resolver"}, "far", servers=()).outcome == "ok"  # of an alias only that it resolves
