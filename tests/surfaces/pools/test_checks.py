"""A pool as every process of the gateway sees it: served, whole, or neither; and what is said when they differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.surfaces.stage import example, site_of

from cortops.surfaces.gateway.checks import health
from cortops.surfaces.judging import judge
from cortops.surfaces.pools.checks import WHY_MAX_CHARS, checks
from cortops.surfaces.states import states
from cortops.words.entity import Entity
from cortops.words.question import Answer, NoAnswer, Reply, Silence
from cortops.words.state import State

ENV = example()
CHECKS = tuple(checks(ENV, site_of(ENV)))
POOL = Entity("pool", "smollm2")
NOW = 1_800_000_000.0
DOWN = "its status page: refused"


def page(one: str = "ok", other: str = "ok", why: str = DOWN) -> Any:
    """`-` after a state: drained."""
    told = {"ok": "", "unknown": "not asked yet", "down": why}
    members = [
        {"name": f"router-{number}", "state": state.rstrip("-"), "why": told[state.rstrip("-")], "drained": state.endswith("-")}
        for number, state in enumerate((one, other), 1)
    ]
    return {"name": "gateway", "own": [], "pools": {"smollm2": {"state": "?", "members": members}}}


def answer(body: object, status: int = 200) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(question="q", at=NOW, elapsed_s=0.01, status=status, body=text.encode())


def silent(silence: Silence = Silence.REFUSED) -> NoAnswer:
    return NoAnswer(question="q", at=NOW, elapsed_s=1, silence=silence, why="nobody listens")


def seen(one: object, other: object) -> tuple[State, str]:
    """The pool's state and reason; a page stands for an answer with it."""
    replies = {
        health(f"gateway-{number}"): said if isinstance(said, Answer | NoAnswer) else answer(said)
        for number, said in enumerate((one, other), 1)
        if said is not None
    }
    (state,) = states([POOL], {}, judge(CHECKS, replies, NOW))
    return state.state, state.reason


CASES: dict[str, tuple[object, object, State, str]] = {
    "all well": (page(), page(), State.OK, "served; 2 of 2 members well"),
    "one process answers": (page(), silent(), State.OK, "served; 2 of 2 members well"),
    "one process was not asked": (None, page(), State.OK, "served; 2 of 2 members well"),
    "one member down": (
        *(page("ok", "down"), page("ok", "down"), State.DEGRADED),
        f"1 of 2 members well, requests go on; router-2: {DOWN}",
    ),
    "one member and one process down": (
        *(silent(), page("down", "ok"), State.DEGRADED),
        f"1 of 2 members well, requests go on; router-1: {DOWN}",
    ),
    "both down": (
        *(page("down", "down"), page("down", "down"), State.DOWN),
        f"no member is well (router-1: {DOWN}; router-2: {DOWN}); 0 of 2 members well",
    ),
    "they differ": (
        *(page(), page("ok", "down"), State.DEGRADED),
        f"the gateway's processes differ: gateway-1 sees 2 of 2 members well, gateway-2 sees 1 of 2 members well (router-2: {DOWN})",
    ),
    "they differ in who": (
        *(page("down", "ok"), page("ok", "down"), State.DEGRADED),
        f"the gateway's processes differ: gateway-1 sees 1 of 2 members well (router-1: {DOWN}),"
        f" gateway-2 sees 1 of 2 members well (router-2: {DOWN})",
    ),
    "one sees none": (
        *(page("down", "down"), page(), State.DEGRADED),
        f"the gateway's processes differ: gateway-1 sees 0 of 2 members well (router-1: {DOWN}; router-2: {DOWN}),"
        " gateway-2 sees 2 of 2 members well",
    ),
    "no process answers": (silent(), silent(), State.UNKNOWN, "could not be asked"),
    "our own eyes": (silent(Silence.LOST), silent(Silence.LOST), State.UNKNOWN, "could not be asked"),
    "nobody was asked": (None, None, State.UNKNOWN, "was not asked"),
    "no health page": (answer("<html>", 502), answer("<html>", 502), State.UNKNOWN, "gateway-1 answers 502, and it is no health page"),
    "not asked yet": (page("unknown", "unknown"), page("unknown", "unknown"), State.UNKNOWN, "has not asked the members yet"),
    "one not asked yet": (page("ok", "unknown"), page("ok", "unknown"), State.UNKNOWN, "has not asked all members yet"),
    "one just started": (page(), page("unknown", "unknown"), State.OK, "served; 2 of 2 members well"),
    "one just started, one member down": (
        *(page("ok", "unknown"), page("ok", "down"), State.DEGRADED),
        f"1 of 2 members well, requests go on; router-2: {DOWN}",
    ),
    "one just started, both members down": (
        *(page("unknown", "unknown"), page("down", "down"), State.DOWN),
        f"no member is well (router-1: {DOWN}; router-2: {DOWN})",
    ),
    "one down, one not asked yet": (page("down", "unknown"), silent(), State.DEGRADED, "0 of 2 members well"),
    "one member drained": (page("ok", "ok-"), page("ok", "ok-"), State.MAINTENANCE, "router-2 drained"),
    "one member drained and stopped": (page("ok", "down-"), page("ok", "down-"), State.MAINTENANCE, "router-2 drained"),
    "a drain of which one process does not know yet": (page("ok", "ok-"), page(), State.MAINTENANCE, "router-2 drained"),
    "one member drained, the other down": (
        *(page("down", "ok-"), page("down", "ok-"), State.DOWN),
        f"no member is well (router-1: {DOWN}); 0 of 1 members well",
    ),
    "all drained": (page("ok-", "down-"), page("ok-", "down-"), State.DOWN, "every member is drained: router-1, router-2"),
    "an unknown pool": ({"own": [], "pools": {}}, {"own": [], "pools": {}}, State.DOWN, "does not know this pool"),
    "known to one": (page(), {"own": [], "pools": {}}, State.DEGRADED, "gateway-2 does not know this pool"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_pool_as_its_gateway_sees_it(name: str) -> None:
    one, other, state, reason = CASES[name]
    found = seen(one, other)
    assert found[0] is state and reason in found[1], found


@pytest.mark.parametrize(
    "body", [[], None, 7, {"pools": []}, {"pools": {"smollm2": []}}, {"pools": {"smollm2": {"members": [1, {}, {"state": []}]}}}]
)
def test_no_answer_breaks_a_check(body: object) -> None:
    for one in CHECKS:
        assert one.judge({name: answer(body) for name in one.asks}, NOW).text


def test_long_reasons_are_cut() -> None:
    replies: dict[str, Reply] = {name: answer(page("down", "down", "x" * 5000)) for name in CHECKS[0].asks}
    assert all(len(item.judge(replies, NOW).text) < 2 * WHY_MAX_CHARS + 200 for item in CHECKS)


def test_all_checks_ask_every_process() -> None:
    assert [(item.name, item.makes) for item in CHECKS] == [("served", "down"), ("whole", "degraded"), ("drained", "maintenance")]
    assert {item.asks for item in CHECKS} == {("gateway:health:gateway-1", "gateway:health:gateway-2")}
