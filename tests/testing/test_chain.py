from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cortops.contracts.network import Call
from cortops.testing.chain import bare_chain, wallet_of
from cortops.words.errors import ChainUnreachable

NOBODY = wallet_of("nobody").address


def anvils() -> set[str]:
    return {path.parent.name for path in Path("/proc").glob("[0-9]*/comm") if _text(path).strip() == "anvil"}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""


@pytest.mark.real
def test_blocks_come_while_mining_and_nothing_is_left_afterwards() -> None:
    port: list[str] = []

    async def story() -> None:
        async with bare_chain() as chain:
            port.append(chain.url.rpartition(":")[2])
            sender = await chain.sender("someone")
            async with chain.mining():
                first = await sender.confirm(await sender.send(*Call(NOBODY, "0x")), 5)
            assert first.block == 1
            await sender.send(*Call(NOBODY, "0x"))
            assert await chain.rpc.call("eth_blockNumber") == "0x1"  # no longer mining
        with pytest.raises(ChainUnreachable):
            await chain.rpc.call("eth_chainId")

    asyncio.run(story())
    lines = [(Path("/proc") / pid / "cmdline") for pid in anvils()]
    assert not any(f"--port\0{port[0]}" in _text(line) for line in lines)


@pytest.mark.real
def test_a_chain_that_cannot_start_says_why() -> None:
    async def story() -> None:
        async with bare_chain(["--no-such-flag"]):
            raise AssertionError("it must not start")

    with pytest.raises(ChainUnreachable, match="--no-such-flag"):
        asyncio.run(story())


def test_wallets_are_the_same_in_every_run_and_differ_by_label() -> None:
    assert wallet_of("a").address == wallet_of("a").address != wallet_of("b").address
