"""The time that a client waits: it bounds the queue, and the member is told what is left of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateway_rig import CHAT, Rig, error_code, with_gateway

from cortops.testing.clock import turn_until


@pytest.mark.parametrize(
    ("asked", "told"), [("", 480.0), ("30", 30.0), ("2.5", 2.5), ("900", 480.0), ("-1", 480.0), ("1e3", 480.0), ("soon", 480.0)]
)
def test_the_time_that_is_left_travels_with_the_request(tmp_path: Path, asked: str, told: float) -> None:
    async def test(rig: Rig) -> None:
        reply = await rig.ask(body=CHAT, **({"x_request_timeout": asked} if asked else {}))
        assert reply.status == 200
        left_s = float(rig.routers[0].asked[0].headers["x-request-timeout"])
        assert 0 < told - left_s < 2 or left_s == told

    with_gateway(tmp_path, test)


def test_a_client_that_waits_no_longer_leaves_the_queue(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(hold=True)
        held = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: rig.routers[0].asked)
        late = await rig.ask(body=CHAT, x_request_timeout="0.05")
        assert error_code(late) == (503, "queue_timeout")
        held.cancel()

    with_gateway(tmp_path, test, sessions=1)
