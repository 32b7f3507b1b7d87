"""The network's own tasks on a real chain: the cycle, who is refused, and how levels move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.contracts.network_rig import MINERS, ready, refused
from tests.contracts.network_tasks_rig import tasks_on

from cortops.contracts.network import result_hash
from cortops.contracts.network_tasks import LastResult, NetworkTasks, TaskState
from cortops.testing.chain import Chain, bare_chain, wallet_of

pytestmark = pytest.mark.real

LABELS = {wallet_of(label).address: label for label in ("m1", "m2", "m3")}


def playing(story: Callable[[Chain, NetworkTasks], Awaitable[None]]) -> None:
    async def run() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            for label in LABELS.values():
                await chain.do(label, network.ping())
            await story(chain, await tasks_on(chain, network))

    asyncio.run(run())


async def opened(chain: Chain, tasks: NetworkTasks) -> int:
    """A task whose miners may precommit."""
    await chain.do("oracle", tasks.request())
    task = await tasks.latest()
    assert task is not None and task.state is TaskState.CREATE
    await chain.do(LABELS[task.creator], tasks.create("science", "sky"))
    task = await tasks.latest()
    assert task is not None and task.state is TaskState.PREPARE
    await chain.do(LABELS[task.preparer], tasks.prepare(task.id, ["Why is the sky blue?"], 7))
    return task.id


def test_a_task_goes_its_whole_way() -> None:
    async def story(chain: Chain, tasks: NetworkTasks) -> None:
        assert await tasks.latest() is None
        id_ = await opened(chain, tasks)
        task = await tasks.latest()
        assert task is not None
        assert (task.state, task.domain, task.subdomain, task.seed) == (TaskState.PRECOMMIT, "science", "sky", 7)
        assert sorted(task.miners) == sorted(MINERS)
        for miner in task.miners:
            await chain.do(LABELS[miner], tasks.precommit(id_, result_hash(f"by {miner}"), 7))
        for miner in task.miners:
            await chain.do(LABELS[miner], tasks.commit(id_, f"by {miner}", 7))
        task = await tasks.latest()
        assert task is not None and task.state is TaskState.COMMIT
        assert task.precommitted == task.committed == set(MINERS)
        await chain.do("oracle", tasks.end(id_, forced=False))
        task = await tasks.latest()
        assert task is not None and task.state is TaskState.ENDED and task.ended_at > 0

    playing(story)


def test_each_step_is_for_its_own_and_in_its_time() -> None:
    async def story(chain: Chain, tasks: NetworkTasks) -> None:
        assert "role" in await refused(chain, "m1", tasks.request())
        await chain.do("oracle", tasks.request())
        task = await tasks.latest()
        assert task is not None
        others = [label for address, label in LABELS.items() if address != task.creator]
        assert await refused(chain, "oracle", tasks.request()) == "session open"
        assert await refused(chain, others[0], tasks.create("a", "b")) == "not the creator"
        assert await refused(chain, others[0], tasks.prepare(task.id, ["x"], 1)) == "not in this step"
        await chain.do(LABELS[task.creator], tasks.create("a", "b"))
        task = await tasks.latest()
        assert task is not None and task.preparer != task.creator
        assert await refused(chain, LABELS[task.preparer], tasks.prepare(task.id, [], 1)) == "no challenge"
        await chain.do(LABELS[task.preparer], tasks.prepare(task.id, ["x"], 1))
        assert await refused(chain, "stranger", tasks.precommit(task.id, result_hash("x"), 1)) == "not selected"
        assert await refused(chain, "m1", tasks.commit(task.id, "x", 1)) == "not in this step"
        assert await refused(chain, "oracle", tasks.end_precommit(task.id)) == "nobody has precommitted"
        await chain.do("m1", tasks.precommit(task.id, result_hash("x"), 1))
        assert await refused(chain, "m1", tasks.precommit(task.id, result_hash("y"), 1)) == "already precommitted"
        await chain.do("oracle", tasks.end_precommit(task.id))
        assert await refused(chain, "m1", tasks.commit(task.id, "y", 1)) == "hash differs"
        assert await refused(chain, "m2", tasks.precommit(task.id, result_hash("y"), 1)) == "not in this step"
        assert await refused(chain, "oracle", tasks.end(task.id, forced=False)) == "not all have committed"
        await chain.do("m1", tasks.commit(task.id, "x", 1))
        await chain.do("oracle", tasks.end(task.id, forced=False))
        assert await refused(chain, "oracle", tasks.end(task.id, forced=True)) == "ended"

    playing(story)


def test_who_is_late_is_passed_over() -> None:
    async def story(chain: Chain, tasks: NetworkTasks) -> None:
        await chain.do("oracle", tasks.request())
        first = await tasks.latest()
        assert first is not None
        await chain.do("oracle", tasks.next_creator(first.id))
        second = await tasks.latest()
        assert second is not None and second.creator != first.creator
        await chain.do(LABELS[second.creator], tasks.create("a", "b"))
        prepared = await tasks.latest()
        assert prepared is not None
        await chain.do("oracle", tasks.next_preparer(first.id))
        again = await tasks.latest()
        assert again is not None and again.preparer != prepared.preparer
        await chain.do("oracle", tasks.end(first.id, forced=True))
        assert (await tasks.latest()).state is TaskState.ENDED  # type: ignore[union-attr]

    playing(story)


def test_levels_rise_and_fall_with_what_is_reported() -> None:
    async def story(chain: Chain, tasks: NetworkTasks) -> None:
        good, bad = MINERS[0], MINERS[1]
        assert await tasks.results(MINERS) == dict.fromkeys(MINERS, LastResult.NONE)
        for id_ in (1, 2):
            assert await tasks.may_report(id_)
            await chain.do("validator", tasks.report(id_, {good: True, bad: False}))
        assert await tasks.levels(MINERS) == {good: 1, bad: 0, MINERS[2]: 0}
        assert await tasks.results(MINERS) == {good: LastResult.PASSED, bad: LastResult.FAILED, MINERS[2]: LastResult.NONE}
        assert await refused(chain, "validator", tasks.report(2, {good: True})) == "already reported"
        assert "role" in await refused(chain, "m1", tasks.report(3, {bad: True}))
        for id_ in (3, 4):
            await chain.do("validator", tasks.report(id_, {good: False}))
        assert (await tasks.levels([good]))[good] == 0, "two failures in a row take a node down again"

    playing(story)
