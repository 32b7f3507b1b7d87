"""Network tasks with real programs on a real chain: oracle and miner carry one to its end, the pool oracle lets the node in."""

from __future__ import annotations

import asyncio
import io

import pytest
from tests.contracts.network_tasks_rig import tasks_on
from tests.programs.router.spine_rig import free_port, play, private_key, spine

from cortops.contracts.network_tasks import TaskState
from cortops.programs.common.logs import make_log
from cortops.programs.pool.main import serve as serve_pool
from cortops.protocol.settings import PoolOracleSettings
from cortops.testing.chain import CHAIN_ID, wallet_of
from cortops.testing.engine import Say
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real


def test_a_network_task_is_carried_to_its_end_and_opens_the_pool() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("blue", " light")), start=()) as one:
            tasks = await tasks_on(one.chain, one.network)
            await one.chain.do("miner", one.network.ping())
            await one.chain.sender("pool")
            where = {"cognitive": tasks.cognitive, "cognitive_level": tasks.level}
            one.overrides = {"miner": where, "oracle": where | {"network_every_s": 3600}}
            one.start("miner")
            one.start("oracle")

            async def ended() -> bool:
                task = await tasks.latest()
                return task is not None and task.state is TaskState.ENDED

            await one.until(ended)
            task, miner = await tasks.latest(), wallet_of("miner").address
            assert task is not None and task.committed == {miner} and task.domain and task.subdomain
            assert await tasks.completions(task.id) == {miner: "blue light"}
            _, health = await one.health("miner")
            assert health["network_steps"] == {"create": 1, "prepare": 1, "precommit": 1, "commit": 1}
            await one.chain.do("validator", tasks.report(task.id, {miner: True}))

            settings = PoolOracleSettings(
                name="pool",
                rpc_url=one.chain.url,
                chain_id=CHAIN_ID,
                runtime=one.network.addresses.runtime,
                address=wallet_of("pool").address,
                private_key=private_key("pool"),
                port=free_port(),
                **where,
            )
            one.running["pool"] = asyncio.ensure_future(serve_pool(settings, make_log("pool", io.BytesIO(), SystemClock()), SystemClock()))

            async def let_in() -> bool:
                return await one.network.ephemeral_nodes() == (miner,)

            await one.until(let_in)

    play(run)
