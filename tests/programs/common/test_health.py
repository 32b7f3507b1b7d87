"""/health: 200 or 503, reasons, facts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.programs.common.metrics_rules import values_of

from cortops.programs.common.health import Health, serve_health
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock
from cortops.words.errors import PortTaken


async def ask(health: Health) -> tuple[int, object]:
    http = HttpClient(clock=SystemClock())
    try:
        async with serve_health(("127.0.0.1",), 0, lambda: health) as port:
            reply = await http.request("GET", f"http://127.0.0.1:{port}/health", timeout_s=5)
            return reply.status, msgspec.json.decode(reply.body)
    finally:
        await http.close()


def test_well() -> None:
    assert asyncio.run(ask(Health.judge((), head=7, head_age_s=None))) == (200, {"status": "ok", "head": 7, "head_age_s": None})


def test_ill_says_why() -> None:
    expected = {"status": "degraded", "why": ["the chain is starting"], "head": 0}
    assert asyncio.run(ask(Health.judge(("the chain is starting",), head=0))) == (503, expected)


def test_a_note_is_shown_well_or_not() -> None:
    note = "started from the snapshot before"
    well = replace(Health.judge((), head=7), notes=(note,))
    assert asyncio.run(ask(well)) == (200, {"status": "ok", "notes": [note], "head": 7})
    assert asyncio.run(ask(replace(well, status="degraded", why=("no block",))))[0] == 503


def test_the_numbers_of_health_are_its_metrics() -> None:
    async def both() -> None:
        http = HttpClient(clock=SystemClock())
        health = Health.judge(("no block",), head=7, head_age_s=None, in_flight=2, address="0xabc")
        try:
            async with serve_health(("127.0.0.1",), 0, lambda: health) as port:
                reply = await http.request("GET", f"http://127.0.0.1:{port}/metrics", timeout_s=5)
        finally:
            await http.close()
        assert (reply.status, reply.header("content-type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = {name: value for name, value in values_of(reply.body).items() if name.startswith("cortops")}
        assert found == {"cortops_up": 0, "cortops_notes": 0, "cortops_head_block": 7, "cortops_in_flight": 2}

    asyncio.run(both())


def test_a_taken_port_is_said() -> None:
    async def twice() -> None:
        async with serve_health(("127.0.0.1",), 0, lambda: Health.judge(())) as port:
            with pytest.raises(PortTaken, match=str(port)):
                async with serve_health(("127.0.0.1",), port, lambda: Health.judge(())):
                    pass

    asyncio.run(twice())
