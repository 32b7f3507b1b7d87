"""A real chain whose head goes back, seen by the Follower and survived by the Sender."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cortops.contracts.abi import Event
from cortops.contracts.follow import Batch, Follower
from cortops.contracts.heads import Websocket
from cortops.contracts.network import Call, Network
from cortops.contracts.path import find_submitted
from cortops.testing.chain import Chain, bare_chain
from cortops.testing.clock import turn_until

pytestmark = pytest.mark.real


async def session_of_owner(chain: Chain) -> Network:
    network = await chain.deploy()
    await chain.do("owner", network.create_session("chat"))
    return network


def submission(network: Network, reference: str) -> Call:
    return network.submit(1, task_data=f"text of {reference}", prompt_type=2, client_reference=reference)


def test_a_transaction_lost_by_a_rewind_is_sent_again_with_the_right_nonce() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await session_of_owner(chain)
            sender = await chain.sender("owner")
            point = await chain.rpc.call("evm_snapshot")
            await chain.do("owner", submission(network, "a"), submission(network, "b"))
            assert await chain.rpc.call("evm_revert", point)
            sender.resync()
            await chain.do("owner", submission(network, "c"))
            assert await find_submitted(network, 1, "c") == 1

    asyncio.run(story())


@pytest.mark.parametrize("hinted", [True, False])
def test_the_follower_sees_events_and_a_head_that_goes_back(hinted: bool) -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await session_of_owner(chain)
            head = int(await chain.rpc.call("eth_blockNumber"), 16)
            hint = Websocket(chain.url, chain.clock) if hinted else None
            poll_s = 30.0 if hinted else 0.01  # with the hint no event waits for the poll
            follower = Follower(chain.rpc, network.contracts, clock=chain.clock, from_block=head + 1, poll_every_s=poll_s, hint=hint)
            batches = follower.__aiter__()
            seen: list[Batch] = []

            async def until(holds: Callable[[Batch], bool]) -> Batch:
                async with asyncio.timeout(10):
                    while True:
                        seen.append(await anext(batches))
                        if holds(seen[-1]):
                            return seen[-1]

            async with asyncio.TaskGroup() as group:
                first = group.create_task(until(lambda batch: bool(batch.events)))
                if hint is not None:
                    await turn_until(lambda: hint.connected)
                await chain.do("owner", submission(network, "a"))
            assert submitted(first.result().events) == ["a"]
            point = await chain.rpc.call("evm_snapshot")
            await chain.do("owner", submission(network, "b"))
            assert submitted((await until(lambda batch: bool(batch.events))).events) == ["b"]
            await chain.rpc.call("evm_revert", point)
            (await chain.sender("owner")).resync()
            await chain.do("owner", submission(network, "c"))
            rewound = await until(lambda batch: batch.rewound)
            assert (rewound.first, submitted(rewound.events)) == (head + 2, ["c"])
            assert not any(batch.rewound for batch in seen[:-1])
            await batches.aclose()  # type: ignore[attr-defined]
            assert hint is None or not hint.connected

    asyncio.run(story())


def submitted(events: tuple[Event, ...]) -> list[str]:
    return [event.args["clientReference"] for event in events if event.name == "TaskSubmitted"]
