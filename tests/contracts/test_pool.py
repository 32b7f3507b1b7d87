"""The ephemeral pool: who goes in, what a session reserves, and what it gives back."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.network_rig import MINERS, STRANGER, Refuses, encode, ready, refusing

from cortops.contracts.abi import decode_log
from cortops.contracts.artifact import load
from cortops.contracts.network import Call, Network
from cortops.contracts.sender import Receipt
from cortops.testing.chain import Chain, bare_chain

pytestmark = pytest.mark.real


def told(network: Network, receipt: Receipt) -> list[tuple[str, dict[str, object]]]:
    """The session contract's own events of one transaction."""
    logs = [log for log in receipt.logs if log["address"].lower() == network.addresses.session.lower()]
    return [(event.name, dict(event.args)) for log in logs if (event := decode_log(load("session"), log)) is not None]


def test_a_session_reserves_nodes_and_gives_them_back() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await chain.do("pool", *(network.add_to_pool(miner) for miner in MINERS))
            assert await network.ephemeral_nodes() == tuple(MINERS)
            created = await chain.do("owner", network.create_session("free", min_nodes=2, max_nodes=2, reserve_ephemeral=True, mode=0))
            session = await network.session(2)
            assert set(session.ephemeral_nodes) == set(MINERS[1:])
            assert [name for name, _ in told(network, created)] == ["SessionCreated", "NewNodeAssignedToSession"]
            assigned = told(network, created)[1][1]
            assert (assigned["addrs"], assigned["count"], assigned["assignmentType"]) == (session.ephemeral_nodes, 2, 0)
            assert await network.ephemeral_nodes() == (MINERS[0],)
            assert [await network.reserving_session(miner) for miner in MINERS] == [None, 2, 2]
            ended = await chain.do("owner", network.deactivate_session(2))
            assert [name for name, _ in told(network, ended)] == ["NodeReleased", "NodeReleased", "SessionDeactivated"]
            assert (await network.session(2)).ephemeral_nodes == ()
            # Released is not free: they have to be let in again.
            assert await network.ephemeral_nodes() == (MINERS[0],)
            assert [await network.reserving_session(miner) for miner in MINERS] == [None, None, None]
            await chain.do("pool", network.add_to_pool(MINERS[2]))
            await chain.do("owner", network.create_session("again", min_nodes=1, max_nodes=9, reserve_ephemeral=True))
            assert set((await network.session(3)).ephemeral_nodes) == {MINERS[0], MINERS[2]}

    asyncio.run(story())


def test_a_node_that_left_the_registry_is_not_reserved() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await chain.do("pool", *(network.add_to_pool(miner) for miner in MINERS))
            await chain.do("m3", Call(network.addresses.node_registry, encode("node_registry", "remove", MINERS[2])))
            await chain.do("owner", network.create_session("free", min_nodes=1, max_nodes=1, reserve_ephemeral=True))
            assert (await network.session(2)).ephemeral_nodes == (MINERS[1],)
            assert await network.ephemeral_nodes() == (MINERS[0],)

    asyncio.run(story())


def test_refusals_of_the_pool() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        pool = network.addresses.node_pool
        await no("stranger", network.add_to_pool(MINERS[0]), "missing role")
        await no("admin", network.remove_from_pool(MINERS[0]), "missing role")
        await no("pool", network.add_to_pool(STRANGER), "node not registered")
        await no("pool", network.remove_from_pool(MINERS[0]), "not in the pool")
        await chain.do("pool", *(network.add_to_pool(miner) for miner in MINERS[:2]))
        await no("pool", network.add_to_pool(MINERS[0]), "already in the pool")
        few = network.create_session("few", min_nodes=3, max_nodes=3, reserve_ephemeral=True)
        await no("owner", few, "too few nodes in the ephemeral pool")
        assert await network.ephemeral_nodes() == tuple(MINERS[:2])
        await chain.do("owner", network.create_session("two", min_nodes=2, max_nodes=3, reserve_ephemeral=True))
        await no("pool", network.add_to_pool(MINERS[0]), "reserved by a session")
        await no("pool", network.remove_from_pool(MINERS[0]), "reserved by a session")
        for call in (encode("node_pool", "reserve", 1, 0, 1), encode("node_pool", "release", 2, MINERS[:2])):
            await no("stranger", Call(pool, call), "only the session contract")
        await chain.do("pool", network.add_to_pool(MINERS[2]))
        await chain.do("pool", network.remove_from_pool(MINERS[2]))
        assert await network.ephemeral_nodes() == ()
        await chain.do("admin", Call(network.addresses.session, encode("session", "setNodePoolAddress", "0x" + "00" * 20)))
        await no("owner", few, "no ephemeral pool")

    refusing(story)
