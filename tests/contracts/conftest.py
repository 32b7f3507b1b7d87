"""Scripted nodes: a FakeNode answers JSON-RPC from a chain of blocks that a test grows, cuts and silences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import Addresses, Network
from cortops.contracts.wallet import load_signing
from cortops.words.errors import ChainError, ChainUnreachable, RpcRefused

QUEUE = "0x" + "0a" * 20
WHERE = Addresses(**{name: f"0x{at:02x}" + "0b" * 19 for at, name in enumerate(NAMES)} | {"session_queue": QUEUE})


@dataclass
class Block:
    number: int
    hash: str
    parent: str
    tasks: tuple[int, ...]


@dataclass
class FakeNode:
    """Blocks hold TaskAckEnded events of session 1 for the task ids given. `on_call` runs before each answer."""

    url: str = "http://fake"
    blocks: list[Block] = field(default_factory=lambda: [Block(0, keccak_hex(b"genesis"), "0x" + "00" * 32, ())])
    down: bool = False
    range_max: int = 10**9
    calls: list[str] = field(default_factory=list)
    on_call: Callable[[], None] = lambda: None
    made: int = 0

    def grow(self, *tasks: int) -> None:
        self.made += 1  # so that a block of another branch has another hash
        parent = self.blocks[-1]
        number = parent.number + 1
        self.blocks.append(Block(number, keccak_hex(f"{number} {self.made}".encode()), parent.hash, tasks))

    def cut(self, blocks: int) -> None:
        del self.blocks[max(1, len(self.blocks) - blocks) :]

    def tasks(self) -> list[int]:
        return [task for block in self.blocks for task in block.tasks]

    async def call(self, method: str, *params: Any) -> Any:
        self.on_call()
        self.calls.append(method)
        if self.down:
            raise ChainUnreachable("the chain is silent")
        return getattr(self, method)(*params)

    async def batch_results(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The chain may change between two calls of a batch, as on a real node."""
        return [await self._value(method, params) for method, params in calls]

    async def _value(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self.call(method, *params)
        except RpcRefused as error:
            return error

    def eth_blockNumber(self) -> str:
        return hex(self.blocks[-1].number)

    def eth_getBlockByNumber(self, tag: str, _full: bool) -> dict[str, str] | None:
        number = self.blocks[-1].number if tag == "latest" else int(tag, 16)
        if number >= len(self.blocks):
            return None
        block = self.blocks[number]
        return {"number": hex(number), "hash": block.hash, "parentHash": block.parent, "timestamp": hex(1000 + number)}

    def eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, head = int(query["fromBlock"], 16), self.blocks[-1].number
        last = head if query["toBlock"] == "latest" else int(query["toBlock"], 16)
        if last - first + 1 > self.range_max:
            raise RpcRefused("range too large", rpc_code=-32005, message="range too large")
        return [self._log(block, at, task) for block in self.blocks[first : last + 1] for at, task in enumerate(block.tasks)]

    def _log(self, block: Block, at: int, task: int) -> dict[str, Any]:
        return {
            "address": QUEUE,
            "topics": [load("session_queue").topic("TaskAckEnded"), f"0x{1:064x}", f"0x{task:064x}"],
            "data": "0x",
            "blockNumber": hex(block.number),
            "blockHash": block.hash,
            "transactionHash": keccak_hex(f"{block.hash} {at}".encode()),
            "logIndex": hex(at),
        }


@dataclass
class ScriptedRpc:
    """Answers from {method: [answer, ...]}, the last one for ever; an exception is raised, what was asked is kept."""

    answers: dict[str, list[Any]]
    url: str = "http://fake"
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    async def call(self, method: str, *params: Any) -> Any:
        self.asked.append((method, params))
        left = self.answers[method]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, ChainError):
            raise answer
        return answer

    async def batch_results(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]

    def sent(self, method: str) -> list[tuple[Any, ...]]:
        return [params for asked, params in self.asked if asked == method]


@pytest.fixture(scope="session", autouse=True)
def slow_libraries() -> None:
    """Loaded here, so that no single test looks slow for it."""
    import eth_abi
    import eth_account

    assert eth_abi and eth_account and load_signing()


@pytest.fixture
def fake_node() -> FakeNode:
    return FakeNode()


@pytest.fixture(scope="session")
def new_fake_node() -> type[FakeNode]:
    return FakeNode


@pytest.fixture
def scripted_rpc() -> type[ScriptedRpc]:
    return ScriptedRpc


@pytest.fixture
def fake_network(fake_node: FakeNode) -> Network:
    return Network(fake_node, WHERE)  # type: ignore[arg-type]
