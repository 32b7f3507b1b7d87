"""What each hostname's answer says: of nginx, of the way, and of who stands behind it."""

from __future__ import annotations

import json

import pytest
from tests.surfaces.stage import example, site_of

from cortops.surfaces.proxy import checks as proxy
from cortops.words.entity import Entity
from cortops.words.evidence import Verdict
from cortops.words.question import Answer, Http, NoAnswer, Reply, Silence, Tls

ENV = example()
SITE = site_of(ENV)
NOW = 1_800_000_000.0
CHAIN_ID = hex(ENV.network.chain_id)


def verdict(hostname: str, reply: Reply, name: str = "route") -> Verdict:
    (found,) = (item for item in proxy.checks(ENV, SITE) if item.entity == Entity("proxy", hostname) and item.name == name)
    return found.judge({found.asks[0]: reply}, NOW)


def answer(body: object, status: int = 200) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=text.encode())


def test_each_hostname_is_asked_without_a_key_through_its_own_name_and_certificate() -> None:
    asked = tuple(proxy.questions(ENV, SITE))
    routes = {item.id.partition(":")[2]: item for item in asked if isinstance(item, Http)}
    assert {name: (item.method, item.url) for name, item in routes.items()} == {
        "gateway.localhost": ("GET", "https://gateway.localhost:8443/v1/models"),
        "router.localhost": ("GET", "https://router.localhost:8443/api/v1/ping"),
        "portal.localhost": ("GET", "https://portal.localhost:8443/portal/api-keys"),
        "rpc.localhost": ("POST", "https://rpc.localhost:8443/"),
        "console.localhost": ("GET", "https://console.localhost:8443/health"),
    }
    assert json.loads(routes["rpc.localhost"].body)["method"] == "eth_chainId"
    for item in routes.values():
        assert item.connect_to == ("127.0.0.1", 8443), "the name itself is the DNS check's matter"
        assert item.ca_file and "authorization" not in dict(item.headers)
    assert {item.server_name for item in asked if isinstance(item, Tls)} == set(ENV.proxy)


CASES = [
    ("gateway.localhost", answer({}, 401), "ok", "reaches the gateway, which asks for a key"),
    ("gateway.localhost", answer({"data": []}, 200), "bad", "answers 200, not the gateway's 401"),
    ("gateway.localhost", answer({}, 502), "bad", "nginx answers 502: the gateway does not answer"),
    ("gateway.localhost", answer({}, 504), "bad", "nginx answers 504: the gateway does not answer"),
    ("router.localhost", answer({"message": "pong"}), "ok", "reaches a router of pool smollm2"),
    ("router.localhost", answer({}, 401), "bad", "answers 401, not a router's 200"),
    ("router.localhost", answer({}, 502), "bad", "nginx answers 502: pool smollm2 does not answer"),
    ("portal.localhost", answer({}, 401), "ok", "reaches the portal, which asks for a key"),
    ("portal.localhost", answer({}, 502), "bad", "nginx answers 502: the portal does not answer"),
    ("rpc.localhost", answer({"jsonrpc": "2.0", "id": 1, "result": CHAIN_ID}), "ok", f"reaches chain {ENV.network.chain_id}"),
    ("rpc.localhost", answer({"jsonrpc": "2.0", "id": 1, "result": "0x1"}), "bad", "leads to chain 1, declared is"),
    ("rpc.localhost", answer({"jsonrpc": "2.0", "id": 1, "error": {"code": -32005}}), "bad", "answers 200, without an id"),
    ("rpc.localhost", answer({"result": CHAIN_ID}, 500), "bad", "answers 500, without an id"),
    ("rpc.localhost", answer({}, 502), "bad", "nginx answers 502: the chain does not answer"),
    ("console.localhost", answer({"status": "ok"}), "ok", "reaches the console"),
    ("console.localhost", answer({"status": "degraded", "why": ["no round yet"]}, 503), "ok", "reaches the console"),
    ("console.localhost", answer("<html>"), "bad", "answers 200, and it is no health page"),
    ("console.localhost", answer({}, 502), "bad", "nginx answers 502: the console (watch) does not answer"),
]


@pytest.mark.parametrize(("hostname", "reply", "outcome", "text"), CASES)
def test_what_an_answer_says_of_the_way(hostname: str, reply: Answer, outcome: str, text: str) -> None:
    found = verdict(hostname, reply)
    assert (found.outcome, text in found.text) == (outcome, True), found


@pytest.mark.parametrize("hostname", ENV.proxy)
def test_nginx_that_does_not_listen_is_ill_and_our_own_blindness_is_not(hostname: str) -> None:
    for silence, outcome in ((Silence.REFUSED, "bad"), (Silence.TIMEOUT, "bad"), (Silence.LOST, "inconclusive")):
        silent = NoAnswer(question="q", at=NOW, elapsed_s=1, silence=silence, why="no answer")
        assert verdict(hostname, silent).outcome == outcome


@pytest.mark.parametrize(
    ("days", "certificate", "renewal"),
    [(90, "ok", "ok"), (21, "ok", "ok"), (20, "ok", "bad"), (7, "ok", "bad"), (6, "bad", "bad"), (-1, "bad", "bad")],
)
def test_a_certificate_not_renewed_degrades_after_three_weeks_and_is_down_after_one(days: int, certificate: str, renewal: str) -> None:
    asked = answer({"not_after": NOW + days * 86_400}, 0)
    found = verdict("rpc.localhost", asked, "certificate"), verdict("rpc.localhost", asked, "renewal")
    assert [item.outcome for item in found] == [certificate, renewal]
    assert all(f"valid for {days} more days" in item.text for item in found)
    assert {check.name: check.makes for check in proxy.checks(ENV, SITE) if check.asks == ("tls:rpc.localhost",)} == {
        "certificate": "down",
        "renewal": "degraded",
    }
