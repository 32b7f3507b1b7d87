"""From the runtime to all the others, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.contracts.network_rig import STRANGER, encode, refused

from cortops.contracts.artifact import load
from cortops.contracts.calls import MODULES
from cortops.contracts.discover import discover
from cortops.contracts.network import Call
from cortops.testing.chain import bare_chain
from cortops.words.errors import CallReverted, ChainError, RpcRefused

RUNTIME = "0x" + "0a" * 20
WORDS = ["0x" + f"{at + 1:064x}" for at in range(len(MODULES))]


class Answering:
    """Answers a batch with these values."""

    url = "http://fake"

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.batches = 0

    async def batch(self, calls: list[Any]) -> list[Any]:
        self.batches += 1
        assert len(calls) == len(self.answers)
        return self.answers


def found(answers: list[Any]) -> Any:
    rpc = Answering(answers)
    addresses = asyncio.run(discover(rpc, RUNTIME))  # type: ignore[arg-type]
    assert rpc.batches == 1
    return addresses


def test_all_are_named_in_one_batch() -> None:
    addresses = found(WORDS)
    assert addresses.runtime.lower() == RUNTIME
    assert [int(getattr(addresses, name), 16) for name in MODULES.values()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("nothing", ["0x" + "00" * 32, "0x", CallReverted("no such function")])
def test_what_is_not_linked_is_named(nothing: Any) -> None:
    with pytest.raises(ChainError) as caught:
        found([WORDS[0], nothing, *WORDS[2:5], nothing])
    assert caught.value.why == "not linked: NodePool, SessionQueueValidation"
    assert "cortops up" in caught.value.next


def test_an_address_without_a_contract_and_one_of_another_kind_are_told_apart() -> None:
    with pytest.raises(ChainError, match="no runtime contract at 0x0a0a"):
        found(["0x"] * 6)
    with pytest.raises(ChainError, match="another shape"):
        found(["0x" + "00" * 31 + "01" * 33] * 6)


def test_what_the_endpoint_refuses_is_not_said_of_the_runtime() -> None:
    refusal = RpcRefused("eth_call was refused: too many requests")
    with pytest.raises(RpcRefused):
        found([*WORDS[:5], refusal])


@pytest.mark.real
def test_on_a_real_chain_from_nothing_to_all() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            with pytest.raises(ChainError, match="no runtime contract"):
                await discover(chain.rpc, STRANGER)
            network = await chain.deploy()
            where = network.addresses
            assert await discover(chain.rpc, where.runtime.lower()) == where
            with pytest.raises(ChainError, match="does not name NodeStats, Session, SessionQueueValidation"):
                await discover(chain.rpc, where.session)  # a contract, and another than the runtime
            unset = Call(where.runtime, encode("runtime", "setNodeStatsAddress", "0x" + "00" * 20))
            assert await refused(chain, "stranger", unset) == "missing role"
            receipt = await chain.do("admin", unset)
            assert [log["topics"][0] for log in receipt.logs] == [load("runtime").topic("ModuleAddressSet")]
            with pytest.raises(ChainError) as caught:
                await discover(chain.rpc, where.runtime)
            assert caught.value.why == "not linked: NodeStats"

    asyncio.run(story())
