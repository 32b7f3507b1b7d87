"""Sequencer, poster and staker between two real chains, step by step: what each does, and what a fault of another does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO

import pytest

from cortops.contracts import orbit
from cortops.contracts.abi import encode_call
from cortops.contracts.artifact import load
from cortops.contracts.rpc import RpcClient
from cortops.programs.common.logs import Log, make_log
from cortops.programs.orbit.ends import End
from cortops.programs.orbit.feed import Feed
from cortops.programs.orbit.poster import Poster
from cortops.programs.orbit.sequencer import Sequencer
from cortops.programs.orbit.staker import Staker
from cortops.protocol.settings import OrbitSettings
from cortops.testing.chain import Chain, bare_chain, wallet_of
from cortops.testing.orbit_parent import COINS, OWNER, POSTER, USER, Parent
from cortops.words.errors import CallReverted

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Saved(End):
    """A chain whose every block is safe at once, but for those after `limit`."""

    limit: list[int]

    async def final_block(self) -> int:
        return min(await self.head(), *self.limit)


@dataclass
class Pair:
    parent: Parent
    child: Chain
    ends: tuple[Saved, Saved]
    settings: OrbitSettings
    log: Log

    def sequencer(self) -> Sequencer:
        return Sequencer(self.settings, *self.ends, Feed(self.settings.child_chain_id), self.child.clock, self.log)

    async def poster(self) -> Poster:
        sender = await self.parent.chain.sender("poster")
        return Poster(self.settings, *self.ends, sender, self.child.clock, self.log)

    async def staker(self) -> Staker:
        sender = await self.parent.chain.sender("staker")
        return Staker(self.settings, *self.ends, sender, self.child.clock, self.log)

    async def balance(self, account: str) -> int:
        return int(await self.child.rpc.call("eth_getBalance", account, "latest"), 16)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    async with bare_chain() as above, bare_chain() as below, above.mining(), below.mining():
        parent = Parent(above)
        await parent.deploy()
        for place, code in orbit.predeploys(OWNER, POSTER).items():
            await below.rpc.call("anvil_setCode", place, code)
        await below.rpc.call("anvil_setBalance", orbit.DEPOSITS, hex(orbit.RESERVE_WEI))
        settings = OrbitSettings(
            name="test",
            does="sequencer",
            parent_rpc=above.url,
            parent_chain_id=1,
            child_rpc=below.url,
            child_chain_id=2,
            rollup=parent.at["rollup"],
            bridge=parent.at["bridge"],
            inbox=parent.at["inbox"],
            sequencer_inbox=parent.at["sequencer_inbox"],
            port=1,
            every_s=0,
            idle_every_s=3_600,
        )
        ends = (Saved(above.rpc, above.http, "", [10**9]), Saved(below.rpc, below.http, "", [10**9]))
        yield Pair(parent, below, ends, settings, make_log("test", BytesIO(), below.clock))


def test_a_deposit_is_credited_once_and_goes_back_as_a_withdrawal_that_is_paid_once() -> None:
    async def story() -> None:
        async with pair() as made:
            parent, sequencer, receiver = made.parent, made.sequencer(), wallet_of("receiver").address
            await parent.do("user", "inbox", "depositERC20To", receiver, 5 * COINS)
            made.ends[0].limit[0] = 0
            assert await sequencer.take_deposits() == 0, "a kill of the parent could take it back"
            assert sequencer.health().facts["deposits_waiting"] == 1
            made.ends[0].limit[0] = 10**9
            assert await sequencer.take_deposits() == 1
            assert await made.sequencer().take_deposits() == 0, "another one, as after a kill"
            assert await made.balance(receiver) == 5 * COINS

            poster, staker = await made.poster(), await made.staker()
            assert await poster.look() and not await poster.look()
            assert await parent.read("sequencer_inbox", "totalDelayedMessagesRead()") == 1
            await staker.look()
            await staker.look()
            confirmed = await parent.read("rollup", "confirmedBatchCount()")
            assert confirmed == await parent.read("sequencer_inbox", "batchCount()") == 1

            user = await made.child.sender("user")
            before = await parent.read("gas_token", "balanceOf(address)", OWNER)
            await user.confirm(await user.send(orbit.ARB_SYS, encode_call(load("orbit/arb_sys"), "withdrawEth", OWNER), COINS), 5)
            await staker.look()
            assert await parent.read("bridge", "paidOut()") == 0, "no assertion covers it yet"
            assert await poster.look()
            for _ in range(4):
                await staker.look()
            assert await parent.read("bridge", "paidOut()") == 1
            assert await parent.read("gas_token", "balanceOf(address)", OWNER) == before + COINS
            assert not await poster.look(), "everything is posted"
            assert staker.health().status == "ok" and poster.health().facts["blocks_waiting"] == 0

    asyncio.run(story())


def test_each_fault_stops_what_depends_on_it_and_says_why() -> None:
    async def story() -> None:
        async with pair() as made:
            parent, sequencer = made.parent, made.sequencer()
            poster, staker = await made.poster(), await made.staker()
            await parent.do("user", "inbox", "depositERC20", COINS)
            await sequencer.take_deposits()
            await parent.do("owner", "sequencer_inbox", "setIsBatchPoster", POSTER, False)
            with pytest.raises(CallReverted, match="not a batch poster"):
                await poster.look()
            await parent.do("owner", "sequencer_inbox", "setIsBatchPoster", POSTER, True)
            assert await poster.look()
            await parent.do("owner", "rollup", "pause")
            await staker.look()
            assert staker.health().why == ("the rollup is paused",)
            assert await parent.read("rollup", "assertedBatchCount()") == 0

            await made.child.rpc.call("anvil_setStorageAt", orbit.DEPOSITS, "0x" + "00" * 32, "0x" + f"{9:064x}")
            assert await sequencer.take_deposits() == 0
            (why,) = sequencer.health().why
            assert why.startswith("the child was credited with 9 deposits, and the parent knows 1")
            assert await made.balance(USER) == COINS

    asyncio.run(story())


def test_every_block_goes_out_on_the_feed_even_when_the_parent_is_silent() -> None:
    async def story() -> None:
        async with pair() as made:
            feed = Feed(2)
            nobody = RpcClient("http://127.0.0.1:1", made.child.http)
            silent = End(nobody, made.child.http, "")
            sequencer = Sequencer(made.settings, silent, made.ends[1], feed, made.child.clock, made.log)
            await made.child.mine(3)
            await sequencer.feed_blocks()
            assert [one.number for one in feed.recent.blocks] == [0, 1, 2, 3]
            await made.child.mine(1)
            await sequencer.feed_blocks()
            await sequencer.feed_blocks()
            assert [one.number for one in feed.recent.blocks] == [0, 1, 2, 3, 4]

    asyncio.run(story())
