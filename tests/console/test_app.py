"""The routes, through Starlette's test client: what they answer, and what no answer may do."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from tests.console.console_rig import ROUTER_DOWN, ScriptedView, example, path, picture

from cortops.console.app import console
from cortops.console.board import STREAMS_MAX, TASKS_MAX
from cortops.console.guard import LOOPBACK_NAMES, host_name
from cortops.console.pages import ROWS_MAX
from cortops.console.view import TaskLine
from cortops.contracts.path import Step
from cortops.testing.clock import START, VirtualClock
from cortops.words.entity import Entity
from cortops.words.errors import ChainUnreachable
from cortops.words.state import State

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PAGES = ["/", "/entities/router/router-1", "/tasks/1/7", "/entities/router/nobody", "/nowhere"]


def view_of(env_name: str = "local") -> ScriptedView:
    env = example(env_name)
    view = ScriptedView(env, picture(env, ROUTER_DOWN if env_name == "local" else {}))
    view.newest = tuple(TaskLine(session=1, task=number, state="ended", at=START - number) for number in range(30))
    view.paths[1, 7] = path()
    return view


def client_of(view: ScriptedView, clock: VirtualClock | None = None) -> TestClient:
    return TestClient(console(view, clock or VirtualClock()), base_url="http://127.0.0.1:8500")


@pytest.fixture
def view() -> ScriptedView:
    return view_of()


@pytest.fixture(scope="module")
def client() -> TestClient:
    """One for all that only read; templates are compiled once."""
    return client_of(view_of())


def test_the_first_page_answers_in_order(client: TestClient) -> None:
    page = client.get("/").text
    order = [
        "router/router-1 is down since",
        "The way of a request",
        'id="worst"',
        'id="nodes"',
        'id="pools"',
        'id="tasks"',
        'id="hostnames"',
    ]
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert page.count('aria-live="polite"') == 1


def test_it_names_every_entity_with_word_shape_and_link(client: TestClient) -> None:
    page = client.get("/").text
    for item in picture(example()).entities:
        assert f'data-entity="{item.entity}"' in page
        assert f'href="/entities/{item.entity}"' in page
    assert re.search(r'data-state="down"><span class="mark" aria-hidden="true">■</span> <span class="word">down</span>', page)


def test_tasks_are_listed_and_linked(client: TestClient, view: ScriptedView) -> None:
    assert client.get("/").text.count('href="/tasks/1/') == TASKS_MAX
    view.newest = ChainUnreachable("the chain <does> not answer")
    assert "the chain &lt;does&gt; not answer" in client_of(view).get("/").text


def test_no_pool_no_hostname_no_task_teach() -> None:
    page = client_of(ScriptedView(replace(example("small"), pools={}, proxy={}, gateway=None))).get("/").text
    for text in ("No pool is declared", "No public hostname is declared", "No task yet", "Nothing has been asked yet"):
        assert text in page


def test_an_entity_shows_what_its_state_rests_on(client: TestClient) -> None:
    page = client.get("/entities/router/router-1").text
    for text in ("exited on here: SIGKILL", "you@localhost", "local.yaml:", "health:router-1", "07:59:59 UTC", "session/1", "pool/smollm2"):
        assert text in page
    assert client.get("/entities/router/nobody").status_code == 404


def test_a_task_shows_its_path(client: TestClient) -> None:
    page = client.get("/tasks/1/7").text
    steps = re.findall(r'<th scope="row">(\w+)</th>', page)
    assert steps == ["submitted", "assigned", "acked", "precommitted", "committed", "ended", "validated"]
    assert '<a href="/entities/miner/miner-1">miner-1</a>' in page
    assert f'<code title="0x{"ab" * 20}">0xabababab…</code>' in page
    assert ">804<" in page


@pytest.mark.parametrize("where", ["1/8", "x/7", "1/-7", "1/" + "9" * 5000, "٣/7", "1/7/9"])
def test_a_task_that_is_none(client: TestClient, where: str) -> None:
    assert client.get(f"/tasks/{where}").status_code == 404


def test_a_chain_that_cannot_be_asked_is_not_a_missing_task(view: ScriptedView) -> None:
    async def task(session: int, task: int) -> ChainUnreachable:
        return ChainUnreachable("the RPC endpoint does not answer")

    view.task = task  # type: ignore[assignment]
    answer = client_of(view).get("/tasks/1/7")
    assert (answer.status_code, "the RPC endpoint does not answer" in answer.text) == (502, True)


def test_an_old_picture_says_so_by_itself(view: ScriptedView) -> None:
    clock = VirtualClock(START + 9)
    assert "data-stale" not in client_of(view, clock).get("/").text
    clock = VirtualClock(START + 9.5)
    page = client_of(view, clock).get("/").text
    assert re.search(r"<body [^>]*data-stale>", page)
    assert re.search(r'id="stale" class="banner"><strong>stale since <time class="at">08:00:00 UTC</time>', page)


@pytest.mark.parametrize("where", PAGES)
def test_every_answer_is_guarded(client: TestClient, where: str) -> None:
    headers = client.get(where).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["x-frame-options"], headers["cache-control"]) == ("nosniff", "DENY", "no-store")


@pytest.mark.parametrize("where", PAGES)
def test_no_page_needs_what_the_policy_forbids(client: TestClient, where: str) -> None:
    page = client.get(where).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son\w+=|javascript:", page)
    assert set(re.findall(r'(?:src|href)="([a-z]+:)?//', page)) == set()


@pytest.mark.parametrize("host", [*LOOPBACK_NAMES[:2], "[::1]", "console.localhost:8443", "CONSOLE.localhost"])
def test_names_of_its_own(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "gateway.localhost", "127.0.0.1.evil.example:8500", "", "[::1].evil.example", "0.0.0.0", "localhost:x", "a b"]
)
@pytest.mark.parametrize("where", ["/", "/events", "/status.json", "/static/console.js"])
def test_a_name_of_others_gets_nothing(client: TestClient, host: str, where: str) -> None:
    answer = client.get(where, headers={"host": host})
    assert (answer.status_code, set(answer.json()["error"])) == (421, {"code", "what", "where", "why", "next"})


def test_the_declared_hostname_is_its_own() -> None:
    env = example()
    moved = replace(env, proxy={"Watch.lab.example": env.proxy["console.localhost"], "api.lab.example": env.proxy["gateway.localhost"]})
    client = client_of(ScriptedView(moved))
    assert client.get("/status.json", headers={"host": "watch.lab.example:443"}).status_code == 200
    assert client.get("/status.json", headers={"host": "api.lab.example"}).status_code == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
def test_pages_of_others_may_lead_here_and_ask_nothing(client: TestClient, site: str) -> None:
    assert client.get("/events", headers={"sec-fetch-site": site, "sec-fetch-mode": "cors"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.get("/health", headers={"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}).status_code == 200


def test_two_hosts_are_none() -> None:
    assert (host_name(["localhost", "evil.example"]), host_name([]), host_name(["[::1]:8500"])) == ("", "", "::1")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_only_reads(client: TestClient, method: str) -> None:
    answer = client.request(method, "/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_texts_of_others_are_only_texts() -> None:
    env = example()
    seen = picture(env, {"router/router-1": (State.DOWN, XSS)})
    entities = tuple(replace(item, entity=Entity("router", XSS)) if item.entity.name == "router-2" else item for item in seen.entities)
    view = view_of()
    evil = Step(step=XSS, by=XSS, at=1, block=1, tx=XSS, hash=XSS, note=XSS)
    view.paths[1, 7] = replace(path(), state=XSS, steps=(evil,))
    view.newest = ChainUnreachable(XSS)
    view.show(replace(seen, environment=XSS, evidence=tuple(replace(item, value=XSS, how=XSS) for item in seen.evidence)))
    client = client_of(view)
    pages = [client.get(where).text for where in (*PAGES, f"/entities/{XSS}/{XSS}")]
    view.show(replace(seen, entities=(*seen.entities, *entities)))
    pages.append(client.get("/").text)
    for page in pages:
        assert "<script>alert" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)" in pages[0]


def test_files_carry_their_hash_and_last(client: TestClient) -> None:
    hrefs = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/").text))
    assert {href.partition("?")[0] for href in hrefs} == {"/static/console.css", "/static/console.js", "/static/mark.svg"}
    for href in hrefs:
        answer = client.get(href)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
    assert client.get("/static/..%2fapp.py").status_code == 404
    assert client.get("/static/app.py").status_code == 404


def test_events_have_room_for_so_many_and_no_more(view: ScriptedView) -> None:
    app = console(view, VirtualClock())
    app.state.board.streams = STREAMS_MAX
    client = TestClient(app, base_url="http://localhost")
    answer = client.get("/events")
    assert (answer.status_code, "retry-after" in answer.headers, answer.json()["error"]["code"]) == (503, True, "refused")
    assert client.head("/events").status_code == 200


def test_the_first_page_is_small(client: TestClient) -> None:
    assert len(client.get("/").content) < 100_000


def test_a_long_table_is_cut_and_says_so() -> None:
    env = example()
    many = replace(env, nodes={**env.nodes, **{f"miner-{number}": env.nodes["miner-1"] for number in range(4, 300)}})
    view = ScriptedView(many, picture(many))
    page = client_of(view).get("/").text
    assert f"{305 - ROWS_MAX} more are not listed" in page
    assert len(page) < 300_000
