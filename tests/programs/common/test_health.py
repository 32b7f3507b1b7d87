"""/health: 200 or 503, reasons, facts."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from cortops.programs.common.health import Health, serve_health
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock
from cortops.words.errors import PortTaken


async def ask(health: Health) -> tuple[int, object]:
    http = HttpClient(clock=SystemClock())
    try:
        async with serve_health("127.0.0.1", 0, lambda: health) as port:
            reply = await http.request("GET", f"http://127.0.0.1:{port}/health", timeout_s=5)
            return reply.status, msgspec.json.decode(reply.body)
    finally:
        await http.close()


def test_well() -> None:
    assert asyncio.run(ask(Health.judge((), head=7, head_age_s=None))) == (200, {"status": "ok", "head": 7, "head_age_s": None})


def test_ill_says_why() -> None:
    expected = {"status": "degraded", "why": ["the chain is starting"], "head": 0}
    assert asyncio.run(ask(Health.judge(("the chain is starting",), head=0))) == (503, expected)


def test_a_taken_port_is_said() -> None:
    async def twice() -> None:
        async with serve_health("127.0.0.1", 0, lambda: Health.judge(())) as port:
            with pytest.raises(PortTaken, match=str(port)):
                async with serve_health("127.0.0.1", port, lambda: Health.judge(())):
                    pass

    asyncio.run(twice())
