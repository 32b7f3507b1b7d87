"""The portal for people: signing in, sessions that end when they should, forms that only their own page can send, and what pages show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from portal_rig import DAY_S, PAGE, URL, Browser, Stage, on_files, row

from cortops.programs.portal.attempts import ADDRESSES_MAX, Attempts, Spent, network_of
from cortops.programs.portal.session import COOKIE
from cortops.protocol import keys

KEYS, USAGE, DOCS, SIGN_IN = "/portal/api-keys", "/portal/usage", "/portal/docs", "/portal/sign-in"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
KEY = re.compile(r'<code class="key" id="new-key">(ck_lab_[0-9a-f]{48})</code>')


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stage]:
    found = on_files(tmp_path)
    yield found
    found.books.close()


def row_of(page: str, name: str) -> str:
    """The table's row of a key."""
    return next(part for part in page.split("<tr>") if f'<th scope="row">{name}</th>' in part)


def test_a_person_signs_in_makes_a_key_and_revokes_it(own: Stage) -> None:
    me = own.person()
    made = me.send(KEYS, me.get(KEYS).text, name="night job", scope="model:small", requests_per_min="60", expires_in_days="30")
    key = KEY.search(made.text)
    assert made.status_code == 200 and key is not None
    found = own.books.verify(key[1], now=own.clock.now())
    assert found is not None and (found.name, found.scopes, found.organisation) == ("night job", ("model:small",), "acme")
    page = me.get(KEYS).text
    assert key[1] not in page and "ck_" not in page
    for told in ("1 of 1", "2 of 2 keys are valid", "60 requests/min", "model:small", "in 30 d", "the 600 that all keys share"):
        assert (told in page) == (told != "1 of 1"), told
    newer = me.send(f"{KEYS}/{found.id}/rotate", page)
    second = KEY.search(newer.text)
    assert second is not None and second[1] != key[1] and "works 24 h longer" in newer.text
    gone = me.send(f"{KEYS}/{found.id}/revoke", me.get(KEYS).text)
    assert "night job is revoked. The gateway refuses it within 2 s." in gone.text
    assert own.books.verify(key[1], now=own.clock.now()) is None
    assert [line["action"] for line in own.audit()] == ["sign_in", "key_created", "key_rotated", "key_revoked"]


def test_a_page_that_is_loaded_again_makes_no_second_key(own: Stage) -> None:
    me = own.person()
    page = me.get(KEYS).text
    me.send(KEYS, page, name="job")
    again = me.send(KEYS, page, name="job")
    assert (again.status_code, KEY.search(again.text)) == (409, None) and "was sent already" in again.text
    assert [item.name for item in own.books.keys_of("acme")].count("job") == 1


def test_the_cookie_is_for_this_host_and_no_script(own: Stage) -> None:
    browser = Browser(own.client(**PAGE))
    told = browser.sign_in(own.acme.key).headers["set-cookie"]
    assert told.startswith("__Host-portal=") and own.acme.key not in told
    attributes = {part.strip().lower() for part in told.split(";")[1:]}
    assert {"httponly", "secure", "samesite=strict", "path=/", "max-age=43200"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)


def test_a_visitor_sees_the_sign_in_page_only(own: Stage) -> None:
    visitor = Browser(own.client(**PAGE))
    for path in ("/", "/portal", KEYS, USAGE, DOCS):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) in {(303, SIGN_IN), (303, KEYS)}
    assert own.client().get(KEYS).status_code == 401, "a program is told, not led"
    answer = visitor.client.post(KEYS, data={"name": "x"}, headers={"origin": URL})
    assert answer.status_code == 401 and "session has ended" in answer.text


def test_an_id_that_somebody_else_knows_is_worth_nothing(own: Stage) -> None:
    """Fixation: the attacker's own visit, given to the victim, is not the session that the victim signs in to."""
    attacker, victim = Browser(own.client(**PAGE)), Browser(own.client(**PAGE))
    attacker.get(SIGN_IN)
    planted = attacker.cookie
    victim.client.cookies.set(COOKIE, planted, domain="portal.lab.example", path="/")
    assert victim.sign_in(own.acme.key).status_code == 303
    assert victim.cookie != planted
    assert attacker.get(KEYS).status_code == 303
    assert planted.partition(".")[0] != victim.cookie.partition(".")[0]


def test_a_session_ends_with_its_time_its_key_or_its_person(own: Stage) -> None:
    timed, keyed, left = own.person(), own.person(own.other), own.person()
    page = left.get(KEYS).text
    kept = left.cookie
    assert left.send("/portal/sign-out", page).headers["location"] == SIGN_IN
    left.client.cookies.set(COOKIE, kept, domain="portal.lab.example", path="/")
    assert left.get(KEYS).status_code == 303, "a cookie that was copied before ends too"
    database = keys.open_keys(own.config.keys)
    keys.revoke(database, own.other.row.id, now=own.clock.now())
    database.close()
    assert keyed.get(USAGE).status_code == 303
    assert timed.get(USAGE).status_code == 200
    own.wait(12 * 3600 + 1)
    assert timed.get(USAGE).status_code == 303


def test_a_session_does_not_outlive_its_key(own: Stage) -> None:
    short = own.person(own.issue("short", scopes=("portal",), expires_at=own.clock.now() + 60))
    assert short.get(KEYS).status_code == 200
    own.wait(61)
    assert short.get(KEYS).status_code == 303


def test_revoking_the_key_that_one_signed_in_with(own: Stage) -> None:
    me = own.person()
    answer = me.send(f"{KEYS}/{own.acme.row.id}/revoke", me.get(KEYS).text)
    assert "you signed in with it" in answer.text and me.get(KEYS).status_code == 303


@pytest.mark.parametrize("change", ["", "x", "0" * 200, "{}", "other"])
def test_a_cookie_that_we_did_not_make(own: Stage, change: str) -> None:
    me = own.person()
    id, key_id, ends_at, mac = me.cookie.split(".")
    wrong = {"{}": f"{id}.{key_id}.{int(ends_at) + 9}.{mac}", "other": f"{id}.{own.other.row.id}.{ends_at}.{mac}"}.get(change, change)
    thief = Browser(own.client(**PAGE))
    thief.client.cookies.set(COOKIE, wrong, domain="portal.lab.example", path="/")
    assert thief.get(KEYS).status_code == 303
    assert thief.client.get(KEYS, headers={"accept": "*/*"}).status_code == 401


@pytest.mark.parametrize("path", [KEYS, f"{KEYS}/ID/revoke", f"{KEYS}/ID/rotate", "/portal/sign-out"])
def test_forms_of_others_are_refused(own: Stage, path: str) -> None:
    job = own.issue("job")
    me, rival = own.person(), own.person(own.other)
    path = path.replace("ID", job.row.id)
    theirs = re.findall(r'name="token" value="(\w+)"', rival.get(KEYS).text)[0]
    for token in ("", "0" * 64, theirs, "é"):
        answer = me.client.post(path, data={"token": token, "once": "ab", "name": "csrf"}, headers={"origin": URL})
        assert answer.status_code == 403 and "another session" in answer.text
    good = re.findall(r'name="token" value="(\w+)"', me.get(KEYS).text)[0]
    fields = {"token": good, "once": "cd", "name": "csrf"}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}):
        assert me.client.post(path, data=fields, headers=headers).status_code == 403
    assert {item.name for item in own.books.keys_of("acme")} == {"job", "person of acme"}
    assert own.books.verify(job.key, now=own.clock.now()) is not None and me.get(KEYS).status_code == 200


def test_a_session_changes_nothing_without_a_form(own: Stage) -> None:
    me = own.person()
    plain = {"accept": "application/json", "origin": URL}
    assert me.client.post(KEYS, json={"name": "x"}, headers=plain).status_code == 401
    assert me.client.delete(f"{KEYS}/{own.acme.row.id}", headers=plain).status_code == 401
    assert me.client.get("/portal/usage-summary", headers=plain).status_code == 200, "it may read"


def test_sign_in_is_tried_a_few_times_only(own: Stage) -> None:
    browser = Browser(own.client(**PAGE))
    assert [browser.sign_in("ck_lab_wrong").status_code for _ in range(11)] == [401] * 10 + [429]
    answer = browser.sign_in(own.acme.key)
    assert answer.status_code == 429 and "Try again in 601 s" in answer.text and answer.headers["retry-after"] == "601"
    own.wait(601)
    assert browser.sign_in(own.acme.key).status_code == 303


def test_who_may_not_sign_in_is_told_why(own: Stage) -> None:
    browser = Browser(own.client(**PAGE))
    answer = browser.sign_in(own.issue("job").key)
    assert answer.status_code == 403 and "needs the scope portal" in answer.text
    answer = browser.sign_in("x" * 300)
    assert answer.status_code == 401 and "not valid here" in answer.text
    assert "ck_lab" not in answer.text and "xxx" not in answer.text


def test_what_was_typed_stays_when_it_is_refused(own: Stage) -> None:
    me = own.person()
    for fields, told in (
        ({"expires_in_days": "soon"}, "expires_in_days is &#39;soon&#39;, not a number"),
        ({"expires_in_days": "nan"}, "expires_in_days"),
        ({"requests_per_min": "601"}, "above the 600 of your organisation"),
        ({"requests_per_min": "1.5"}, "requests_per_min is &#39;1.5&#39;"),
        ({"scope": "portal"}, "Only whoever runs the gateway"),
    ):
        answer = me.send(KEYS, me.get(KEYS).text, name="my job", **fields)
        assert answer.status_code in (400, 403) and told in answer.text, answer.text
        assert 'name="name" required maxlength="200" autocomplete="off" value="my job"' in answer.text


def test_a_form_that_is_none(own: Stage) -> None:
    me = own.person()
    kind = {"content-type": "application/x-www-form-urlencoded", "origin": URL}
    for body, status in ((b"\xff", 400), (b"&".join([b"a=1"] * 101), 400), (b"name=" + b"x" * 40_000, 413), (b"", 403)):
        assert me.client.post(KEYS, content=body, headers=kind).status_code == status


def test_another_organisation_sees_nothing(own: Stage) -> None:
    me, rival = own.person(), own.person(own.other)
    job = own.issue("acme's job")
    own.spend(row("1", job, own.clock.now(), model="large"))
    page = rival.get(KEYS).text
    assert "job" not in page and job.row.id not in page
    assert "0 requests in 30 days" in rival.get(USAGE).text
    for action in ("revoke", "rotate"):
        answer = rival.send(f"{KEYS}/{job.row.id}/{action}", page)
        assert answer.status_code == 404 and "no key with this id" in answer.text
    assert own.books.verify(job.key, now=own.clock.now()) is not None
    assert "1 request in 30 days" in me.get(USAGE).text


def test_usage_is_shown_in_words_and_bars(own: Stage) -> None:
    me, job, now = own.person(), own.issue("job"), own.clock.now()
    assert "No request yet in these days." in me.get(USAGE).text
    own.spend(*(row(str(number), job, now - (number % 3) * DAY_S, status="failed" if number == 1 else "ok") for number in range(30)))
    page = me.get(USAGE).text
    assert "30 requests in 30 days, 1 failed or refused" in page and "300 tokens in, 150 out" in page
    assert re.search(r'<th scope="row">job</th><td class="figures" data-label="requests">30</td>', page)
    assert "<title>2027-01-15: 10 requests, 150 tokens</title>" in page
    assert "<title>2027-01-14: 10 requests, 1 failed or refused, 150 tokens</title>" in page
    assert page.count('class="day"') == 30
    assert me.get(f"{USAGE}?days=7").text.count('class="day"') == 7
    assert me.get(f"{USAGE}?days=x").status_code == 400


def test_docs_are_of_this_environment(own: Stage) -> None:
    page = own.person().get(DOCS).text
    assert "Your programs ask https://api.lab.example/v1" in page
    assert "curl https://api.lab.example/v1/chat/completions" in page and f"{URL}/portal/usage-summary?days=30" in page.replace(
        "http://", "https://"
    )
    assert "ck_" not in page and "Bearer $KEY" in page and "ops@lab.example" in page


def test_texts_of_others_are_only_texts(tmp_path: Path) -> None:
    found = on_files(tmp_path, owner=XSS, environment="lab")
    job = found.issue(XSS)
    found.spend(row("1", job, found.clock.now(), model=XSS))
    me = found.person()
    pages = [me.get(path).text for path in (KEYS, USAGE, DOCS, f"/portal/{XSS}")]
    pages.append(me.send(KEYS, me.get(KEYS).text, name=XSS, expires_in_days=XSS).text)
    pages.append(me.send(KEYS, me.get(KEYS).text, name=XSS).text)
    pages.append(me.send(f"{KEYS}/{job.row.id}/revoke", me.get(KEYS).text).text)
    pages.append(Browser(found.client(**PAGE)).sign_in(XSS).text)
    assert all("<script>alert" not in page and "<img" not in page for page in pages)
    assert "&lt;script&gt;alert(1)" in pages[0] and "&lt;script&gt;alert(1)" in pages[1]
    found.books.close()


@pytest.mark.parametrize("path", [SIGN_IN, KEYS, USAGE, DOCS, "/portal/nothing", "/portal/static/portal.css"])
def test_every_answer_is_guarded(own: Stage, path: str) -> None:
    answer = own.person().get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "unsafe" not in policy and "script-src" not in policy
    assert answer.headers["x-frame-options"] == "DENY" and re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["x-request-id"])
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script|\sstyle=|<style|\son\w+=|javascript:", answer.text)
        assert all(own.client().get(href).status_code == 200 for href in re.findall(r'href="(/portal/static/[^"]+)"', answer.text))


def test_a_store_out_of_reach_is_said(own: Stage) -> None:
    me = own.person()
    page = me.get(KEYS).text
    Path(own.config.keys).unlink()
    for answer in (me.get(KEYS), me.send(KEYS, page, name="x")):
        assert answer.status_code == 503 and "Keys cannot be read now" in answer.text


def test_attempts_and_what_is_spent_are_bounded() -> None:
    attempts, spent = Attempts(2, 10.0), Spent(2)
    for number in range(ADDRESSES_MAX + 5):
        attempts.failed(f"10.0.{number // 250}.{number % 250}", 1.0)
    attempts.failed("10.0.0.1", 2.0)
    assert attempts.wait_s("10.0.0.1", 2.0) == 0, "its first failure was forgotten for those of others"
    attempts.failed("10.0.0.1", 3.0)
    assert (attempts.wait_s("10.0.0.1", 3.0), attempts.wait_s("10.0.0.1", 12.0)) == (10, 0)
    assert [spent.spend(id) for id in ("a", "a", "b", "c", "a")] == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("x" * 99, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_stands_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
