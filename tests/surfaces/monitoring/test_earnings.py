"""Whether nodes earn, as a watch asks itself: by the page's rows, and unknown where there is none or it is old."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.cli.fleet_stage import LAB

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces.monitoring.earnings import PAGE, STALE_S, checks, document, questions
from cortops.words.evidence import Verdict
from cortops.words.question import Answer, Http, NoAnswer, Reply, Silence

NOW = 1_800_000_000.0


def lab() -> Environment:
    loaded = load(LAB, "lab.yaml")
    assert isinstance(loaded, Environment)
    return loaded


ENV = lab()


def judged(reply: Reply | None) -> Mapping[str, Verdict]:
    """Check -> what it says; `network moves` is the network's, the others the node's."""
    return {check.name: check.judge({} if reply is None else {PAGE: reply}, NOW) for check in checks(ENV)}


def page(state: str, *, age_s: float = 60.0, moving: bool | None = True, verdict: str = "me", node: str = "m07") -> Answer:
    row = {"node": node, "state": state, "headline": "no", "cause": "its RPC is 41 blocks behind", "verdict": verdict}
    told = {"at": NOW - age_s, "network": "it stands", "moving": moving, "nodes": [row]}
    return Answer(question=PAGE, at=NOW, elapsed_s=0, status=200, body=json.dumps(told).encode())


@pytest.mark.parametrize(
    ("state", "earning", "earning_on"),
    [("ok", "ok", "ok"), ("down", "bad", "ok"), ("degraded", "ok", "bad"), ("unknown", *["inconclusive"] * 2)],
)
def test_the_rows_state_makes_the_nodes(state: str, earning: str, earning_on: str) -> None:
    found = judged(page(state))
    assert (found["earning"].outcome, found["earning on"].outcome) == (earning, earning_on)
    assert found["earning"].text == "no: its RPC is 41 blocks behind"
    assert [check.makes for check in checks(ENV)] == ["degraded", "down", "degraded"]


def test_a_network_that_stands_is_its_own_trouble_and_no_nodes() -> None:
    found = judged(page("degraded", moving=False, verdict="network"))
    assert (found["network moves"].outcome, found["network moves"].text) == ("bad", "it stands")
    assert {found[name].outcome for name in ("earning", "earning on")} == {"inconclusive"}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        NoAnswer(question=PAGE, at=NOW, elapsed_s=1, silence=Silence.REFUSED, why="refused"),
        page("down", age_s=STALE_S + 1),
        page("down", node="another"),
        Answer(question=PAGE, at=NOW, elapsed_s=0, status=200, body=b"nonsense"),
        Answer(question=PAGE, at=NOW, elapsed_s=0, status=200, body=json.dumps(document(None)).encode()),
        Answer(question=PAGE, at=NOW, elapsed_s=0, status=200, body=json.dumps({"at": NOW, "nodes": 3}).encode()),
    ],
)
def test_without_a_fresh_word_nobody_is_accused(reply: Reply | None) -> None:
    found = judged(reply)
    assert {found["earning"].outcome, found["earning on"].outcome} == {"inconclusive"}
    assert found["network moves"].outcome == "ok"


def test_it_is_asked_of_the_watch_itself_and_only_where_there_are_such_nodes() -> None:
    (asked,) = questions(ENV, 8501)
    assert isinstance(asked, Http) and asked.url == "http://127.0.0.1:8501/nodes.json"
    bare = replace(ENV, installed={})
    assert (list(questions(bare, 8501)), list(checks(bare))) == ([], [])
