"""Every check as a table: what was answered, and what that says. Unknown is not down."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.contracts.artifact import load
from cortops.environment import graph
from cortops.surfaces.chain import checks as chain
from cortops.surfaces.fleet import checks as fleet
from cortops.surfaces.gateway import checks as gateway
from cortops.surfaces.nodes import checks as nodes
from cortops.surfaces.pools import checks as pools
from cortops.surfaces.proxy import checks as proxy
from cortops.surfaces.readings import number_of
from cortops.surfaces.services import checks as services
from cortops.surfaces.services import facts
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import REFUSED, REVERTED, Answer, JSONValue, NoAnswer, Reply, Shell, Silence

ENV = example()
SITE = site_of(ENV)
CHECKS = surfaces.checks(ENV, SITE)
NOW = 1_800_000_000.0


def check(entity: str, name: str) -> Check:
    return next(item for item in CHECKS if str(item.entity) == entity and item.name == name)


def verdict(item: Check, reply: Reply) -> Verdict:
    return item.judge({item.asks[0]: reply}, NOW)


def answer(body: object, status: int = 200) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=text.encode())


def word(value: int) -> Answer:
    return answer(f"0x{value:064x}" if value >= 0 else "0x", 0)


def head(age_s: int) -> Answer:
    return answer({"number": "0x10", "timestamp": hex(int(NOW) - age_s)}, 0)


CASES = [
    ("host/here", "disk", answer("/dev/vda 100 50 4000 10% /", 0), "ok", "4000 MiB free"),
    ("host/here", "disk", answer("/dev/vda 100 50 40 99% /", 0), "bad", "40 MiB free, 512 needed"),
    ("host/here", "disk", answer("df: no such file", 1), "inconclusive", "df said"),
    ("rpc/chain-1", "chain id", answer('"0x7a6a"', 0), "ok", "chain 31338"),
    ("rpc/chain-1", "chain id", answer('"0x1"', 0), "bad", "says it is chain 1, declared is 31338"),
    ("rpc/chain-1", "chain id", answer("no such method", REFUSED), "inconclusive", "could not be read: no such method"),
    ("rpc/chain-1", "chain id", answer("null", 0), "inconclusive", "could not be read"),
    ("rpc/chain-1", "head age", answer({"number": "0x10", "timestamp": "0xzz"}, 0), "inconclusive", "could not be read"),
    ("rpc/chain-1", "head age", answer("too many requests", REFUSED), "inconclusive", "could not be read"),
    ("rpc/chain-1", "head age", head(3), "ok", "block 16, 3 s old"),
    ("rpc/chain-1", "head age", head(90), "bad", "90 s old"),
    ("rpc/chain-1", "head age", answer("null", 0), "inconclusive", "could not be read"),
    ("contract/session", "code", answer(json.dumps(load("session").runtime_code), 0), "ok", "the artifact's"),
    ("contract/session", "code", answer('"0x"', 0), "bad", "no code at its address"),
    ("contract/session", "code", answer('"0x6001"', 0), "bad", "differs from the artifact"),
    ("contract/session", "code", answer("too many requests", REFUSED), "inconclusive", "could not be asked: too many"),
    ("session/1", "active", word(1), "ok", "active on chain"),
    ("session/1", "active", word(0), "bad", "not active"),
    ("session/1", "active", answer("no such session", REVERTED), "bad", "refuses to answer"),
    ("session/1", "active", answer("too many requests", REFUSED), "inconclusive", "could not be asked: too many"),
    ("miner/miner-1", "registration", word(1), "ok", "registered on chain"),
    ("miner/miner-1", "registration", word(0), "bad", "not registered"),
    ("miner/miner-1", "registration", word(-1), "bad", "not registered"),
    ("miner/miner-1", "registration", answer("panic", REVERTED), "bad", "registry refuses to answer: panic"),
    ("miner/miner-1", "registration", answer("too many requests", REFUSED), "inconclusive", "could not be asked: too many"),
    ("engine/engine-1", "health", answer({"status": "ok"}), "ok", "is well"),
    (
        "router/router-1",
        "health",
        answer({"status": "degraded", "why": ["no head", "no miner"]}, 503),
        "bad",
        "answers 503: no head; no miner",
    ),
    ("router/router-1", "health", answer("<html>bad gateway</html>", 502), "bad", "answers 502: <html>bad"),
    ("proxy/gateway.localhost", "certificate", answer({"not_after": NOW + 90 * 86_400}, 0), "ok", "90 more days"),
    ("proxy/gateway.localhost", "certificate", answer({"not_after": NOW + 3 * 86_400}, 0), "bad", "3 more days"),
    ("proxy/gateway.localhost", "route", answer({}, 401), "ok", "asks for a key"),
    ("proxy/gateway.localhost", "route", answer({}, 502), "bad", "answers 502"),
    ("router/router-1", "process", answer("router-1 RUNNING 12 60\n", 0), "ok", "pid 12 for 60 s"),
    ("router/router-1", "process", answer("router-1 FATAL 0 0 cannot run\n", 0), "bad", "fatal on here: cannot run"),
    ("router/router-1", "process", answer("", facts.NO_MANAGER), "bad", "does not run"),
    ("router/router-1", "process", answer("it timed out", 1), "inconclusive", "said: it timed out"),
    ("router/router-1", "process", answer("other RUNNING 1 1\n", 0), "bad", "knows no service router-1"),
]


@pytest.mark.parametrize(("entity", "name", "reply", "outcome", "text"), CASES)
def test_what_an_answer_says(entity: str, name: str, reply: Answer, outcome: str, text: str) -> None:
    found = verdict(check(entity, name), reply)
    assert (found.outcome, text in found.text) == (outcome, True), found


@pytest.mark.parametrize("item", CHECKS, ids=lambda item: f"{item.entity} {item.name}")
def test_when_our_own_eyes_fail_nobody_is_accused(item: Check) -> None:
    lost = NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.LOST, why="the host is lost")
    assert verdict(item, lost).outcome == "inconclusive"
    assert item.judge({}, NOW).outcome == "inconclusive"


@pytest.mark.parametrize("silence", [Silence.REFUSED, Silence.RESET, Silence.TIMEOUT, Silence.UNTRUSTED])
@pytest.mark.parametrize("item", CHECKS, ids=lambda item: f"{item.entity} {item.name}")
def test_who_keeps_silent_is_ill_and_who_was_asked_about_is_unknown(item: Check, silence: Silence) -> None:
    silent = NoAnswer(question="q", at=NOW, elapsed_s=1, silence=silence, why="no answer")
    about_another = item.name in (
        "process",
        "registration",
        "code",
        "linked",
        "active",
        "served",
        "whole",
        "drained",
        "resolves",
        "renewal",
    )
    found = verdict(item, silent)
    assert found.outcome == ("inconclusive" if about_another else "bad")
    assert "no answer" in found.text


@pytest.mark.parametrize("silence", [Silence.LOST, Silence.UNRESOLVED])
@pytest.mark.parametrize("item", CHECKS, ids=lambda item: f"{item.entity} {item.name}")
def test_what_may_be_our_own_eyes_accuses_nobody(item: Check, silence: Silence) -> None:
    silent = NoAnswer(question="q", at=NOW, elapsed_s=1, silence=silence, why="no answer")
    assert verdict(item, silent).outcome == "inconclusive"


# A certificate's answer is the probe's own, never another's.
@pytest.mark.parametrize(
    "item", [item for item in CHECKS if item.name not in ("certificate", "renewal")], ids=lambda item: f"{item.entity} {item.name}"
)
@pytest.mark.parametrize("body", ["", "null", "[]", "7", "0x", '"0xzz"', "{", "\x00", "ok " * 1000])
def test_no_answer_breaks_a_check(item: Check, body: str) -> None:
    for status in (0, REFUSED, REVERTED, 200, 500):
        assert len(verdict(item, answer(body, status)).text) < 300


def test_every_entity_of_the_graph_is_checked_and_no_other() -> None:
    assert {item.entity for item in CHECKS} == set(graph.entities(ENV))


def test_every_check_asks_something_that_is_asked_and_has_an_owner() -> None:
    asked = {question.id for question in surfaces.questions(ENV, SITE)}
    for item in CHECKS:
        assert set(item.asks) <= asked
        assert item.owner == "you@localhost"


def test_every_surface_with_checks_gives_some() -> None:
    for one in (fleet, chain, nodes, pools, gateway, proxy):
        assert tuple(one.checks(ENV, SITE))
    assert services.running(Entity("router", "r"), "r", "here", "ops").asks == ("services:here",)


def test_the_disk_question_looks_at_the_nearest_folder_that_exists_and_quotes_it() -> None:
    odd = replace(SITE, hosts={"here": replace(SITE.hosts["here"], root="/srv/it's $HOME")})
    (question,) = fleet.questions(ENV, odd)
    assert isinstance(question, Shell) and question.script.startswith("d='/srv/it'\"'\"'s $HOME'; ")


@pytest.mark.parametrize(("value", "number"), [("0x10", 16), ("0x", None), ("16", None), ("0xg", None), (16, None), (None, None)])
def test_a_quantity_is_hexadecimal_text_and_nothing_else(value: JSONValue, number: int | None) -> None:
    assert number_of(value) == number


def test_rows_of_a_service_manager_are_read_and_other_lines_passed_over() -> None:
    found = facts.read("a RUNNING 12 60\nunix:///x refused\nb FATAL 0 0 Exited too quickly\nc running 1 1\n")
    assert {name: (row.state, row.pid, row.uptime_s, row.rest) for name, row in found.items()} == {
        "a": ("RUNNING", 12, 60, ""),
        "b": ("FATAL", 0, 0, "Exited too quickly"),
    }
