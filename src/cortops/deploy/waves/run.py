"""Drive the machine: hands change nodes, eyes look at them, and what comes of it goes back in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cortops.deploy.earning_gate import GateFacts
from cortops.deploy.waves import machine
from cortops.deploy.waves.machine import (
    Command,
    Event,
    Finish,
    Look,
    Looked,
    Record,
    StopAsked,
    Switch,
    Switched,
    SwitchFailed,
    TakeBack,
    TakeBackFailed,
    TakenBack,
    Tell,
    Upgrade,
)
from cortops.deploy.waves.plan import Step, UpgradePlan
from cortops.words.clock import Clock


class Hands(Protocol):
    """Changes nodes. What goes wrong is a value; only a fault of ours raises."""

    async def switch(self, step: Step) -> Switched | SwitchFailed:
        """Wait for the safe moment, and give the node the new program."""

    async def take_back(self, step: Step, why: str) -> TakenBack | TakeBackFailed:
        """Write down that it is bad, then give it back what it ran before: so a run that is cut off between the two is finished later."""

    async def record(self, step: Step, outcome: str, text: str) -> None:
        """Write down how its gate ended."""


class Eyes(Protocol):
    """Looks at changed nodes."""

    async def look(self, steps: Sequence[Step]) -> Mapping[str, GateFacts]:
        """Node -> what was seen of it since its change; every one asked for is answered."""


@dataclass(slots=True)
class Stopping:
    """How people end it. soon: no further node is begun, and what is under way is brought to its end; now: not even that."""

    soon: asyncio.Event = field(default_factory=asyncio.Event)
    now: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Soon at first; asked again, now."""
        (self.now if self.soon.is_set() else self.soon).set()


async def run(
    plan: UpgradePlan, hands: Hands, eyes: Eyes, clock: Clock, stopping: Stopping, report: Callable[[Tell, Upgrade], None]
) -> Upgrade:
    """The whole upgrade; returns how it stands when nothing is left to do, or when people wanted it left as it is.

    report: what people want to know at once, with the state then.
    """
    drive = _Drive(plan, hands, eyes, clock, report)
    work = asyncio.create_task(drive.work(stopping))
    leave = asyncio.create_task(stopping.now.wait())
    try:
        await asyncio.wait((work, leave), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (work, leave):
            task.cancel()
        await asyncio.gather(work, leave, return_exceptions=True)
    return drive.upgrade


class _Drive:
    def __init__(self, plan: UpgradePlan, hands: Hands, eyes: Eyes, clock: Clock, report: Callable[[Tell, Upgrade], None]) -> None:
        self.upgrade, self._first = machine.begin(plan)
        self._hands, self._eyes, self._clock, self._report = hands, eyes, clock, report
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def work(self, stopping: Stopping) -> None:
        """Until the machine says that nothing is left."""
        try:
            async with asyncio.TaskGroup() as group:
                stop = group.create_task(self._stop(stopping))
                over = await self._do(self._first, group)
                while not over:
                    event = await self._events.get()
                    self.upgrade, commands = machine.step(self.upgrade, event)
                    over = await self._do(commands, group)
                stop.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _do(self, commands: Sequence[Command], group: asyncio.TaskGroup) -> bool:
        over = False
        for command in commands:
            match command:
                case Finish():
                    over = True
                case Tell():
                    self._report(command, self.upgrade)
                case Record(node, outcome, text):
                    await self._hands.record(self._step(node), outcome, text)  # before the next node begins: a kill finds it written
                case Switch(node):
                    group.create_task(self._put(self._hands.switch(self._step(node))))
                case TakeBack(node, why):
                    group.create_task(self._put(self._hands.take_back(self._step(node), why)))
                case Look(nodes, after_s):
                    group.create_task(self._look(nodes, after_s))
        return over

    def _step(self, node: str) -> Step:
        return self.upgrade.nodes[node].step

    async def _put(self, work: Awaitable[Event]) -> None:
        self._events.put_nowait(await work)

    async def _look(self, nodes: Sequence[str], after_s: float) -> None:
        await self._clock.sleep(after_s)
        self._events.put_nowait(Looked(await self._eyes.look([self._step(node) for node in nodes])))

    async def _stop(self, stopping: Stopping) -> None:
        await stopping.soon.wait()
        self._events.put_nowait(StopAsked("you asked for no further node"))
