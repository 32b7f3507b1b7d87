"""/status.json, /health and /metrics."""

from __future__ import annotations

import msgspec
from starlette.testclient import TestClient
from tests.console.console_rig import BEGUN, ROUTER_DOWN, ScriptedView, example, picture

from cortops.console.app import console
from cortops.console.status import health, status_document
from cortops.environment.graph import depends_on
from cortops.surfaces.status_page import StatusPage
from cortops.testing.clock import START, VirtualClock
from cortops.words.entity import Entity


def test_status_has_the_shape_of_the_command() -> None:
    env = example()
    view = ScriptedView(env, picture(env, ROUTER_DOWN))
    found = TestClient(console(view, VirtualClock()), base_url="http://localhost").get("/status.json").json()
    assert {key: found[key] for key in ("environment", "state", "stale", "at", "begun_at", "every_s")} == {
        "environment": "local",
        "state": "down",
        "stale": False,
        "at": START,
        "begun_at": BEGUN,
        "every_s": 3.0,
    }
    assert found["endpoints"] == view.endpoints and found["asked"] == "watch"
    assert msgspec.convert(found, StatusPage).environment == "local", "what the command reads"
    router = next(item for item in found["entities"] if item["entity"] == "router/router-1")
    assert router == {
        "entity": "router/router-1",
        "kind": "router",
        "state": "down",
        "since": START - 60,
        "reason": "exited on here: SIGKILL",
        "evidence": ["services:here", "health:router-1"],
        "depends_on": [str(need) for need in depends_on(env)[Entity("router", "router-1")]],
        "needed_by": ["pool/smollm2"],
    }
    assert {"id": "health:router-1", "entity": "router/router-1", "value": "200 …", "at": START - 0.5, "how": "health"} in found["evidence"]


def test_an_old_picture_is_unknown_as_a_whole() -> None:
    view = ScriptedView(example(), picture(example()))
    assert status_document(view, START + 5)["state"] == "ok"
    old = status_document(view, START + 600)
    assert (old["state"], old["stale"], old["at"]) == ("unknown", True, START)


def test_before_the_first_round_all_is_unknown() -> None:
    found = status_document(ScriptedView(example()), START)
    assert (found["state"], found["stale"], found["at"], found["begun_at"]) == ("unknown", True, 0, 0)
    assert {item["state"] for item in found["entities"]} == {"unknown"}  # type: ignore[attr-defined]


def test_health_is_of_the_eye_not_of_what_it_sees() -> None:
    seen = picture(example(), ROUTER_DOWN)
    assert health(seen, 2, START + 1.25) == (
        200,
        {"status": "ok", "streams": 2, "at": START, "age_s": 1.2, "every_s": 3.0, "entities": 34},
    )
    status, body = health(seen, 0, START + 60)
    assert (status, body["why"]) == (503, ["the last round of questions ended 60 s ago"])
    assert health(None, 0, START)[0] == 503


def test_metrics() -> None:
    env = example()
    client = TestClient(console(ScriptedView(env, picture(env, ROUTER_DOWN)), VirtualClock(START + 2)), base_url="http://localhost")
    answer = client.get("/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in (
        'cortops_entity_state{entity="router/router-1",kind="router",state="down"} 1.0',
        'cortops_entity_state{entity="router/router-1",kind="router",state="ok"} 0.0',
        'cortops_entity_state{entity="router/router-2",kind="router",state="ok"} 1.0',
        "cortops_picture_age_seconds 2.0",
        "cortops_round_every_seconds 3.0",
        "cortops_watch_rounds_total 7.0",
        "cortops_console_streams 0.0",
    ):
        assert line in lines
    assert sum(line.startswith("cortops_entity_state{") for line in lines) == 34 * 5
    assert "python_info" not in answer.text


def test_metrics_before_the_first_round_have_no_picture() -> None:
    text = TestClient(console(ScriptedView(example()), VirtualClock()), base_url="http://localhost").get("/metrics").text
    assert "cortops_picture_age_seconds" not in text and "cortops_watch_rounds_total" in text
