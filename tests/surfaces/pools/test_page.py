"""Pools as people see them: the file, what each process says, and who is drained, as one page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.surfaces.stage import example

from cortops.cli.pools import as_text
from cortops.environment.declared import Environment
from cortops.protocol.drains import Drain
from cortops.surfaces.gateway.checks import health
from cortops.surfaces.pools.page import MemberRow, PoolsPage, naming, page, without
from cortops.words.question import Answer, NoAnswer, Reply, Silence
from cortops.words.state import State

ENV = example()
NOW = 1_800_000_000.0
DRAIN = Drain(member="router-2", since=NOW - 240, by="ops@h1", why="a new kernel")
WHY = "its status page: refused"


def member(name: str, state: str = "ok", **more: Any) -> dict[str, Any]:
    told = {"ok": "", "unknown": "not asked yet", "down": WHY}[state]
    return {"name": name, "state": state, "why": told, "in_flight": 0, "usable": 1, "capacity": 1, "drained": False, **more}


def process(*members: dict[str, Any], queued: int = 0) -> dict[str, Any]:
    return {"name": "gateway", "own": [], "pools": {"smollm2": {"queued": queued, "members": list(members)}}}


def seen(*pages: object, drains: tuple[Drain, ...] = (), env: Environment = ENV) -> PoolsPage:
    """None: no answer."""
    replies: dict[str, Reply] = {}
    for number, said in enumerate(pages, 1):
        name = health(f"gateway-{number}")
        replies[name] = (
            NoAnswer(question=name, at=NOW, elapsed_s=1, silence=Silence.REFUSED, why="nobody listens")
            if said is None
            else Answer(question=name, at=NOW, elapsed_s=0.01, status=200, body=json.dumps(said).encode())
        )
    return page(env, replies, drains, at=NOW)


def rows(found: PoolsPage) -> dict[str, MemberRow]:
    return {row.name: row for row in found.pools[0].members}


BOTH = process(member("router-1", in_flight=1), member("router-2"), queued=2)


def test_what_is_declared_and_what_is_seen() -> None:
    found = seen(BOTH, process(member("router-1"), member("router-2", in_flight=1), queued=1))
    (pool,) = found.pools
    assert (pool.name, pool.models, pool.naming, pool.state) == ("smollm2", ("smollm2",), "named after its model", State.OK)
    assert (pool.capacity, pool.in_flight, pool.queued, pool.queue_max) == ({"smollm2": 2}, 2, 3, 64)
    one = rows(found)["router-1"]
    assert (one.upstream, one.sessions, one.slots, one.usable, one.in_flight) == ("http://127.0.0.1:5010", {"smollm2": (1,)}, 1, 1, 1)
    assert one.seen == {"gateway-1": "ok", "gateway-2": "ok"} and found.processes == {"gateway-1": "", "gateway-2": ""}


STATES: dict[str, tuple[tuple[object, ...], State, State, str]] = {
    "well": ((BOTH, BOTH), State.OK, State.OK, ""),
    "down": ((process(member("router-1"), member("router-2", "down")),) * 2, State.DOWN, State.DEGRADED, WHY),
    "down in one": ((BOTH, process(member("router-1"), member("router-2", "down"))), State.DEGRADED, State.DEGRADED, f"gateway-2: {WHY}"),
    "both down": ((process(member("router-1", "down"), member("router-2", "down")),) * 2, State.DOWN, State.DOWN, WHY),
    "not asked": ((process(member("router-1"), member("router-2", "unknown")),), State.UNKNOWN, State.UNKNOWN, "not asked yet"),
    "nobody answers": ((None, None), State.UNKNOWN, State.UNKNOWN, "no process of the gateway says anything of it"),
    "not known there": ((process(member("router-1")),), State.UNKNOWN, State.UNKNOWN, "no process of the gateway says anything of it"),
    "comes back": (
        (process(member("router-1"), member("router-2", usable=1, capacity=4)),),
        *(State.OK, State.OK, "comes back: 1 of 4 slots, growing"),
    ),
    "no page": (([1, 2], {"pools": 7}), State.UNKNOWN, State.UNKNOWN, "no process"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_member_over_all_processes(name: str) -> None:
    pages, state, of_pool, why = STATES[name]
    found = seen(*pages)
    assert (rows(found)["router-2"].state, found.pools[0].state) == (state, of_pool)
    assert why in rows(found)["router-2"].why


def test_a_drained_member_is_in_maintenance_well_or_not() -> None:
    drained = process(member("router-1"), member("router-2", "down", drained=True, in_flight=1))
    found = seen(drained, BOTH, drains=(DRAIN,))
    row = rows(found)["router-2"]
    assert (row.state, row.usable, row.in_flight, row.drain) == (State.MAINTENANCE, 0, 1, DRAIN)
    assert row.why == f"drained by ops@h1 since 15 Jan 07:56 UTC: a new kernel; gateway-2 will know within 2 s; {WHY}"
    assert not found.has_drained("router-2") and found.in_flight("router-2") == 1
    assert found.pools[0].state is State.MAINTENANCE
    assert seen(drained, None, drains=(DRAIN,)).has_drained("router-2")


@pytest.mark.parametrize(
    ("pages", "drains", "member_", "pools"),
    [
        ((BOTH, BOTH), (), "router-2", ()),
        ((BOTH, BOTH), (DRAIN,), "router-1", ("smollm2",)),
        ((process(member("router-1"), member("router-2", "down")),), (), "router-1", ("smollm2",)),
        ((process(member("router-1"), member("router-2", "down")),), (), "router-2", ()),
        ((None, None), (), "router-1", ()),
        ((BOTH,), (), "somebody", ()),
    ],
)
def test_whom_a_pool_cannot_be_without(pages: tuple[object, ...], drains: tuple[Drain, ...], member_: str, pools: tuple[str, ...]) -> None:
    assert without(ENV, seen(*pages, drains=drains), member_) == pools


def test_one_that_is_no_longer_declared_is_told_until_it_has_gone() -> None:
    pools = {name: pool.model_copy(update={"members": ("router-1",)}) for name, pool in ENV.pools.items()}
    fewer = replace(ENV, pools=pools)
    row = rows(seen(process(member("router-1"), member("router-2", in_flight=1, leaving=True)), env=fewer))["router-2"]
    assert (row.declared, row.in_flight, row.slots, row.why) == (False, 1, 0, "no longer declared; its last requests end")
    assert rows(seen(BOTH, env=fewer))["router-2"].why == "no longer declared: cortops apply"


@pytest.mark.parametrize(
    ("pool", "models", "told"),
    [
        ("oss-20b", ["oss-20b"], "named after its model"),
        ("qwen-3-5-9b", ["Qwen 3.5/9b"], "named after its model"),
        ("oss-20b", ["oss-20b", "default"], "named after oss-20b"),
        ("pool-1", ["oss-20b"], "not named after a model that it serves"),
        ("oss-20b", [], "serves no model"),
    ],
)
def test_naming(pool: str, models: list[str], told: str) -> None:
    assert naming(pool, models) == told


def test_the_table() -> None:
    drained = process(member("router-1", in_flight=1), member("router-2", drained=True), queued=3)
    assert as_text(seen(drained, None, drains=(DRAIN,))) == (
        "local · 1 pool · gateway-1 asked 08:00:00 UTC (now)\n"
        "gateway-2 could not be asked: nobody listens\n"
        "\n"
        "◇ smollm2 · named after its model · slots: smollm2 2 · 1 of 2 in use · 3 of 64 wait, at most 20 s\n"
        "     MEMBER    STATE    IN FLIGHT  SLOTS  SESSIONS    UPSTREAM               WHY\n"
        "  ●  router-1  ok       1          1      smollm2: 1  http://127.0.0.1:5010\n"
        "  ◇  router-2  drained  0          1      smollm2: 2  http://127.0.0.1:5011  "
        "drained by ops@h1 since 15 Jan 07:56 UTC: a new kernel\n"
        "\n"
        "next: cortops pools undrain router-2    when it may have requests again"
    )
