"""The rows of the tables, read from a picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.console.console_rig import ROUTER_DOWN, answer, example, picture

from cortops.console.rows import facts, hostname_rows, node_rows, parts, pool_rows
from cortops.testing.clock import START
from cortops.words.question import NoAnswer, Silence
from cortops.words.state import State

NODES = """
chain-1      chain      ok    block 812, 2 s old
engine-1     engine     ok
router-1     router     down  block 812, 2 s old · 1 in flight · 3 miners
router-2     router     ok    block 812, 2 s old · 0 in flight · 3 miners
miner-1      miner      ok    block 812, 2 s old · 1 in flight · 1 of 2 routers · last commit 07:59:00 UTC
miner-2      miner      ok    block 812, 2 s old · 1 in flight · 1 of 2 routers · last commit 07:59:00 UTC
miner-3      miner      ok    block 812, 2 s old · 1 in flight · 1 of 2 routers · last commit 07:59:00 UTC
oracle-1     oracle     ok    block 812, 2 s old · 1 open
validator-1  validator  ok    block 812, 2 s old
"""


def test_nodes() -> None:
    rows = node_rows(example(), picture(example(), ROUTER_DOWN))
    lines = [f"{row.seen.entity.name:<13}{row.role:<11}{row.seen.state:<6}{row.facts}".rstrip() for row in rows]
    assert "\n" + "\n".join(lines) + "\n" == NODES
    assert {row.host for row in rows} == {"here"}


def test_pools_count_over_all_processes_of_the_gateway() -> None:
    (pool,) = pool_rows(example(), picture(example()))
    assert (pool.seen.entity.name, pool.queued) == ("smollm2", "1")
    assert [(row.seen.entity.name, row.load) for row in pool.members] == [("router-1", "1 of 1"), ("router-2", "0 of 1")]


def test_pools_of_a_silent_gateway_are_not_empty() -> None:
    seen = picture(example())
    silent = {
        name: NoAnswer(question=name, at=START, elapsed_s=3, silence=Silence.TIMEOUT, why="timed out")
        if name.startswith("gateway")
        else reply
        for name, reply in seen.replies.items()
    }
    seen = replace(seen, replies=silent)
    (pool,) = pool_rows(example(), seen)
    assert [pool.queued, *(row.load for row in pool.members)] == ["–", "–", "–"]
    assert {part.state for part in parts(example(), seen)} == {State.UNKNOWN}


def test_hostnames() -> None:
    rows = hostname_rows(example(), picture(example()))
    assert [(row.seen.entity.name, row.to, row.certificate, row.dns.state) for row in rows] == [
        ("gateway.localhost", "gateway", "364 days", State.OK),
        ("router.localhost", "pool/smollm2", "364 days", State.OK),
        ("portal.localhost", "portal", "364 days", State.OK),
        ("rpc.localhost", "rpc", "364 days", State.OK),
        ("console.localhost", "console", "364 days", State.OK),
    ]


def test_what_the_gateway_keeps_is_seen_through_it() -> None:
    seen = picture(example())
    page = {"own": ["the usage store cannot be used; secret-looking text"], "pools": {}}
    seen = replace(seen, replies={**seen.replies, "gateway:gateway-2": answer("gateway:gateway-2", page)})
    found = {part.name: part for part in parts(example(), seen)}
    assert (found["key store"].state, found["usage ledger"].state) == (State.OK, State.DEGRADED)
    assert "secret" not in found["usage ledger"].reason, "replies may hold what redaction takes out of texts"


@pytest.mark.parametrize(
    "health",
    [
        {},
        {"head": "<script>", "in_flight": "many", "miners": [], "sessions": "x", "routers_connected": 3, "last_commit_at": None},
        {"sessions": [1, {"id": 1}], "routers_declared": "2", "last_commit_at": 0},
    ],
)
def test_what_is_no_number_is_not_shown(health: dict[str, object]) -> None:
    assert facts(health, START) == ""  # type: ignore[arg-type]


def test_a_validator_says_what_it_has_judged() -> None:
    page = {"head": 812, "tasks_judged": 4, "tasks_pending": 0, "verdicts": {"VALID": 9}, "last_verdict_at": START - 60}
    assert facts(page, START) == "block 812 · 4 judged · 0 to judge · last verdict 07:59:00 UTC"


def test_a_time_out_of_range_breaks_nothing() -> None:
    assert facts({"last_commit_at": 1e300}, START) == "last commit –"
    seen = picture(example())
    seen = replace(seen, replies={**seen.replies, "tls:rpc.localhost": answer("tls:rpc.localhost", {"not_after": "soon"})})
    assert [row.certificate for row in hostname_rows(example(), seen)][3] == "–"
