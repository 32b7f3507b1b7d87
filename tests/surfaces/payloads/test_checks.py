"""Each check of the payloads, well and ill, and what it cannot tell."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.surfaces.payloads.test_render import BUCKET, ENV, SITE

from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.privacy import list_hash
from cortops.surfaces.payloads.checks import CODE, checks, questions
from cortops.surfaces.payloads.render import allowed_addresses, contract_address
from cortops.words.evidence import Verdict
from cortops.words.question import REVERTED, Answer, Http, NoAnswer, Reply, Rpc, Silence

NOW = 1_800_000_000.0
WELL: dict[str, Any] = {
    "sessions": [3],
    "seed_version": 1,
    "seed_fingerprints": {"1": "aa"},
    "allowlist": "contract",
    "allowlist_hashes": {},
    "storage": "folder",
    "canary": {"code": "", "what": "", "at": NOW - 20, "took_ms": 3.2},
    "sweep_failed": "",
}


def said(body: object, status: int = 200) -> Answer:
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=json.dumps(body).encode())


def silence() -> NoAnswer:
    return NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.REFUSED, why="nobody listens")


def judged(entity: str, name: str, replies: dict[str, Reply], env: Any = ENV) -> Verdict:
    (check,) = (item for item in checks(env, SITE) if (str(item.entity), item.name) == (f"payloads/{entity}", name))
    return check.judge(replies, NOW)


def test_what_is_asked_and_judged() -> None:
    asked = list(questions(ENV, SITE))
    assert [item.url for item in asked if isinstance(item, Http)] == [f"http://127.0.0.1:{port}/health/payloads" for port in (5010, 5011)]
    calls = [item for item in asked if isinstance(item, Rpc)]
    assert [item.id for item in calls] == [CODE, "payloads:list:3"]
    assert calls[1].params[0] == {"to": contract_address(ENV, SITE), "data": calls[1].params[0]["data"]}  # type: ignore[index,call-overload]
    names = [(item.entity.name, item.name) for item in checks(ENV, SITE)]
    of_router = ["canary", "seeds", "allowlist"]
    assert names == [(router, name) for router in ("router-1", "router-2") for name in of_router] + [
        ("allowlist", "code"),
        ("allowlist", "session 3"),
    ]
    assert all(item.owner == "you@localhost" for item in checks(ENV, SITE))
    bare = replace(ENV, payloads=None)
    assert [*questions(bare, SITE), *checks(bare, SITE)] == []
    assert not [item for item in questions(BUCKET, SITE) if isinstance(item, Rpc)]


@pytest.mark.parametrize(
    ("changed", "outcome", "text"),
    [
        ({}, "ok", "3.2 ms"),
        ({"canary": None}, "inconclusive", "no canary"),
        ({"canary": {**WELL["canary"], "at": NOW - 500}}, "bad", "500 s old"),
        ({"canary": {**WELL["canary"], "code": "payload_credential_refused"}}, "bad", "renew the storage's credential"),
        ({"canary": {**WELL["canary"], "code": "payload_storage_unreachable"}}, "bad", "does not answer"),
        ({"canary": {**WELL["canary"], "code": "payload_altered"}}, "bad", "other bytes"),
        ({"canary": {"at": "now"}}, "inconclusive", "could not be read"),
        ({"sweep_failed": "payload_storage_unreachable"}, "bad", "not deleted"),
    ],
)
def test_a_canary_tells_how_the_storage_is(changed: dict[str, Any], outcome: str, text: str) -> None:
    found = judged("router-1", "canary", {"payloads:router-1": said(WELL | changed)})
    assert (found.outcome, text in found.text) == (outcome, True), found


@pytest.mark.parametrize(
    ("changed", "other", "outcome", "text"),
    [
        ({}, {}, "ok", "version 1"),
        ({"seed_version": 2}, {}, "bad", "declared is 1"),
        ({"seed_fingerprints": {}}, {}, "bad", "no seed of version 1"),
        ({}, {"seed_fingerprints": {"1": "bb"}}, "bad", "another seed of version 1 than router-2"),
        ({}, {"seed_fingerprints": {"9": "bb"}}, "ok", "version 1"),
    ],
)
def test_every_router_has_the_declared_seeds(changed: dict[str, Any], other: dict[str, Any], outcome: str, text: str) -> None:
    found = judged("router-1", "seeds", {"payloads:router-1": said(WELL | changed), "payloads:router-2": said(WELL | other)})
    assert (found.outcome, text in found.text) == (outcome, True), found
    alone = judged("router-1", "seeds", {"payloads:router-1": said(WELL), "payloads:router-2": silence()})
    assert alone.outcome == "ok", "a router that is away says nothing of this one's seeds"


@pytest.mark.parametrize(
    ("changed", "outcome", "text"),
    [
        ({}, "ok", "contract decides for 1 private session"),
        ({"sessions": [3, 4]}, "bad", "declared are 3"),
        ({"allowlist": "list"}, "bad", "goes by the list"),
    ],
)
def test_a_router_goes_by_the_declared_list(changed: dict[str, Any], outcome: str, text: str) -> None:
    found = judged("router-2", "allowlist", {"payloads:router-2": said(WELL | changed)})
    assert (found.outcome, text in found.text) == (outcome, True), found


def test_a_list_in_env_files_is_the_declared_one() -> None:
    right = list_hash(allowed_addresses(BUCKET, SITE, 3))
    for digest, outcome in ((right, "ok"), (list_hash([]), "bad"), ("", "bad")):
        told = WELL | {"allowlist": "list", "allowlist_hashes": {"3": digest}}
        assert judged("router-1", "allowlist", {"payloads:router-1": said(told)}, BUCKET).outcome == outcome


@pytest.mark.parametrize("name", ["canary", "seeds", "allowlist"])
def test_what_a_router_does_not_say_is_not_taken_for_anything(name: str) -> None:
    for reply, outcome in ((silence(), "bad"), (said({}), "inconclusive"), (said(WELL, 500), "inconclusive"), (said({}, 404), "bad")):
        assert judged("router-1", name, {"payloads:router-1": reply}).outcome == outcome
    assert judged("router-1", name, {}).outcome == "inconclusive"


def test_the_chain_has_the_declared_list() -> None:
    right = list_hash(allowed_addresses(ENV, SITE, 3))
    for answer, outcome in ((said(right, 0), "ok"), (said(list_hash([]), 0), "bad"), (said("0x", 0), "bad"), (said("no", REVERTED), "bad")):
        assert judged("allowlist", "session 3", {"payloads:list:3": answer}).outcome == outcome
    assert judged("allowlist", "session 3", {"payloads:list:3": silence()}).outcome == "inconclusive", "the chain's silence"
    code = load(PRIVACY).runtime_code
    for found, outcome in ((code, "ok"), ("0x", "bad"), (code[:-2], "bad")):
        assert judged("allowlist", "code", {CODE: said(found, 0)}).outcome == outcome
