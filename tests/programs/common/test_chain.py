"""The chain as a program has it: what it waits for at its start, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cortops.contracts.artifact import NAMES
from cortops.contracts.calls import MODULES
from cortops.contracts.keccak import checksummed, keccak256
from cortops.contracts.wallet import load_signing, new_private_key
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import make_log
from cortops.protocol.http import HttpFailure, HttpReply
from cortops.protocol.settings import ChainSettings
from cortops.testing.chain import CHAIN_ID, bare_chain, wallet_of
from cortops.testing.clock import VirtualClock
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, ChainError
from cortops.words.question import Silence

RUNTIME = "0x" + "0a" * 20
SETTINGS = ChainSettings(
    name="node-1",
    rpc_url="http://127.0.0.1:1/with-a-key",
    chain_id=CHAIN_ID,
    runtime=RUNTIME,
    address=wallet_of("node").address,
    private_key=new_private_key(keccak256(b"cortops test node")),
)
UNLINKED, NOBODY_HOME = "0x" + "00" * 32, "0x"


@pytest.fixture(scope="module", autouse=True)
def slow_library() -> None:
    """Loaded here, so that no single test looks slow for it."""
    load_signing()


class Node:
    """An HttpClient whose other side is a chain: down, then with `words` as what its runtime names."""

    def __init__(self) -> None:
        self.up = True
        self.chain_id = CHAIN_ID
        self.words: list[str] = [NOBODY_HOME] * len(MODULES)
        self.asked = 0

    async def request(self, _method: str, _url: str, *, body: bytes, **_more: Any) -> HttpReply:
        self.asked += 1
        if not self.up:
            raise HttpFailure("refused", silence=Silence.REFUSED, sent=False)
        asked = msgspec.json.decode(body)
        calls = asked if isinstance(asked, list) else [asked]
        fixed = {"eth_chainId": hex(self.chain_id), "eth_blockNumber": "0x7"}
        words = iter(self.words)
        replies = [{"id": call["id"], "result": fixed.get(call["method"]) or next(words)} for call in calls]
        return HttpReply(status=200, headers=[], body=msgspec.json.encode(replies if isinstance(asked, list) else replies[0]))


def chain_of(node: Node, clock: VirtualClock, settings: ChainSettings = SETTINGS) -> tuple[Chain, io.BytesIO]:
    out = io.BytesIO()
    return Chain(settings, node, clock, make_log("test", out, clock)), out  # type: ignore[arg-type]


def test_a_chain_that_comes_late_and_a_runtime_that_names_nothing_yet_are_waited_for() -> None:
    clock, node = VirtualClock(), Node()
    chain, out = chain_of(node, clock)
    said: list[tuple[str, ...]] = []

    def turn(change: Callable[[], None]) -> None:
        said.append(chain.why())
        change()

    async def story() -> int:
        node.up = False
        ready = asyncio.ensure_future(chain.ready())
        await clock.sleep(30)
        turn(lambda: setattr(node, "up", True))
        await clock.sleep(30)
        turn(lambda: setattr(node, "words", [UNLINKED] * len(MODULES)))
        await clock.sleep(30)
        assert not ready.done()
        turn(lambda: setattr(node, "words", [f"0x{at:064x}" for at in range(1, len(MODULES) + 1)]))
        return await ready

    assert clock.run(story()) == 7
    no_answer, not_there, not_linked = said
    assert no_answer == ("chain: the RPC endpoint gives no good answer",)
    assert not_there == not_linked and "does not name every one yet" in not_there[0]
    assert chain.why() == ("chain: no block seen yet",)
    lines = [msgspec.json.decode(line) for line in out.getvalue().splitlines()]
    assert [line["why"][:12] for line in lines] == ["refused", "no contract ", "not linked: "], "each once, not at every try"
    assert "with-a-key" not in str(said)


def test_the_contracts_are_not_known_before() -> None:
    chain, _ = chain_of(Node(), VirtualClock())
    with pytest.raises(ChainError, match="not known before"):
        assert chain.network


def test_another_chain_than_declared_is_fatal() -> None:
    clock, node = VirtualClock(), Node()
    node.chain_id = 1
    chain, _ = chain_of(node, clock)
    with pytest.raises(BadInput, match="has id 1, CHAINID says"):
        clock.run(chain.ready())


@pytest.mark.parametrize(
    ("wrong", "text"), [({"runtime": "0x12"}, "CONTRACT_ADDRESS_RUNTIME"), ({"address": RUNTIME}, "NODE_PRIVATE_KEY belongs to")]
)
def test_settings_that_cannot_be_right_are_refused_at_once(wrong: dict[str, str], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        chain_of(Node(), VirtualClock(), replace(SETTINGS, **wrong))


@pytest.mark.real
def test_on_a_real_chain_the_runtime_is_enough() -> None:
    async def story() -> None:
        async with bare_chain() as bare:
            clock, network = SystemClock(), await bare.deploy()
            settings = replace(SETTINGS, rpc_url=bare.url, runtime=network.addresses.runtime)
            chain = Chain(settings, bare.http, clock, make_log("test", io.BytesIO(), clock))
            await chain.ready()
            assert chain.network.addresses == network.addresses
            assert len(chain.network.contracts) == len(NAMES)
            assert checksummed(network.addresses.runtime) in chain.network.contracts

    asyncio.run(story())
