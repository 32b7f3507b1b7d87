"""What `cortops proxy test` measures of a real nginx: all that is declared, and every way in which it is not so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, front, server_of
from tests.surfaces.proxy.test_ways import ENV

from cortops.cli.proxy import measure, measure_slow
from cortops.environment.declared import Environment
from cortops.environment.traffic import Route
from cortops.probes.front import Front
from cortops.surfaces.proxy.measured import OFF, OK, UNSEEN, Row
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real
NAME = "router.localhost"


def declared(behind: Behind, **changes: Any) -> Environment:
    """ENV with one hostname, all of whose families lead to `behind`."""
    body = {
        "on": "here",
        "to": f"http://{behind.address}",
        "tls": "local-ca",
        "read_timeout_s": 30,
        "body_max_mib": 0.0625,
        "families": ["info", "completion", "trial"],
        "per_client": {"requests_per_min": 600, "burst": 40, "at_once": 3},
        "per_family": {"trial": {"body_max_mib": 0.01, "read_timeout_s": 9, "per_client": {"requests_per_min": 60, "burst": 12}}},
    }
    return replace(ENV, proxy={NAME: Route.model_validate(body | changes)})


def measured(folder: Path, declared: Environment, running: Environment, behind: Behind, pending: tuple[str, ...] = ()) -> dict[str, Row]:
    """What is seen of the nginx of `running`, judged by what is `declared`."""

    async def run() -> tuple[Row, ...]:
        async with behind, front(folder, server_of(running, NAME)) as nginx:
            place = Front(hostname=NAME, host="127.0.0.1", port=nginx.port, tls=nginx.tls, client=nginx.client, clock=SystemClock())
            return await measure(declared, place, "", 30.0, pending)

    return {row.what: row for row in asyncio.run(run())}


def states(rows: Mapping[str, Row]) -> dict[str, str]:
    return {what: row.state for what, row in rows.items()}


def test_all_that_is_declared_is_seen(tmp_path: Path) -> None:
    behind = Behind("router")
    env = declared(behind)
    rows = measured(tmp_path, env, env, behind)
    assert {what for what, state in states(rows).items() if state != OK} == {"streaming"}, rows
    told = {what: row.measured for what, row in rows.items()}
    assert told["info"] == "10 of 10 paths"
    assert (told["completion"], told["trial"]) == ("6 of 6 paths", "8 of 8 paths")
    assert (told["mcp"], told["payloads"], told["create"]) == ("404 at 2 paths", "404 at 3 paths", "404 at 1 paths")
    assert told["body of info"] == told["body of trial"] == "one byte more: 413; that much: taken"
    assert (rows["body of info"].declared, rows["body of trial"].declared) == ("64 KiB", "11 KiB")
    assert told["at once"].startswith("429 at request 4, come again after ")
    assert told["rate of trial"].startswith("429 at request ")
    assert told["client address"] == "forged addresses were counted as one client"
    assert not [asked for asked in behind.asked if not asked.startswith("GET ") and "trial" not in asked and "/ping" not in asked]


def test_what_runs_with_other_limits_is_red_with_cause_and_next_command(tmp_path: Path) -> None:
    behind = Behind("router")
    env = declared(behind)
    other = declared(behind, families=["info", "mcp"], per_client={}, per_family={}, body_max_mib=1)
    rows = measured(tmp_path, env, other, behind, ("file:/x/nginx.conf: content",))
    off = {what: row for what, row in rows.items() if row.state == OFF}
    assert set(off) == {
        "completion",
        "trial",
        "mcp",
        "body of info",
        "body of trial",
        "timeout of info, completion",
        "timeout of trial",
        "at once",
        "rate",
        "rate of trial",
    }
    assert off["completion"].cause.startswith("404 at /api/v1/completions, ")
    assert (off["mcp"].measured, off["mcp"].cause) == ("2 of 2 paths answer", "/mcp answers 200, /mcp/messages answers 200")
    assert off["body of info"].measured == "one byte more: 100; that much: taken"
    assert off["timeout of trial"].cause == "file:/x/nginx.conf: content"
    assert all(row.cause and row.next.startswith("cortops ") for row in off.values())


def test_nobody_behind_is_told_apart_from_what_is_not_let_through(tmp_path: Path) -> None:
    behind, gone = Behind("router"), Behind("gone")
    env = declared(behind, to=f"http://{gone.address}", per_client={}, per_family={"trial": {"to": f"http://{behind.address}"}})
    rows = measured(tmp_path, env, env, behind)
    assert (rows["info"].state, rows["trial"].state) == (OFF, OK)
    assert rows["info"].measured == "0 of 10 paths"
    assert rows["info"].cause.endswith(f"the router at http://{gone.address} does not answer")
    assert (rows["client address"].state, rows["client address"].cause) == (
        UNSEEN,
        "it shows by a limit of one client, and none is declared",
    )


@pytest.mark.proof
def test_slow_clients_are_waited_for_as_long_as_is_said(tmp_path: Path) -> None:
    behind = Behind("router")
    env = declared(behind, per_client={}, per_family={})

    async def run() -> tuple[Row, ...]:
        async with behind, front(tmp_path, server_of(env, NAME)) as nginx:
            place = Front(hostname=NAME, host="127.0.0.1", port=nginx.port, tls=nginx.tls, client=nginx.client, clock=SystemClock())
            return await measure_slow(env, place)

    assert {row.what: row.state for row in asyncio.run(run())} == {"slow head": OK, "slow body": OK}
    assert not behind.asked


def test_a_proxy_that_believes_forged_addresses_is_found_out_by_its_limits(tmp_path: Path) -> None:
    behind = Behind("router")
    env = declared(behind, per_family={})
    rows = measured(tmp_path, env, declared(behind, per_family={}, trusted_proxies=["127.0.0.0/8"]), behind)
    assert {what for what, row in rows.items() if row.state == OFF} == {"at once", "rate"}
    assert rows["rate"].cause == "another limit runs, or the addresses that we forged are believed"
