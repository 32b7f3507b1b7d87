"""Drives all open tasks: chain events and time into `task.step`, its commands into transactions."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass

from cortops.contracts.follow import Batch
from cortops.contracts.network import Call, Session
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key, Progress, key_of, progress_of
from cortops.programs.oracle import task as machine
from cortops.programs.oracle.reading import late, limits_of, seen
from cortops.protocol.settings import OracleSettings
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

TICK_EVERY_S = 0.5
STRIKE_FORGOTTEN_AFTER_S = 300.0  # a node that was late is left out for so long, as long as another is there
STRIKES_MAX = 1_024
SENDING_AT_ONCE_MAX = 64
SESSIONS_KEPT_MAX = 1_024
ASSIGN_GAS = 1_500_000  # of eight miners .6 M; an estimate would be one more round trip before the first token


@dataclass(slots=True)
class _Open:
    state: machine.Task
    progress: Progress
    chosen: tuple[str, ...] = ()  # by us, counted as busy before the block that says so


class Runner:
    """`started` before the first batch, then `on_batch` for each and `tick` for ever."""

    def __init__(self, settings: OracleSettings, chain: Chain, clock: Clock, log: Log, group: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._chain = chain
        self._clock = clock
        self._log = log
        self._group = group
        self._open: dict[Key, _Open] = {}
        self._strikes: OrderedDict[str, float] = OrderedDict()
        self._sending = asyncio.Semaphore(SENDING_AT_ONCE_MAX)
        self._sessions: dict[
            int, tuple[Session, frozenset[str]]
        ] = {}  # with its registered nodes; true until the chain says something else

    @property
    def open_tasks(self) -> int:
        return len(self._open)

    @property
    def oldest_open_s(self) -> float:
        """Seconds since the oldest open task entered its present stage, 0 without any."""
        now = self._clock.monotonic()
        return max((now - one.state.since for one in self._open.values()), default=0.0)

    async def started(self, _head: int = 0) -> None:
        """Read all open tasks; what we held is measured against it. Raises ChainError."""
        self._sessions = {}
        network = self._chain.network
        found: set[Key] = set()
        for session in range(1, await network.session_count() + 1):
            for task in await network.open_tasks(session):
                key = (session, task.id)
                found.add(key)
                await self._read(key)
        for key in [key for key in self._open if key not in found]:
            self._feed(key, machine.Gone())

    async def on_batch(self, batch: Batch) -> None:
        """Tell every task what the chain did. Raises ChainError when it must look back and cannot."""
        if batch.rewound:
            await self.started()
        now = self._clock.monotonic()
        for event in batch.events:
            key = key_of(event)
            if key is None:
                self._sessions = {}  # it speaks of a session, a node or a pool
                continue
            one = self._open.get(key)
            if one is None:
                if event.name not in ("TaskQueued", "TaskSubmitted", "TaskParameters"):
                    continue  # of a task that has ended
                # The queue speaks before the session: the task is known by its first word, whole by the last.
                one = self._open[key] = _Open(machine.Task(limits=limits_of(Progress(), self._settings), since=now), Progress())
            one.progress = one.progress.add(event)
            if event.name == "TaskParameters":
                one.state = machine.with_limits(one.state, limits_of(one.progress, self._settings))
            self._feed(key, seen(one.progress, now, event=True))
        self._tick_all(now)

    async def tick(self) -> None:
        """Let time pass, until cancelled."""
        while True:
            await self._clock.sleep(TICK_EVERY_S)
            self._tick_all(self._clock.monotonic())

    def _tick_all(self, now: float) -> None:
        for key in list(self._open):
            self._feed(key, machine.Tick(at=now))

    async def _read(self, key: Key) -> None:
        progress = progress_of(await self._chain.events(key))
        now = self._clock.monotonic()
        one = self._open.get(key)
        if one is None or one.progress.identity not in ("", progress.identity):
            one = self._open[key] = _Open(machine.Task(limits=limits_of(progress, self._settings), since=now), progress)
        one.progress = progress
        self._feed(key, seen(progress, now, event=False))

    def _feed(self, key: Key, event: machine.Event) -> None:
        one = self._open.get(key)
        if one is None:
            return
        one.state, commands = machine.step(one.state, event)
        for command in commands:
            self._do(key, one, command)

    def _do(self, key: Key, one: _Open, command: machine.Command) -> None:
        network = self._chain.network
        match command:
            case machine.Assign():
                self._group.create_task(self._assign(key))
            case machine.Close(stage=stage):
                self._strike(key, one.progress, stage)
                calls = {
                    machine.Stage.ASSIGNED: network.end_ack,
                    machine.Stage.ACKED: network.end_precommit,
                    machine.Stage.PRECOMMITTED: network.end_commit,
                }
                self._send(key, f"close_{stage.name.lower()}", calls[stage](*key))
            case machine.End(forced=forced):
                if forced:
                    self._strike(key, one.progress, one.state.stage)
                self._send(key, "end_forced" if forced else "end", network.end_forced(*key) if forced else network.end(*key))
            case machine.Leave():
                self._log.error("task_left", session=key[0], task=key[1], stage=one.state.stage.name.lower())
                self._open.pop(key, None)
            case machine.Forget():
                self._open.pop(key, None)

    def _strike(self, key: Key, progress: Progress, stage: machine.Stage) -> None:
        for miner in late(progress, stage):
            self._log.warning("miner_late", session=key[0], task=key[1], miner=miner, stage=stage.name.lower())
            self._strikes[miner] = self._clock.monotonic()
            self._strikes.move_to_end(miner)
        while len(self._strikes) > STRIKES_MAX:
            self._strikes.popitem(last=False)

    def _busy(self) -> Counter[str]:
        """How many open tasks each node has."""
        return Counter(miner for one in self._open.values() for miner in one.progress.miners or one.chosen)

    def _late(self) -> frozenset[str]:
        """Who was late lately."""
        struck_since = self._clock.monotonic() - STRIKE_FORGOTTEN_AFTER_S
        return frozenset(miner for miner, at in self._strikes.items() if at > struck_since)

    async def _assign(self, key: Key) -> None:
        network = self._chain.network
        try:
            session, registered = await self._session(key[0])
        except ChainError as error:
            self._log.warning("assign_failed", session=key[0], task=key[1], why=error.what)
            return
        late = self._late()
        nodes = session.dedicated_nodes + session.ephemeral_nodes
        chosen = machine.choose(nodes, registered, self._busy(), max(1, session.redundant), late=late)
        if not chosen:
            self._log.warning("no_miner", session=key[0], task=key[1], nodes=len(nodes), registered=len(registered))
            return
        if len(chosen) < session.redundant:
            self._log.info("fewer_miners", session=key[0], task=key[1], chosen=len(chosen), asked=session.redundant, late=sorted(late))
        if (one := self._open.get(key)) is not None:
            one.chosen = chosen
        self._log.info("task_assigning", session=key[0], task=key[1], miners=len(chosen))
        await self._write(key, "assign", network.assign_task(*key, chosen, session.model), gas=ASSIGN_GAS)

    async def _session(self, sid: int) -> tuple[Session, frozenset[str]]:
        """A session and which of its nodes are registered. Raises ChainError."""
        kept = self._sessions
        if sid in kept:
            return kept[sid]
        network = self._chain.network
        session = await network.session(sid)
        found = session, await network.registered(session.dedicated_nodes + session.ephemeral_nodes)
        if len(kept) < SESSIONS_KEPT_MAX:
            kept[sid] = found  # of no effect when the chain spoke meanwhile: then another has taken its place
        return found

    def _send(self, key: Key, what: str, call: Call) -> None:
        self._group.create_task(self._write(key, what, call))

    async def _write(self, key: Key, what: str, call: Call, gas: int | None = None) -> None:
        async with self._sending:
            try:
                await self._chain.write(call, gas=gas, session=key[0], task=key[1], step=what)
            except ChainError as error:
                self._sessions = {}
                self._log.warning("send_failed", session=key[0], task=key[1], step=what, why=error.what)
                self._feed(key, machine.SendFailed(at=self._clock.monotonic()))
