"""Stand-ins of an Orbit chain: each selector and topic that checks ask is the public one, and each contract does its part on a chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortops.contracts import orbit
from cortops.contracts.abi import decode_log, decode_result, encode_call, word
from cortops.contracts.artifact import ORBIT_CHILD, ORBIT_PARENT, load
from cortops.contracts.keccak import keccak256
from cortops.testing.chain import CHAIN_ID, bare_chain, wallet_of
from cortops.testing.orbit_parent import COINS, OWNER, POSTER, USER, Parent
from cortops.words.errors import CallReverted

# nitro-contracts 3.1.0 and Nitro's precompiles.
SELECTORS = {
    "rollup": {
        "chainId()": "9a8a0592",
        "latestConfirmed()": "65f7f80d",
        "paused()": "5c975abb",
        "stakerCount()": "dff69787",
        "owner()": "8da5cb5b",
    },
    "sequencer_inbox": {
        "batchCount()": "06f13056",
        "isBatchPoster(address)": "71c3e6fe",
        "totalDelayedMessagesRead()": "7fa3a40e",
        "maxTimeVariation()": "ebea461d",
    },
    "bridge": {"nativeToken()": "e1758bd8", "nativeTokenDecimals()": "ad48cb5e", "delayedMessageCount()": "eca067ad"}
    | {"sequencerReportedSubMessageCount()": "5fca4a16"},
    "arb_sys": {"arbChainID()": "d127f54a", "arbOSVersion()": "051038f2"},
    "arb_owner_public": {"getScheduledUpgrade()": "81ef944c", "getAllChainOwners()": "516b4e0f"},
    "arb_gas_info": {"getMinimumGasPrice()": "f918379a", "getGasBacklog()": "1d5b5c20", "getPricesInWei()": "41b247a8"},
    "arb_aggregator": {"getBatchPosters()": "e10573a3"},
    "inbox": {"depositERC20(uint256)": "b79092fd"},
}
# Each in two halves, so that none looks like a key.
TOPICS = {
    "SequencerBatchDelivered": ("7394f4a19a13c7b92b5bb71033245305", "946ef78452f7b4986ac1390b5df4ebd7"),
    "AssertionCreated": ("901c3aee23cf4478825462caaab375c6", "06ab83516060388344f0650340753630"),
    "AssertionConfirmed": ("fc42829b29c259a7370ab56c8f69fce2", "3b5f351a9ce151da453281993ec0090c"),
    "MessageDelivered": ("5e3c1311ea442664e8b1611bfabef659", "120ea7a0a2cfc0667700bebc69cbffe1"),
    "L2ToL1Tx": ("3e7aafa77dbf186b7fd488006beff893", "744caa3c4f6f299e8a709fa2087374fc"),
}
NOBODY = "0x" + "00" * 20


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors_are_the_public_ones(name: str) -> None:
    methods = load(f"orbit/{name}").method_ids
    assert {signature: methods.get(signature) for signature in SELECTORS[name]} == {
        signature: f"0x{selector}" for signature, selector in SELECTORS[name].items()
    }


@pytest.mark.parametrize("event", TOPICS)
def test_topics_are_the_public_ones(event: str) -> None:
    topics = {
        signature.partition("(")[0]: topic for name in (*ORBIT_PARENT, *ORBIT_CHILD) for signature, topic in load(name).event_topics.items()
    }
    assert topics[event] == "0x" + "".join(TOPICS[event])


def test_every_stand_in_lies_where_nitro_has_its_precompile() -> None:
    places = orbit.predeploys(OWNER, POSTER)
    assert [int(place, 16) for place in places][:4] == [0x64, 0x6B, 0x6C, 0x6D]
    assert places[orbit.ARB_OWNER_PUBLIC].endswith(word(OWNER))
    assert places[orbit.ARB_SYS].endswith(word(orbit.DEPOSITS) + word(orbit.ARBOS_VERSION))


@pytest.fixture(scope="module")
def rig() -> Iterator[tuple[asyncio.Runner, Parent]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        made = Parent(runner.run(stack.enter_async_context(bare_chain())))
        runner.run(made.deploy())
        yield runner, made
        runner.run(stack.aclose())


def story(test: Callable[[Parent], Awaitable[None]]) -> Callable[..., None]:
    """A test that awaits, on the one chain of this module."""

    @pytest.mark.real
    def run(rig: tuple[asyncio.Runner, Parent]) -> None:
        runner, parent = rig
        runner.run(test(parent))  # type: ignore[arg-type]

    return run


@story
async def test_a_deposit_moves_the_token_into_the_bridge_and_gets_a_number(parent: Parent) -> None:
    number = await parent.read("bridge", "delayedMessageCount()")
    held = await parent.read("gas_token", "balanceOf(address)", parent.at["bridge"])
    before = await parent.read("bridge", "delayedAcc()")
    told = await parent.do("user", "inbox", "depositERC20", 3 * COINS)
    assert told["messageNum"] == number and told["data"] == "0x" + USER[2:].lower() + word(3 * COINS)
    assert await parent.read("bridge", "delayedMessageCount()") == number + 1
    assert await parent.read("gas_token", "balanceOf(address)", parent.at["bridge"]) == held + 3 * COINS
    assert await parent.read("inbox", "hasDeposited(address,uint256)", USER, 3 * COINS)
    assert not await parent.read("inbox", "hasDeposited(address,uint256)", OWNER, 1)
    data_hash, sender = keccak256(bytes.fromhex(told["data"][2:])).hex(), word(USER)
    expected = keccak256(bytes.fromhex(before[2:] + word(12) + sender + word(number) + data_hash)).hex()
    assert await parent.read("bridge", "delayedAcc()") == "0x" + expected


@story
async def test_a_paused_inbox_takes_nothing(parent: Parent) -> None:
    with pytest.raises(CallReverted, match="not the owner"):
        await parent.do("user", "inbox", "pause")
    await parent.do("owner", "inbox", "pause")
    with pytest.raises(CallReverted, match="paused"):
        await parent.do("user", "inbox", "depositERC20", COINS)
    await parent.do("owner", "inbox", "unpause")
    assert not await parent.read("inbox", "paused()")


@story
async def test_a_batch_is_taken_once_and_from_a_poster_only(parent: Parent) -> None:
    number, messages = (
        await parent.read("sequencer_inbox", "batchCount()"),
        await parent.read("bridge", "sequencerReportedSubMessageCount()"),
    )
    batch = (number, b"\xc0batch", 0, NOBODY, messages, messages + 7)
    with pytest.raises(CallReverted, match="not a batch poster"):
        await parent.do("user", "sequencer_inbox", "addSequencerL2BatchFromOrigin", *batch)
    told = await parent.do("poster", "sequencer_inbox", "addSequencerL2BatchFromOrigin", *batch)
    assert told["batchSequenceNumber"] == number and told["dataLocation"] == 0
    assert await parent.read("bridge", "sequencerReportedSubMessageCount()") == messages + 7
    with pytest.raises(CallReverted, match="bad sequence number"):
        await parent.do("poster", "sequencer_inbox", "addSequencerL2BatchFromOrigin", *batch)
    with pytest.raises(CallReverted, match="not delivered yet"):
        later = (number + 1, b"", 10_000, NOBODY, messages + 7, messages + 8)
        await parent.do("poster", "sequencer_inbox", "addSequencerL2BatchFromOrigin", *later)


@story
async def test_an_assertion_is_created_and_confirmed_once_and_not_while_paused(parent: Parent) -> None:
    number, messages = (
        await parent.read("sequencer_inbox", "batchCount()"),
        await parent.read("bridge", "sequencerReportedSubMessageCount()"),
    )
    await parent.do("poster", "sequencer_inbox", "addSequencerL2BatchFromOrigin", number, b"x", 0, NOBODY, messages, messages + 1)
    block, no_root = "0x" + "ab" * 32, "0x" + "00" * 32
    await parent.do("owner", "rollup", "pause")
    assert await parent.read("rollup", "paused()")
    with pytest.raises(CallReverted, match="paused"):
        await parent.do("staker", "rollup", "createAssertion", number + 1, block, no_root)
    await parent.do("owner", "rollup", "resume")
    with pytest.raises(CallReverted, match="not posted yet"):
        await parent.do("staker", "rollup", "createAssertion", number + 2, block, no_root)
    created = await parent.do("staker", "rollup", "createAssertion", number + 1, block, no_root)
    with pytest.raises(CallReverted, match="another assertion waits"):
        await parent.do("staker", "rollup", "createAssertion", number + 1, block, no_root)
    confirmed = await parent.do("staker", "rollup", "confirmAssertion", created["assertionHash"])
    assert confirmed == {"assertionHash": created["assertionHash"], "blockHash": block, "sendRoot": no_root}
    assert await parent.read("rollup", "latestConfirmed()") == created["assertionHash"]
    assert await parent.read("rollup", "stakerCount()") == 1
    with pytest.raises(CallReverted, match="no such assertion"):
        await parent.do("staker", "rollup", "confirmAssertion", created["assertionHash"])


@story
async def test_a_withdrawal_is_paid_once_and_in_order(parent: Parent) -> None:
    await parent.do("user", "inbox", "depositERC20", COINS)
    held, paid = await parent.read("gas_token", "balanceOf(address)", OWNER), await parent.read("bridge", "paidOut()")
    await parent.do("staker", "bridge", "payOut", paid, OWNER, COINS)
    with pytest.raises(CallReverted, match="not the next withdrawal"):
        await parent.do("staker", "bridge", "payOut", paid, OWNER, COINS)
    with pytest.raises(CallReverted, match="not an outbox"):
        await parent.do("user", "bridge", "payOut", paid + 1, OWNER, COINS)
    assert await parent.read("gas_token", "balanceOf(address)", OWNER) == held + COINS


@story
async def test_the_child_credits_each_deposit_once_and_takes_back_what_leaves(parent: Parent) -> None:
    rpc = parent.chain.rpc
    for place, code in orbit.predeploys(OWNER, POSTER).items():
        await rpc.call("anvil_setCode", place, code)
    await rpc.call("anvil_setBalance", orbit.DEPOSITS, hex(orbit.RESERVE_WEI))
    await rpc.call("anvil_impersonateAccount", orbit.RELAY)
    receiver = wallet_of("receiver").address

    async def deliver(index: int) -> str:
        data = encode_call(load("orbit/deposits"), "deliver", index, "0x" + "11" * 32, receiver, COINS)
        tx = await rpc.call(
            "eth_sendTransaction", {"from": orbit.RELAY, "to": orbit.DEPOSITS, "data": data, "gas": "0x50000", "gasPrice": "0x0"}
        )
        await parent.chain.mine()
        return str((await rpc.call("eth_getTransactionReceipt", tx))["status"])

    assert [await deliver(index) for index in (0, 0, 2, 1)] == ["0x1", "0x0", "0x0", "0x1"]
    assert int(await rpc.call("eth_getBalance", receiver, "latest"), 16) == 2 * COINS

    async def ask(place: str, name: str, signature: str) -> Any:
        call = {"to": place, "data": load(name).method_ids[signature]}
        return decode_result(load(name), signature, await rpc.call("eth_call", call, "latest"))[0]

    assert await ask(orbit.ARB_SYS, "orbit/arb_sys", "arbChainID()") == CHAIN_ID
    assert await ask(orbit.ARB_SYS, "orbit/arb_sys", "arbOSVersion()") == 55 + orbit.ARBOS_VERSION
    assert await ask(orbit.ARB_OWNER_PUBLIC, "orbit/arb_owner_public", "getAllChainOwners()") == (OWNER,)
    assert await ask(orbit.ARB_AGGREGATOR, "orbit/arb_aggregator", "getBatchPosters()") == (POSTER,)
    assert await ask(orbit.ARB_GAS_INFO, "orbit/arb_gas_info", "getMinimumGasPrice()") == 0

    reserve = int(await rpc.call("eth_getBalance", orbit.DEPOSITS, "latest"), 16)
    sender = await parent.chain.sender("user")
    tx = await sender.send(orbit.ARB_SYS, encode_call(load("orbit/arb_sys"), "withdrawEth", OWNER), COINS)
    await parent.chain.mine()
    receipt = await sender.confirm(tx, 5)
    event = decode_log(load("orbit/arb_sys"), receipt.logs[0])
    assert event is not None and (event.name, event.args["position"], event.args["callvalue"]) == ("L2ToL1Tx", 0, COINS)
    assert event.args["destination"] == OWNER and event.args["caller"] == USER
    assert int(await rpc.call("eth_getBalance", orbit.DEPOSITS, "latest"), 16) == reserve + COINS
