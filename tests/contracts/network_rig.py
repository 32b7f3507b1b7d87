"""Deployed contracts with registered miners and a session, and what tests of refusals share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cortops.contracts.abi import encode_call
from cortops.contracts.artifact import load
from cortops.contracts.network import Call, Network, result_hash
from cortops.testing.chain import Chain, bare_chain, wallet_of
from cortops.words.errors import CallReverted

OWNER, ROUTER, ORACLE = (wallet_of(label).address for label in ("owner", "router", "oracle"))
MINERS = [wallet_of(f"m{at}").address for at in (1, 2, 3)]
STRANGER = wallet_of("stranger").address
DIGEST = result_hash("hello")

Refuses = Callable[[str, Call, str], Awaitable[None]]  # label, call, reason


async def ready(chain: Chain) -> Network:
    """Contracts, three registered miners, session 1 of `owner` with a router."""
    network = await chain.deploy()
    for label in ("m1", "m2", "m3"):
        await chain.do(label, network.register(label))
    await chain.do("owner", network.create_session("chat", redundant=1, model=7))
    await chain.do("owner", *(network.add_dedicated_node(1, miner) for miner in MINERS), network.add_router(1, ROUTER, "http://r"))
    return network


def submission(network: Network, reference: str = "req", sid: int = 1) -> Call:
    return network.submit(sid, task_data=f"text of {reference}", prompt_type=2, client_reference=reference, request_params=[90])


async def refused(chain: Chain, label: str, call: Call) -> str:
    with pytest.raises(CallReverted) as caught:
        await chain.do(label, call)
    return caught.value.why


def refusing(story: Callable[[Chain, Network, Refuses], Awaitable[None]]) -> None:
    """Run `story(chain, network, no)`; `no(label, call, reason)` asserts that the contract refuses the call with that reason."""

    async def run() -> None:
        async with bare_chain() as chain:

            async def no(label: str, call: Call, reason: str) -> None:
                assert await refused(chain, label, call) == reason

            await story(chain, await ready(chain), no)

    asyncio.run(run())


def encode(name: str, function: str, *args: object) -> str:
    return encode_call(load(name), function, *args)
