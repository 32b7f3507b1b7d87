"""What router, miner and oracle say of themselves while they run: each number of /health is on /metrics, and no more than that."""

from __future__ import annotations

from typing import Any

import pytest
from tests.programs.common.metrics_rules import PROCESS, values_of
from tests.programs.router.spine_rig import CHAT, KEY, Spine, play, private_key, spine

from cortops.programs.common.measures import MEASURES, UNMEASURED

pytestmark = pytest.mark.real


async def metrics(one: Spine, name: str) -> tuple[dict[str, float], bytes]:
    async with one.web.get(f"http://127.0.0.1:{one.ports[name]}/metrics") as reply:
        page = await reply.read()
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return values_of(page), page


def numbers(health: dict[str, Any]) -> set[str]:
    return {fact for fact, value in health.items() if isinstance(value, int | float | list | dict) and fact not in UNMEASURED | {"why"}}


def test_metrics_of_a_request() -> None:
    async def run() -> None:
        async with spine() as one:
            async with one.ask(CHAT) as reply:
                assert reply.status == 200
                task = reply.headers["X-Cortensor-Task"]
            async with one.web.post(one.url + "/api/v1/completions", json={}) as reply:
                assert reply.status == 401
            await one.path(task)

            async def told() -> bool:
                return (await metrics(one, "oracle"))[0]['cortops_task_steps_total{step="ended"}'] == 1

            await one.until(told)
            for name in one.running:
                found, page = await metrics(one, name)
                own = {fact: measure.name for measure in MEASURES if name in measure.programs for fact in measure.facts}
                shown = {key.partition("{")[0] for key in found}
                assert shown <= {*own.values(), "cortops_up"} | PROCESS, name
                assert {own[fact] for fact in numbers((await one.health(name))[1])} <= shown, name
                assert found["cortops_up"] == 1 and found["cortops_head_block"] > 0
                for secret in (KEY, private_key(name), one.chain.url, f'"{one.session}"'):
                    assert secret.encode() not in page
            router, miner = (await metrics(one, "router"))[0], (await metrics(one, "miner"))[0]
            assert (router['cortops_requests_total{status="200"}'], router['cortops_requests_total{status="401"}']) == (1, 1)
            assert router["cortops_miners_linked"] == miner["cortops_routers_connected"] == 1
            assert [miner[f'cortops_task_steps_total{{step="{step}"}}'] for step in ("assigned", "acked", "precommitted", "committed")] == [
                1
            ] * 4

    play(run)
