"""A child chain has its stand-ins from the first look on, keeps what they hold when their code changes, and other chains have none."""

from __future__ import annotations

import asyncio
from io import BytesIO

import pytest

from cortops.contracts import orbit
from cortops.programs.common.logs import make_log
from cortops.programs.devchain.predeploys import put
from cortops.protocol.settings import DevchainSettings
from cortops.testing.chain import bare_chain

pytestmark = pytest.mark.real

OWNER, POSTER, ANOTHER = ("0x" + digits * 20 for digits in ("a1", "b2", "c3"))


def settings(owner: str = "", poster: str = "") -> DevchainSettings:
    return DevchainSettings(anvil_path="anvil", data_path="data", chain_id=1, health_port=1, chain_owner=owner, batch_poster=poster)


def test_stand_ins_are_put_once_and_again_where_they_differ() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            out = BytesIO()
            log = make_log("chain", out, chain.clock)

            async def code(address: str) -> str:
                return str(await chain.rpc.call("eth_getCode", address, "latest"))

            await put(chain.rpc, settings(), log)
            assert await code(orbit.ARB_SYS) == "0x"
            await put(chain.rpc, settings(OWNER, POSTER), log)
            wanted = orbit.predeploys(OWNER, POSTER)
            assert {address: await code(address) for address in wanted} == wanted
            assert await chain.rpc.call("eth_getBalance", orbit.DEPOSITS, "latest") == hex(orbit.RESERVE_WEI)

            await chain.rpc.call("anvil_setBalance", orbit.DEPOSITS, hex(7))
            await chain.rpc.call("anvil_setStorageAt", orbit.DEPOSITS, "0x" + "00" * 32, f"0x{3:064x}")
            await chain.rpc.call("anvil_setCode", orbit.DEPOSITS, "0x00")
            await put(chain.rpc, settings(ANOTHER, POSTER), log)
            assert await code(orbit.ARB_OWNER_PUBLIC) == orbit.predeploys(ANOTHER, POSTER)[orbit.ARB_OWNER_PUBLIC]
            assert await chain.rpc.call("eth_getBalance", orbit.DEPOSITS, "latest") == hex(7), "nothing is given twice"
            assert int(await chain.rpc.call("eth_getStorageAt", orbit.DEPOSITS, "0x0", "latest"), 16) == 3, "what was counted stays"
            told = out.getvalue().count(b"precompile stand-ins put")
            await put(chain.rpc, settings(ANOTHER, POSTER), log)
            assert out.getvalue().count(b"precompile stand-ins put") == told == 2

    asyncio.run(story())
