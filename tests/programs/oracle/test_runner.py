"""The runner on a scripted chain and a virtual clock: whom it assigns."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from cortops.contracts.abi import Event
from cortops.contracts.follow import Batch
from cortops.contracts.sender import Receipt
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import make_log
from cortops.programs.oracle.runner import STRIKE_FORGOTTEN_AFTER_S, Runner
from cortops.protocol.settings import OracleSettings
from cortops.testing.clock import VirtualClock

ACK_TIMEOUT_S = 5


@dataclass
class FakeChain:
    """One session; `written` are the calls: ("assign", task, miners) or the name of another step and its task."""

    dedicated: tuple[str, ...] = ("a", "b", "c")
    ephemeral: tuple[str, ...] = ()
    redundant: int = 3
    unregistered: frozenset[str] = frozenset()
    written: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def network(self) -> FakeChain:
        return self

    async def session(self, _session: int) -> Any:
        return SimpleNamespace(dedicated_nodes=self.dedicated, ephemeral_nodes=self.ephemeral, redundant=self.redundant, model=0)

    async def registered(self, nodes: tuple[str, ...]) -> frozenset[str]:
        return frozenset(nodes) - frozenset(self.unregistered)

    def assign_task(self, _session: int, task: int, miners: tuple[str, ...], _model: int) -> tuple[Any, ...]:
        return "assign", task, miners

    def __getattr__(self, name: str) -> Any:
        if name not in ("end", "end_forced", "end_ack", "end_precommit", "end_commit"):
            raise AttributeError(name)
        return lambda _session, task: (name, task)

    async def write(self, call: tuple[Any, ...], *, gas: int | None = None, **_about: object) -> Receipt:
        self.written.append(call)
        return Receipt(tx="0x1", block=1, block_hash="0x", gas_used=1, logs=())


@dataclass
class Rig:
    chain: FakeChain
    runner: Runner
    clock: VirtualClock

    async def told(self, name: str, task: int, **args: Any) -> None:
        event = Event(name=name, args={"sessionId": 1, "taskId": task, **args}, block=1, tx="0x", log_index=0, address="0x")
        await self.runner.on_batch(Batch(events=(event,), first=1, head=1, head_at=0, rewound=False))
        await self.clock.sleep(0.1)

    async def assigned(self, task: int) -> tuple[str, ...]:
        """The miners of a fresh task; the chain is told of them."""
        await self.told("TaskQueued", task)
        miners = cast("tuple[str, ...]", next(call[2] for call in self.chain.written if call[:2] == ("assign", task)))
        await self.told("TaskAssigned", task, miners=miners)
        return miners

    async def ended(self, task: int) -> None:
        await self.told("TaskEnded", task, miners=("b",))


def play(test: Any, chain: FakeChain) -> FakeChain:
    clock = VirtualClock()
    settings = OracleSettings(
        name="oracle-1", rpc_url="", chain_id=1, runtime="", address="", private_key="", port=0, ack_timeout_s=ACK_TIMEOUT_S
    )

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            runner = Runner(settings, cast("Chain", chain), clock, make_log("oracle", io.BytesIO(), clock), group)
            ticking = group.create_task(runner.tick())
            await test(Rig(chain, runner, clock))
            ticking.cancel()

    clock.run(main())
    return chain


def test_a_dead_miner_of_three_holds_up_one_task_and_is_left_out_of_the_next() -> None:
    async def run(rig: Rig) -> None:
        assert await rig.assigned(1) == ("a", "b", "c")
        for miner in ("b", "c"):
            await rig.told("TaskAcked", 1, miner=miner)
        await rig.clock.sleep(ACK_TIMEOUT_S + 1)
        assert ("end_ack", 1) in rig.chain.written
        await rig.ended(1)
        assert await rig.assigned(2) == ("b", "c")
        await rig.ended(2)
        await rig.clock.sleep(STRIKE_FORGOTTEN_AFTER_S)
        assert await rig.assigned(3) == ("a", "b", "c")

    play(run, FakeChain())


def test_when_all_were_late_all_may_try_again() -> None:
    async def run(rig: Rig) -> None:
        await rig.assigned(1)
        await rig.clock.sleep(ACK_TIMEOUT_S + 1)
        assert ("end_forced", 1) in rig.chain.written
        await rig.ended(1)
        assert await rig.assigned(2) == ("a", "b", "c")

    play(run, FakeChain())


def test_ephemeral_nodes_of_the_session_may_be_chosen_too() -> None:
    async def run(rig: Rig) -> None:
        assert await rig.assigned(1) == ("b", "e", "f")

    play(run, FakeChain(dedicated=("a", "b"), ephemeral=("e", "b", "f"), unregistered=frozenset({"a"})))
