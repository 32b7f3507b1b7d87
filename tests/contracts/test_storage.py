"""What a task costs: storage slots, which a development chain pays for with every block, and gas. Source: toolchain (Chain, storage)."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import msgspec
import pytest
from tests.contracts.network_rig import MINERS, ready, submission

from cortops.contracts.network import TASKS_KEPT, VALID, Call, Network, result_hash
from cortops.testing.chain import Chain, bare_chain

pytestmark = pytest.mark.real

LABELS = ("m1", "m2", "m3")
SLOTS_PER_TASK = 8  # the task, three miners' parts, three hashes, the verdicts
SLOTS_ONCE = 3 + 2 + 1  # counters of three nodes, the validator's number and how many there are, the queue's count of all tasks
SLOTS_PER_SESSION = 1  # its count of tasks
GAS_PER_TASK_MAX = 1_500_000  # of all transactions of a whole life with three miners
CHEAP_GAS = 600_000  # limit of one transaction, so that estimates cost no time
CHEAP_PER_BLOCK = 10


async def slots(chain: Chain) -> int:
    """How many storage slots the whole chain holds."""
    dump = await chain.rpc.call("anvil_dumpState")
    state: dict[str, Any] = msgspec.json.decode(gzip.decompress(bytes.fromhex(dump[2:])))
    return sum(len(account["storage"]) for account in state["accounts"].values())


async def life(chain: Chain, network: Network, tid: int) -> int:
    """A task from its submission to its verdicts; the gas of all."""
    steps: list[tuple[str, Call]] = [("router", submission(network, f"req-{tid}")), ("oracle", network.assign_task(1, tid, MINERS))]
    steps += [(label, network.ack(1, tid)) for label in LABELS]
    steps += [(label, network.precommit(1, tid, result_hash(f"answer of {label}"))) for label in LABELS]
    steps += [(label, network.commit(1, tid, f"answer of {label}")) for label in LABELS]
    steps += [("oracle", network.end(1, tid)), ("validator", network.record_verdicts(1, tid, MINERS, [VALID] * 3, [900] * 3))]
    return sum([(await chain.do(label, call)).gas_used for label, call in steps])


async def unserved(chain: Chain, network: Network, tids: range) -> None:
    """Tasks that are assigned and ended, several in a block."""
    router, oracle = await chain.sender("router"), await chain.sender("oracle")
    for tid in tids:
        await router.send(*submission(network, f"req-{tid}"), gas=CHEAP_GAS)
        if tid % CHEAP_PER_BLOCK == 0 or tid == tids[-1]:
            await chain.mine()
    for tid in tids:
        await oracle.send(*network.assign_task(1, tid, MINERS), gas=CHEAP_GAS)
        await oracle.send(*network.end_forced(1, tid), gas=CHEAP_GAS)
        if tid % CHEAP_PER_BLOCK == 0 or tid == tids[-1]:
            await chain.mine()
    assert (await network.task(1, tids[-1])).ended


def test_storage_grows_by_a_few_slots_a_task_and_no_more_once_the_ring_is_full() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            before = await slots(chain)
            gas = await life(chain, network, 1)
            assert await slots(chain) - before == SLOTS_PER_TASK + SLOTS_ONCE + SLOTS_PER_SESSION
            assert gas <= GAS_PER_TASK_MAX, gas
            before = await slots(chain)
            again = await life(chain, network, 2)
            assert await slots(chain) - before == SLOTS_PER_TASK
            assert again < gas
            await unserved(chain, network, range(3, TASKS_KEPT + 1))
            before = await slots(chain)
            await life(chain, network, TASKS_KEPT + 1)
            await life(chain, network, TASKS_KEPT + 2)
            assert await slots(chain) == before

    asyncio.run(story())
