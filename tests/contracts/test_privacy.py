"""The list of who may have keys, as the compiled contract keeps it."""

from __future__ import annotations

import asyncio

import pytest

from cortops.contracts import create2
from cortops.contracts.abi import encode_call, encode_constructor
from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.network import Call
from cortops.contracts.privacy import ADDRESSES_MAX, is_allowed, list_hash, list_of, read_hash, write_list
from cortops.testing.chain import bare_chain, wallet_of
from cortops.words.errors import BadInput, CallReverted, ChainError

ANN, BOB, EVE = (wallet_of(name).address for name in ("ann", "bob", "eve"))


def test_a_list_has_one_order_and_a_limit() -> None:
    assert list_of([BOB, ANN.lower(), ANN]) == list_of([ANN, BOB]) == tuple(sorted([ANN, BOB], key=str.lower))
    assert list_hash([ANN, BOB]) == list_hash([BOB.lower(), ANN]) != list_hash([ANN])
    many = [wallet_of(str(number)).address for number in range(ADDRESSES_MAX + 1)]
    assert len(list_of(many[1:])) == ADDRESSES_MAX
    with pytest.raises(BadInput, match="33 addresses"):
        list_of(many)


@pytest.mark.real
def test_the_contract_says_what_was_set() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            code = encode_constructor(load(PRIVACY), wallet_of("admin").address)
            contract = create2.address(code)
            await chain.do("admin", Call(create2.DEPLOYER, create2.deploy_calldata(code)))

            async def hash_of(session: int) -> str:
                return str(await chain.rpc.call("eth_call", {"to": contract, "data": read_hash(session)}, "latest"))

            async def allowed(address: str, session: int, task: int = 1) -> bool:
                return await is_allowed(chain.rpc, contract, session, task, address)

            assert await hash_of(7) == list_hash([]) and not await allowed(ANN, 7)
            await chain.do("admin", Call(contract, write_list(7, [ANN, BOB])))
            assert await hash_of(7) == list_hash([ANN, BOB]) and await hash_of(8) == list_hash([])
            assert [await allowed(who, 7) for who in (ANN, BOB, EVE)] == [True, True, False]
            of_task = encode_call(load(PRIVACY), "setTaskAllowlist", 7, 3, [EVE])
            await chain.do("admin", Call(contract, of_task))
            assert [await allowed(EVE, 7, task) for task in (3, 4)] == [True, False]
            await chain.do("admin", Call(contract, write_list(7, [BOB])))
            assert [await allowed(who, 7) for who in (ANN, BOB)] == [False, True]
            many = [wallet_of(str(number)).address for number in range(ADDRESSES_MAX)]
            await chain.do("admin", Call(contract, write_list(7, many)))
            assert await hash_of(7) == list_hash(many) and await allowed(many[-1], 7) and not await allowed(BOB, 7)
            with pytest.raises(CallReverted, match="missing role"):
                await chain.do("ann", Call(contract, write_list(7, [ANN])))
            with pytest.raises(ChainError, match="another shape"):
                await is_allowed(chain.rpc, EVE, 7, 1, ANN)

    asyncio.run(story())
