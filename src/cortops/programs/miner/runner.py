"""Drives the tasks of this miner: chain events and engine chunks into `task.step`, its commands into transactions and frames."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cortops.contracts.abi import Event as ChainEvent
from cortops.contracts.follow import Batch
from cortops.contracts.network import Call, result_hash
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key, Progress, key_of, progress_of
from cortops.programs.miner import task as machine
from cortops.programs.miner.buffers import Buffers
from cortops.programs.miner.engine import run as run_engine
from cortops.programs.miner.reading import mined, reading, time_for
from cortops.protocol.chat import REPLY_TEXT_BYTES_MAX, Assembly, Note
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.link import Chunk, Failed, Result
from cortops.protocol.payload_urn import is_urn
from cortops.protocol.settings import MinerSettings
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError, PayloadError, StepFailed

if TYPE_CHECKING:
    from cortops.programs.miner.private import Payloads

TASKS_MAX = 64  # at once; more are left to the oracle
SUBMISSIONS_MAX = 256  # of others too, remembered so that an assignment needs no look back
SYNC_PAUSE_FIRST_S, SYNC_PAUSE_MAX_S = 0.25, 10.0


@dataclass(slots=True)
class _Running:
    state: machine.Task
    progress: Progress
    note: Note | None = None
    engine: asyncio.Task[None] | None = None


class Runner:
    """`started` is called once, `on_batch` for every batch; `in_flight` and `last_commit_at` are for /health."""

    def __init__(
        self, settings: MinerSettings, chain: Chain, http: HttpClient, buffers: Buffers, clock: Clock, log: Log, group: asyncio.TaskGroup
    ) -> None:
        self._settings = settings
        self._chain = chain
        self._http = http
        self._buffers = buffers
        self._clock = clock
        self._log = log
        self._group = group
        self._running: dict[Key, _Running] = {}
        self._recent: OrderedDict[Key, Progress] = OrderedDict()
        self._payloads: Payloads | None = None  # from the first private task on
        self.last_commit_at: float | None = None

    @property
    def in_flight(self) -> int:
        return sum(1 for running in self._running.values() if running.state.reached < machine.Reached.COMMITTED and not running.state.left)

    async def started(self, _head: int = 0) -> None:
        """Take up what the chain says is ours and open. Raises ChainError."""
        for key in self._running:
            self._group.create_task(self._sync(key, 0))
        network = self._chain.network
        for session in range(1, await network.session_count() + 1):
            for task in await network.open_tasks(session):
                if self._chain.address in task.miners and (session, task.id) not in self._running:
                    await self._begin((session, task.id))

    async def on_batch(self, batch: Batch) -> None:
        """Tell every task what the chain did. Raises ChainError when it must look back and cannot."""
        if batch.rewound:
            self._recent.clear()
            for key in self._running:
                self._group.create_task(self._sync(key, 0))
        for event in batch.events:
            if (spoken := key_of(event)) is not None:
                self._remember(spoken, event)
                await self._on_event(spoken, event)

    def _remember(self, key: Key, event: ChainEvent) -> None:
        if event.name == "TaskSubmitted":
            self._recent[key] = Progress().add(event)
        elif key in self._recent:
            self._recent[key] = self._recent[key].add(event)
        while len(self._recent) > SUBMISSIONS_MAX:
            self._recent.popitem(last=False)

    async def _on_event(self, key: Key, event: ChainEvent) -> None:
        ours = self._chain.address
        if event.name == "TaskAssigned":
            if ours not in event.args["miners"]:
                self._feed(key, machine.Gone())
            elif key not in self._running:
                await self._begin(key)
            return
        told = mined(event, ours)
        if told is not None:
            if told.reached is machine.Reached.COMMITTED:
                self.last_commit_at = self._clock.now()
            self._feed(key, told)

    async def _begin(self, key: Key) -> None:
        if len(self._running) >= TASKS_MAX:
            self._log.warning("task_left", session=key[0], task=key[1], why=f"{TASKS_MAX} tasks are held already")
            return
        progress = self._recent.get(key)
        if progress is None or not progress.miners:
            progress = progress_of(await self._chain.events(key))
        self._running[key] = _Running(machine.Task(), progress)
        self._log.info("task_assigned", session=key[0], task=key[1])
        self._feed(key, reading(progress, self._chain.address))

    def _feed(self, key: Key, event: machine.Event) -> None:
        running = self._running.get(key)
        if running is None:
            return
        running.state, commands = machine.step(running.state, event)
        for command in commands:
            self._do(key, running, command)

    def _do(self, key: Key, running: _Running, command: machine.Command) -> None:
        network = self._chain.network
        match command:
            case machine.Ack():
                self._send(key, "ack", network.ack(*key))
            case machine.Run():
                self._buffers.open(key)
                running.engine = self._group.create_task(self._run_engine(key, running))
            case machine.StopEngine():
                if running.engine is not None:
                    running.engine.cancel()
            case machine.Precommit(text_hash=text_hash):
                self._send(key, "precommit", network.precommit(*key, text_hash, running.note.as_text() if running.note else ""))
            case machine.Commit(text=text):
                self._send(key, "commit", network.commit(*key, text))
            case machine.Sync(attempt=attempt):
                self._group.create_task(self._sync(key, attempt))
            case machine.Leave(why=why, code=code):
                self._log.warning("task_left", session=key[0], task=key[1], why=why[:200], **({"code": code} if code else {}))
                self._buffers.put(key, Failed(session=key[0], task=key[1], why=why, code=code))
            case machine.Forget():
                self._buffers.close(key)
                self._running.pop(key, None)

    def _send(self, key: Key, what: str, call: Call) -> None:
        self._group.create_task(self._write(key, what, call))

    async def _write(self, key: Key, what: str, call: Call) -> None:
        try:
            await self._chain.write(call, session=key[0], task=key[1], step=what)
        except ChainError as error:
            self._log.warning("send_failed", session=key[0], task=key[1], step=what, why=error.what)
            self._feed(key, machine.SendFailed(why=error.what))

    async def _sync(self, key: Key, attempt: int) -> None:
        """Read the task anew, after a pause that grows with each failed attempt (0: at once)."""
        if attempt:
            await self._clock.sleep(min(SYNC_PAUSE_FIRST_S * 2 ** (attempt - 1), SYNC_PAUSE_MAX_S))
        try:
            progress = progress_of(await self._chain.events(key))
        except ChainError as error:
            self._feed(key, machine.SendFailed(why=error.what))
            return
        running = self._running.get(key)
        if running is not None:
            running.progress = progress
            self._feed(key, reading(progress, self._chain.address))

    async def _run_engine(self, key: Key, running: _Running) -> None:
        """Run, stream, and feed the outcome."""
        session, task = key
        timeout_s = time_for(running.progress, self._settings.task_timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                reply, text = await self._answer(key, running.progress, timeout_s)
        except (HttpFailure, BadInput, StepFailed, PayloadError, TimeoutError) as error:
            why = f"no result within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            self._feed(key, machine.EngineFailed(why=why, code=error.code if isinstance(error, PayloadError) else ""))
            return
        finish = reply.finish_reason or "stop"
        running.note = Note(finish_reason=finish, usage=reply.usage)
        self._buffers.put(key, Result(session=session, task=task, text=text, finish_reason=finish, usage=reply.usage))
        self._feed(key, machine.EngineDone(text=text, text_hash=result_hash(text)))

    async def _answer(self, key: Key, progress: Progress, timeout_s: float) -> tuple[Assembly, str]:
        """The engine's reply, and what is committed of it: its text, or of a private task the name of the sealed text."""
        if not is_urn(progress.text):
            reply = await self._reply(key, progress, timeout_s, streams=True)
            return reply, reply.text
        if self._payloads is None:
            from cortops.programs.miner.private import Payloads  # sealing and storage cost memory that most miners never need

            self._payloads = Payloads.of(self._settings, self._chain.wallet, self._http, self._clock)
        opened = await self._payloads.open(key, progress)
        reply = await self._reply(key, opened.progress, timeout_s, streams=False)
        return reply, await self._payloads.keep(key, opened, reply.text)

    async def _reply(self, key: Key, progress: Progress, timeout_s: float, *, streams: bool) -> Assembly:
        """The engine's whole reply, streamed on the way if it may be. What would not fit on chain ends it, as max_tokens does."""
        session, task = key
        settings = self._settings
        reply, index = Assembly(), 0
        asked_at = self._clock.monotonic()
        async with aclosing(run_engine(self._http, settings.engine_url, progress, settings.engine_model, timeout_s)) as chunks:
            async for chunk in chunks:
                longer = reply.add(chunk)
                if len(longer.text.encode()) > REPLY_TEXT_BYTES_MAX:
                    if longer.calls:
                        raise StepFailed(f"a message with tool calls is larger than {REPLY_TEXT_BYTES_MAX} bytes")
                    return reply.cut()
                if longer.text and not reply.text:
                    after_ms = round((self._clock.monotonic() - asked_at) * 1000, 1)
                    self._log.info("engine_began", session=session, task=task, after_ms=after_ms)
                reply = longer
                if streams:
                    self._buffers.put(key, Chunk(session=session, task=task, index=index, data=chunk))
                    index += 1
        return reply
