"""A network on the model of the chain, by a seed: real routers, oracle and miners in bad weather, and what must hold in the end."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from cortops.contracts.network import result_hash
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log, make_log
from cortops.programs.miner.buffers import Buffers
from cortops.programs.miner.runner import Runner as MinerRunner
from cortops.programs.oracle.runner import Runner as OracleRunner
from cortops.programs.router.desk import Desk
from cortops.programs.router.links import Links
from cortops.programs.router.request import Answer, Fail
from cortops.protocol.http import HttpClient
from cortops.protocol.routes import TaskRequest
from cortops.protocol.settings import MinerSettings, OracleSettings
from cortops.testing.clock import VirtualClock
from cortops.testing.simulation.ledger import Ledger, View, Weather
from cortops.words.errors import ChainError

SESSIONS, MINERS = 2, 5
BLOCK_EVERY_S = 0.25
CALM_MAX_S = 3_000.0  # after the last request and the last fault all must have come to an end
RETRIES_MAX = 20
RESTART_MAX_S = 10.0
_KEY = "0x" + "00" * 31 + "01"


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run left. answers: reference -> every final word that its client had. violations: what must not be, in words."""

    steps: int = 0
    tasks: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    rewinds: int = 0
    violations: list[str] = field(default_factory=list)


class _Engine:
    """Stands for the HTTP client of a miner: an engine whose answer follows from the prompt."""

    def __init__(self, clock: VirtualClock, chance: random.Random, weather: Callable[[], Weather]) -> None:
        self._clock = clock
        self._chance = chance
        self._weather = weather

    @asynccontextmanager
    async def stream(self, _method: str, _url: str, *, body: bytes, **_rest: object) -> AsyncIterator[Any]:
        weather = self._weather()
        prompt = msgspec.json.decode(body)["prompt"]
        await self._clock.sleep(self._chance.uniform(0.05, weather.engine_max_s))
        fails = self._chance.random() < weather.engine_fails

        async def chunks() -> AsyncGenerator[bytes, None]:
            for word in f"answer to {prompt}".split():
                yield b'data: {"choices":[{"delta":{"content":%s}}]}\n\n' % msgspec.json.encode(word + " ")
            yield b"data: [DONE]\n\n"

        yield SimpleNamespace(status=500 if fails else 200, chunks=chunks)


class _Links:
    """Stands for Links: frames go straight from a miner's buffers to the desk, while the miner runs."""

    def __init__(self, world: World, desk: Desk) -> None:
        self._world = world
        self._desk = desk

    def watch(self, miner: str, key: tuple[int, int]) -> None:
        buffers = self._world.buffers.get(miner)
        if buffers is not None:
            buffers.watch(key, lambda frame: self._world.tell(lambda: self._desk.deliver(miner, frame)))

    def forget(self, key: tuple[int, int]) -> None:
        """Nothing is held here."""


class World:
    """One run: `run(requests)` and read the Result."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.chance = random.Random(seed)
        self.clock = VirtualClock()
        self.weather = weather
        self.result = Result()
        self.miners = tuple(f"0x{at:040x}" for at in range(1, MINERS + 1))
        self.sessions = dict.fromkeys(range(1, SESSIONS + 1), self.miners)
        self.ledger = Ledger(self.chance, self.clock, frozenset(self.miners))
        self.desks: dict[int, Desk] = {}
        self.buffers: dict[str, Buffers] = {}
        self._log = make_log("simulation", io.BytesIO(), self.clock)
        self._programs: dict[str, asyncio.Task[None]] = {}
        self._under_way = 0

    def run(self, requests: int) -> Result:
        """So many requests over the sessions, then calm until all is over; what must hold is checked at the end."""
        self.clock.run(self._run(requests))
        self._check()
        self.result.steps += self.ledger.applied
        return self.result

    def tell(self, what: Callable[[], None]) -> None:
        """One thing told to a program."""
        self.result.steps += 1
        what()

    async def _run(self, requests: int) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._seal()), *(group.create_task(self._keep(name)) for name in self._names())]
            crashing = group.create_task(self._crash())
            clients = []
            for at in range(requests):
                clients.append(group.create_task(self._client(at)))
                await self.clock.sleep(self.chance.uniform(0.0, 2.0))
            await asyncio.wait(clients)
            crashing.cancel()
            self.weather = Weather(refused_late=self.weather.refused_late)
            until = self.clock.monotonic() + CALM_MAX_S
            while self._open() and self.clock.monotonic() < until:
                await self.clock.sleep(1.0)
            for task in keepers:
                task.cancel()

    def _names(self) -> tuple[str, ...]:
        return (*(f"router-{session}" for session in self.sessions), *self.miners, "oracle")

    def _open(self) -> bool:
        return any(not entry.ended for entry in self.ledger.head.queue.tasks.values())

    async def _seal(self) -> None:
        while True:
            await self.clock.sleep(BLOCK_EVERY_S)
            if self.chance.random() < self.weather.back:
                self.result.rewinds += 1
                self.ledger.go_back(self.chance.randint(1, 3), self.weather.lost)
            elif self.ledger.waiting or self.chance.random() < 0.05:
                self.ledger.seal(self.weather.lost)

    async def _crash(self) -> None:
        while True:
            await self.clock.sleep(1.0)
            if self.chance.random() < self.weather.crash:
                self.result.crashes += 1
                self._programs[self.chance.choice(self._names())].cancel()

    async def _keep(self, name: str) -> None:
        """A program that is started again whenever it ends, as a service manager does."""
        while True:
            self._programs[name] = asyncio.ensure_future(self._program(name))
            try:
                await asyncio.wait({self._programs[name]})
            except asyncio.CancelledError:
                self._programs[name].cancel()
                await asyncio.wait({self._programs[name]})
                raise
            if not self._programs[name].cancelled() and (error := self._programs[name].exception()) is not None:
                self.result.violations.append(f"{name} ended by {error!r}")
            await self.clock.sleep(self.chance.uniform(0.5, RESTART_MAX_S))

    async def _program(self, name: str) -> None:
        address = name if name in self.miners else f"0x{name}"
        view = View(ledger=self.ledger, address=address, weather=self.weather, sessions=self.sessions)
        view.double = self.weather.double if name in self.miners else 0.0  # a router's transaction is the same one however often it is sent
        try:
            async with asyncio.TaskGroup() as group:
                begin, tell = self._started(name, view, group)
                await self._follow(view, begin, tell)
        finally:
            self.buffers.pop(name, None)
            if name.startswith("router-"):
                desk = self.desks.pop(int(name.removeprefix("router-")), None)
                if desk is not None:
                    desk.stop()

    def _started(self, name: str, view: View, group: asyncio.TaskGroup) -> tuple[Any, Any]:
        chain, log = cast(Chain, view), self._log
        if name == "oracle":
            settings = OracleSettings(**_common(name), port=1, ack_timeout_s=5, precommit_timeout_s=20, commit_timeout_s=10)
            oracle = OracleRunner(settings, chain, self.clock, log, group)
            group.create_task(oracle.tick())
            return oracle.started, oracle.on_batch
        if name in self.miners:
            buffers = self.buffers[name] = Buffers()
            miner = self._miner(name, chain, buffers, log, group)
            return miner.started, miner.on_batch
        desk = Desk(chain, self.clock, log, group)
        desk.links = cast(Links, _Links(self, desk))
        self.desks[int(name.removeprefix("router-"))] = desk
        return desk.begin, desk.tell

    def _miner(self, name: str, chain: Chain, buffers: Buffers, log: Log, group: asyncio.TaskGroup) -> MinerRunner:
        settings = MinerSettings(**_common(name), port=1, engine_url="http://engine", engine_model="m")
        http = cast(HttpClient, _Engine(self.clock, self.chance, lambda: self.weather))
        return MinerRunner(settings, chain, http, buffers, self.clock, log, group)

    async def _follow(self, view: View, begin: Any, tell: Any) -> None:
        """As Chain.follow."""
        while True:
            view.weather = self.weather
            try:
                head = self.ledger.head.number
                await begin(head)
                async with aclosing(view.batches(head)) as batches:
                    async for batch in batches:
                        view.weather = self.weather
                        self.result.steps += 1 + len(batch.events)
                        await tell(batch)
            except ChainError:
                await self.clock.sleep(1.0)

    async def _client(self, at: int) -> None:
        """Asks until it has an answer, with one reference throughout; a word of the router that a retry cannot mend ends it."""
        session = self.chance.choice(list(self.sessions))
        reference = f"req-{at}"
        task = TaskRequest(
            session=session, prompt_type=0, text=f"question {at}", template="", llm_params=(), request_params=(), reference=reference
        )
        for _ in range(RETRIES_MAX):
            desk = self.desks.get(session)
            if desk is None or not desk.ready:
                await self.clock.sleep(1.0)
                continue
            last = await self._asked(desk, task)
            if isinstance(last, Answer):
                self.result.answered += 1
                if last.text != f"answer to {task.text} ":
                    self.result.violations.append(f"{reference} was answered with {last.text!r}")
                return
            self.result.failed[last.code] += 1
            await self.clock.sleep(self.chance.uniform(0.2, 3.0))

    async def _asked(self, desk: Desk, task: TaskRequest) -> Answer | Fail:
        client = desk.ask(task, stream=self.chance.random() < 0.5, with_tools=False, timeout_s=420.0)
        try:
            async for outputs in client.outputs():
                self.result.steps += len(outputs)
                if isinstance(outputs[-1], Answer | Fail):
                    return outputs[-1]
        finally:
            desk.leave(task, client)
        raise AssertionError("outputs end with an answer or a failure")

    def _check(self) -> None:
        """What must hold of the chain in the end."""
        wrong = self.result.violations
        events = [event for block in self.ledger.blocks for event in block.events]
        submitted = Counter(event.args["clientReference"] for event in events if event.name == "TaskSubmitted")
        ended = Counter((event.args["sessionId"], event.args["taskId"]) for event in events if event.name == "TaskEnded")
        self.result.tasks = submitted.total()
        wrong += [f"{reference} was submitted {count} times" for reference, count in submitted.items() if count > 1]
        wrong += [f"task {key} ended {count} times" for key, count in ended.items() if count > 1]
        keys = [(event.args["sessionId"], event.args["taskId"]) for event in events if event.name == "TaskSubmitted"]
        wrong += [f"task {key} never ended" for key in keys if key not in ended]
        promised: dict[tuple[int, int, str], str] = {}
        for event in events:
            if event.name == "TaskPrecommitted":
                promised[event.args["sessionId"], event.args["taskId"], event.args["miner"]] = event.args["hash"]
            if event.name == "TaskCommitted":
                key = event.args["sessionId"], event.args["taskId"], event.args["miner"]
                if promised.get(key) != result_hash(event.args["data"]):
                    wrong.append(f"a commit without its precommit: {key}")


def _common(name: str) -> dict[str, Any]:
    return {"name": name, "rpc_url": "", "chain_id": 1, "runtime": "", "address": name, "private_key": _KEY}


def storm(weather: Weather, chance: random.Random) -> Weather:
    """Another weather of the same kind: each fault somewhere between none and what is given."""
    faults = ("unread", "unsure", "lost", "back", "crash", "double", "engine_fails")
    return replace(weather, **{name: getattr(weather, name) * chance.random() for name in faults})
