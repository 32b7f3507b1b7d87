"""The portal for programs: keys and usage of the caller's own organisation, and nothing of any other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from portal_rig import DAY_S, HOST, Stage, on_files, row, stage

from cortops.programs.portal.desk import OVERLAP_S
from cortops.programs.portal.incoming import BODY_MAX_KIB
from cortops.protocol import keys

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql

KEYS, USAGE = "/portal/api-keys", "/portal/usage-summary"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for tests that leave nothing which another one sees."""
    found = on_files(tmp_path_factory.mktemp("portal"))
    yield found
    found.books.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stage]:
    """One of the test's own."""
    found = on_files(tmp_path)
    yield found
    found.books.close()


def code(answer: Any) -> tuple[int, str]:
    """Status and code; every refusal has the one shape and the request's id."""
    body = answer.json()
    assert set(body) == {"error", "request_id"} and {"message", "type", "code", "param"} <= set(body["error"]), body
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["error"]["code"]


def works_on(found: Stage) -> None:
    """Make, list, rotate, revoke, count: what the suite of a store must pass."""
    api = found.api()
    made = api.post(KEYS, json={"name": "job", "scopes": ["model:small"], "expires_in_days": 30, "limits": {"requests_per_min": 60}})
    assert made.status_code == 201, made.text
    key = made.json()
    assert re.fullmatch(r"ck_lab_[0-9a-f]{48}", key["key"])
    assert (key["scopes"], key["limits"], key["expires_at"]) == (["model:small"], {"requests_per_min": 60}, found.clock.now() + 30 * DAY_S)
    listed = api.get(KEYS)
    assert key["key"] not in listed.text and "hash" not in listed.text
    assert {item["name"] for item in listed.json()["data"]} == {"job", "person of acme"}
    newer = api.post(f"{KEYS}/{key['id']}/rotate").json()
    assert (newer["replaces"], newer["name"], newer["limits"]) == (key["id"], "job", key["limits"]) and newer["key"] != key["key"]
    assert api.get(f"{KEYS}/{key['id']}").json()["expires_at"] == found.clock.now() + OVERLAP_S
    assert api.delete(f"{KEYS}/{newer['id']}").json()["state"] == "taken back"
    assert code(api.post(f"{KEYS}/{newer['id']}/rotate")) == (409, "key_not_valid")
    now = found.clock.now()
    issued = keys.IssuedKey(key="", row=found.acme.row)
    found.spend(
        row("1", issued, now),
        row("2", issued, now, status="failed", model="large"),
        row("3", issued, now - DAY_S, status="client_gone"),
        row("4", issued, now - 40 * DAY_S),
        row("5", found.other, now, prompt_tokens=999),
    )
    summary = api.get(USAGE).json()
    assert summary["total"] == {"requests": 3, "errors": 1, "prompt_tokens": 30, "completion_tokens": 15}
    assert [(item["day"], item["model"], item["requests"], item["errors"]) for item in summary["data"]] == [
        ("2027-01-14", "small", 1, 0),
        ("2027-01-15", "large", 1, 1),
        ("2027-01-15", "small", 1, 0),
    ]
    assert api.get(USAGE, params={"days": 1}).json()["total"]["requests"] == 2
    assert api.get(USAGE, params={"days": 60}).json()["total"]["requests"] == 4


def test_keys_and_usage_on_files(own: Stage) -> None:
    works_on(own)


@pytest.mark.real
def test_keys_and_usage_on_postgresql(postgresql: Postgresql) -> None:
    found = stage(*[postgresql.create("portal")] * 2)
    try:
        works_on(found)
    finally:
        found.books.close()


def test_a_made_key_is_of_the_makers_organisation(own: Stage) -> None:
    made = own.api().post(KEYS, json={"name": "job"}).json()
    kept = own.books.key(made["id"])
    assert kept is not None and (kept.organisation, kept.scopes) == ("acme", ())
    assert own.books.verify(made["key"], now=own.clock.now()) == kept


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "x" * 201}, "name"),
        ({}, "name"),
        ({"name": "a", "organisation": "other"}, "organisation"),
        ({"name": "a", "scopes": ["model:none"]}, "Known: family:completion, model:large, model:small"),
        ({"name": "a", "scopes": ["anything"]}, "no scope"),
        ({"name": "a", "scopes": ["model:small"] * 65}, "length"),
        ({"name": "a", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "a", "expires_in_days": 1e9}, "expires_in_days"),
        ({"name": "a", "limits": {"requests_per_min": 601}}, "above the 600 of your organisation"),
        ({"name": "a", "limits": {"requests_per_min": 0}}, ">= 1"),
        ({"name": "a", "limits": {"requests_per_day": 1}}, "requests_per_day"),
        ([], "object"),
    ],
)
def test_what_no_key_may_be(shared: Stage, body: Any, says: str) -> None:
    answer = shared.api().post(KEYS, json=body)
    assert code(answer) == (400, "invalid_body")
    told = answer.json()["error"]
    assert says in f"{told['message']} {told['param']}"


def test_a_body_that_is_none(shared: Stage) -> None:
    api = shared.api()
    assert code(api.post(KEYS, content=b"{")) == (400, "invalid_json")
    assert code(api.post(KEYS, content=b"[" * 20_000))[0] == 400
    assert code(api.post(KEYS, content=b'{"name": "\xff"}')) == (400, "invalid_json")
    assert code(api.post(KEYS, content=b"x" * (BODY_MAX_KIB * 1024 + 1))) == (413, "body_too_large")
    assert code(api.get(f"{KEYS}/{'x' * 9000}")) == (404, "key_not_found")


def test_only_the_operator_lets_people_in(shared: Stage) -> None:
    api = shared.api()
    assert code(api.post(KEYS, json={"name": "a", "scopes": ["portal"]})) == (403, "operator_only")
    assert code(api.post(f"{KEYS}/{shared.acme.row.id}/rotate")) == (403, "operator_only")


def test_nobody_gives_more_than_their_own_key_has(own: Stage) -> None:
    api = own.api(own.issue("narrow", scopes=("portal", "model:small")))
    for scopes in ([], ["model:large"], ["model:small", "model:large"], ["family:completion"]):
        assert code(api.post(KEYS, json={"name": "a", "scopes": scopes})) == (403, "scope_missing")
    assert api.post(KEYS, json={"name": "a", "scopes": ["model:small"]}).status_code == 201


def test_a_key_of_another_organisation_does_not_exist(own: Stage) -> None:
    theirs = own.issue("theirs", "other")
    nobody = own.issue("of nobody", "")
    api = own.api()
    for id in (theirs.row.id, nobody.row.id, own.other.row.id, "key_0"):
        answers = [api.get(f"{KEYS}/{id}"), api.delete(f"{KEYS}/{id}"), api.post(f"{KEYS}/{id}/rotate"), api.post(f"{KEYS}/{id}/revoke")]
        assert {code(answer) for answer in answers} == {(404, "key_not_found")}
    assert all(own.books.verify(key.key, now=own.clock.now()) for key in (theirs, nobody, own.other))
    assert theirs.row.id not in api.get(KEYS).text


def test_who_may_not_come_in(own: Stage) -> None:
    plain, homeless = own.issue("job"), own.issue("stray", "", scopes=("portal",))
    gone = own.issue("old", scopes=("portal",), expires_at=own.clock.now() + 5)
    own.wait(6)
    assert code(own.api(plain).get(KEYS)) == (403, "scope_missing")
    assert code(own.api(homeless).get(KEYS)) == (403, "scope_missing")
    assert code(own.api(gone).get(KEYS)) == (401, "invalid_api_key")
    for headers in ({}, {"authorization": ""}, {"authorization": "Basic eA=="}, {"authorization": "Bearer " + "x" * 300}):
        for method, path in (("GET", KEYS), ("POST", KEYS), ("GET", USAGE), ("DELETE", f"{KEYS}/key_1")):
            answer = own.client(**headers).request(method, path)
            assert code(answer) == (401, "invalid_api_key") and answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_is_out_at_once(own: Stage) -> None:
    api = own.api()
    assert api.delete(f"{KEYS}/{own.acme.row.id}").status_code == 200
    assert code(api.get(KEYS)) == (401, "invalid_api_key")


def test_guesses_are_counted_by_address(own: Stage) -> None:
    wrong = own.client(authorization="Bearer ck_lab_wrong")
    for _ in range(100):
        assert wrong.get(KEYS, headers={"x-forwarded-for": "9.9.9.9, 2001:db8::1"}).status_code == 401
    answer = own.api().get(KEYS, headers={"x-forwarded-for": "2001:db8::2"})
    assert code(answer) == (429, "too_many_attempts") and int(answer.headers["retry-after"]) <= 601
    assert own.api().get(KEYS, headers={"x-forwarded-for": "2001:db9::1"}).status_code == 200
    own.wait(601)
    assert own.api().get(KEYS, headers={"x-forwarded-for": "2001:db8::2"}).status_code == 200


def test_a_store_out_of_reach_is_its_own_error(own: Stage) -> None:
    api = own.api()
    assert api.get("/health").json() == {"status": "ok"}
    Path(own.config.usage).unlink()
    assert code(api.get(USAGE)) == (503, "usage_unavailable")
    Path(own.config.keys).rename(own.config.keys + ".away")
    answer = api.get(KEYS)
    assert code(answer) == (503, "key_store_unavailable") and answer.headers["retry-after"] == "5"
    assert api.get("/health").status_code == 503 and "keys.db" in api.get("/health").json()["why"][0]
    Path(own.config.keys + ".away").rename(own.config.keys)
    assert api.get(KEYS).status_code == 200 and api.get("/health").status_code == 200


def test_every_action_is_in_the_log_and_no_key_is(own: Stage) -> None:
    api = own.client(authorization=f"Bearer {own.acme.key}", **{"x-forwarded-for": "192.0.2.7"})
    made = api.post(KEYS, json={"name": "job"}).json()
    api.post(KEYS, json={"name": "job", "scopes": ["portal"]})
    api.delete(f"{KEYS}/{own.other.row.id}")
    told = [(line["action"], line["by"], line["source"], line["outcome"], line.get("key", "")) for line in own.audit()]
    me = own.acme.row.id
    assert told == [
        ("key_created", me, "192.0.2.7", "done", made["id"]),
        ("key_created", me, "192.0.2.7", "operator_only", ""),
        ("key_revoked", me, "192.0.2.7", "key_not_found", own.other.row.id),
    ]
    log = own.out.getvalue().decode()
    assert made["key"] not in log and own.acme.key not in log


@pytest.mark.parametrize("days", ["0", "93", "-1", "x", "٣", "9" * 50])
def test_days_are_a_few(shared: Stage, days: str) -> None:
    assert code(shared.api().get(USAGE, params={"days": days})) == (400, "invalid_body")


@pytest.mark.parametrize("host", ["evil.example", "", f"{HOST}.evil.example", "a b"])
def test_a_name_of_others_gets_nothing(shared: Stage, host: str) -> None:
    assert code(shared.api().get(KEYS, headers={"host": host})) == (421, "wrong_host")


def test_a_request_keeps_its_id_where_it_is_harmless(shared: Stage) -> None:
    for told, kept in (("batch-7:1", True), ("x" * 65, False), ("<b>", False), ("", False)):
        assert (shared.api().get(KEYS, headers={"x-request-id": told}).headers["x-request-id"] == told) == kept


def test_unknown_paths_and_methods(shared: Stage) -> None:
    api = shared.api()
    assert code(api.get("/portal/nothing")) == (404, "not_found")
    answer = api.put(KEYS)
    assert code(answer) == (405, "method_not_allowed") and "POST" in answer.headers["allow"]
    assert code(api.get("/portal/static/..%2fapp.py")) == (404, "not_found")


def test_metrics_count_answers(own: Stage) -> None:
    own.api().get(KEYS)
    own.client().get(KEYS)
    page = own.client().get("/metrics").text
    assert 'cortops_requests_total{status="200"} 1.0' in page and 'cortops_requests_total{status="401"} 1.0' in page
    assert "cortops_up 1.0" in page and "process_resident_memory_bytes" in page


def test_what_nobody_expected_is_told_in_the_one_shape(own: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_organisation: str) -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(own.books, "keys_of", broken)
    answer = own.api().get(KEYS)
    assert code(answer) == (500, "internal_error") and "content-security-policy" in answer.headers
    assert answer.headers["x-request-id"] in own.out.getvalue().decode()
