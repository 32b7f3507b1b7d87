"""Drives the network's own tasks: what the chain says and time into `network_task.due`, its commands into transactions."""

from __future__ import annotations

from cortops.contracts.follow import Batch
from cortops.contracts.network import Call
from cortops.contracts.network_tasks import NetworkTask, NetworkTasks
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.oracle import network_task as machine
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

TICK_EVERY_S = 1.0
REFUSED_PAUSE_S = 15.0  # after a command that the chain refused, as a request while no node is alive


class NetworkRunner:
    """`on_batch` for each batch and `run` for ever. latest: as last read."""

    def __init__(self, tasks: NetworkTasks, pace: machine.Pace, chain: Chain, clock: Clock, log: Log) -> None:
        self._tasks = tasks
        self._pace = pace
        self._chain = chain
        self._clock = clock
        self._log = log
        self._stale = True  # the chain has spoken of it since it was read
        self._stage: machine.Stage | None = None
        self._stage_at = 0.0
        self._state_at = 0.0
        self._pause_until = 0.0
        self.latest: NetworkTask | None = None
        self.ended = 0

    def on_batch(self, batch: Batch) -> None:
        """Note that there is something to read."""
        if batch.rewound or any(event.address == self._tasks.cognitive for event in batch.events):
            self._stale = True

    def facts(self) -> dict[str, object]:
        """What `/health` says of it."""
        task = self.latest
        return {"network_task": None if task is None else task.id, "network_tasks_ended": self.ended}

    async def run(self) -> None:
        """Look and act, until cancelled; the contracts may come later than we."""
        while True:
            try:
                await self._look()
            except ChainError as error:
                self._log.warning("network_task_unread", why=error.what)
                self._stale = True
            await self._clock.sleep(TICK_EVERY_S)

    async def _look(self) -> None:
        now = self._clock.monotonic()
        if self._stale:
            self._stale = False
            self.latest = await self._tasks.latest()
        stage = machine.stage_of(self.latest)
        if stage != self._stage:
            if self._stage is None or stage[:2] != self._stage[:2]:
                self._state_at = now
            self._stage, self._stage_at = stage, now
        command = machine.due(self.latest, now - self._stage_at, now - self._state_at, self._pace)
        if command is not None and now >= self._pause_until:
            await self._do(command, 0 if self.latest is None else self.latest.id)

    async def _do(self, command: machine.Command, id_: int) -> None:
        """Send it and wait until it is mined; what then is follows from the next look."""
        self._stale = True
        try:
            await self._chain.write(self._call(command, id_), network_task=id_, step=type(command).__name__.lower())
        except ChainError as error:
            self._log.warning("network_step_refused", network_task=id_, step=type(command).__name__.lower(), why=error.why)
            self._pause_until = self._clock.monotonic() + REFUSED_PAUSE_S
            return
        if isinstance(command, machine.End):
            self.ended += 1

    def _call(self, command: machine.Command, id_: int) -> Call:
        tasks = self._tasks
        match command:
            case machine.Request():
                return tasks.request()
            case machine.NextCreator():
                return tasks.next_creator(id_)
            case machine.NextPreparer():
                return tasks.next_preparer(id_)
            case machine.EndPrecommit():
                return tasks.end_precommit(id_)
            case machine.End(forced=forced):
                return tasks.end(id_, forced=forced)
