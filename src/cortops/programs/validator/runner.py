"""Drives all ended tasks that wait for a verdict: chain events and time into `task.step`, its commands into reads and transactions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cortops.contracts.follow import Batch
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key, key_of
from cortops.programs.validator import task as machine
from cortops.programs.validator.evidence import Judgement, judgement
from cortops.programs.validator.evidence_store import EvidenceStore
from cortops.programs.validator.judge import Verdict, decide, texts_to_compare, texts_to_judge
from cortops.programs.validator.ledger import Ledger
from cortops.programs.validator.model import Model
from cortops.programs.validator.reading import Story, is_ours, with_results
from cortops.programs.validator.rubric import Rubrics
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged
from cortops.words.clock import Clock
from cortops.words.errors import ChainError, StepFailed, StoreUnavailable

TICK_EVERY_S = 0.5
PENDING_MAX = 512  # tasks that wait for a verdict; more are left, until the next start looks back
READING_AT_ONCE_MAX = 8
SENDING_AT_ONCE_MAX = 64


@dataclass(slots=True)
class _Pending:
    since: float
    state: machine.Task
    judging: asyncio.Task[None] | None = None  # it may wait for the model for as long as there is none


class Runner:
    """`started` before the first batch, then `on_batch` for each and `tick` for ever. judged: verdicts given so far, by name."""

    def __init__(
        self,
        ledger: Ledger,
        model: Model,
        policy: Policy,
        store: EvidenceStore,
        clock: Clock,
        log: Log,
        group: asyncio.TaskGroup,
        rubrics: Rubrics | None = None,
    ) -> None:
        """rubrics: the judge that is asked after the comparison; None in a validatorv2."""
        self._ledger = ledger
        self._model = model
        self._policy = policy
        self._store = store
        self._rubrics = rubrics
        self._clock = clock
        self._log = log
        self._group = group
        self._pending: dict[Key, _Pending] = {}
        self._reading = asyncio.Semaphore(READING_AT_ONCE_MAX)
        self._sending = asyncio.Semaphore(SENDING_AT_ONCE_MAX)
        self.judged = {verdict.name: 0 for verdict in Verdict}
        self.tasks_judged = 0
        self.tasks_left = 0
        self.tasks_skipped = 0  # private ones, of which nobody can say anything
        self.last_verdict_at: float | None = None

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def oldest_pending_s(self) -> float:
        """Seconds since we know of the oldest task that waits, 0 without any."""
        now = self._clock.monotonic()
        return max((now - one.since for one in self._pending.values()), default=0.0)

    async def started(self, head: int) -> None:
        """Take up what ended without us; what we held is read anew, since it may be another task by now. Raises ChainError."""
        found = await self._ledger.unjudged(head)
        for key in list(self._pending):
            self._drop(key)  # a record that is under way for it ends without effect here
        for key in found:
            self._begin(key)
        if found:
            self._log.info("tasks_taken_up", tasks=len(found))

    async def on_batch(self, batch: Batch) -> None:
        """Take up each task that ended. Raises ChainError when it must look back and cannot."""
        if batch.rewound:
            await self.started(batch.head)
        for event in batch.events:
            key = key_of(event)
            if key is None:
                continue
            if with_results(event):
                self._begin(key)
            elif is_ours(event, self._ledger.address) and (one := self._pending.get(key)) is not None:
                self._feed(key, one, machine.Settled())
        self._tick_all()

    async def tick(self) -> None:
        """Let time pass, until cancelled."""
        while True:
            await self._clock.sleep(TICK_EVERY_S)
            self._tick_all()

    def _tick_all(self) -> None:
        now = self._clock.monotonic()
        for key, one in list(self._pending.items()):
            self._feed(key, one, machine.Tick(at=now))

    def _begin(self, key: Key) -> None:
        if key in self._pending:
            return
        if len(self._pending) >= PENDING_MAX:
            self._leave(key, f"{PENDING_MAX} tasks wait already")
            return
        self._pending[key] = _Pending(self._clock.monotonic(), machine.Task())

    def _leave(self, key: Key, why: str) -> None:
        self.tasks_left += 1
        self._log.error("task_left", session=key[0], task=key[1], why=why)

    def _feed(self, key: Key, one: _Pending, event: machine.Event) -> None:
        if self._pending.get(key) is not one:
            return  # the chain went back, and with it this task
        one.state, commands = machine.step(one.state, event)
        for command in commands:
            match command:
                case machine.Judge():
                    one.judging = self._group.create_task(self._judge(key, one))
                case machine.Record(judgement=judgement):
                    self._group.create_task(self._record(key, one, judgement))
                case machine.Leave():
                    self._drop(key)
                    self._leave(key, f"failed {machine.FAILURES_MAX} times")
                case machine.Forget():
                    self._drop(key)

    def _drop(self, key: Key) -> None:
        judging = self._pending.pop(key).judging
        if judging is not None and judging is not asyncio.current_task():
            judging.cancel()

    def _failed(self, key: Key, one: _Pending, step: str, why: str) -> None:
        self._log.warning("step_failed", session=key[0], task=key[1], step=step, why=why)
        self._feed(key, one, machine.Failed(at=self._clock.monotonic()))

    async def _judge(self, key: Key, one: _Pending) -> None:
        """Read and compare."""
        try:
            async with self._reading:
                if await self._ledger.validators(key[0]) == 0:
                    self._feed(key, one, machine.Settled())
                    return
                story = await self._ledger.story(key)
            if story.recorded or not story.ended or not story.replicas or not story.kept:
                if story.ended and not story.kept and not story.recorded:
                    self._leave(key, "the queue no longer keeps the task")
                self._feed(key, one, machine.Settled())
                return
            if story.private:
                self.tasks_skipped += 1
                self._log.info("task_skipped", session=key[0], task=key[1], why="private: only names of its texts are on chain")
                self._feed(key, one, machine.Settled())
                return
            found = await self._judgement(key, story)
            self._store.keep(key, found, self._clock.now())
        except (ChainError, StepFailed, StoreUnavailable) as error:
            self._failed(key, one, "judge", error.what)
            return
        self._feed(key, one, machine.Judged(judgement=found))

    async def _judgement(self, key: Key, story: Story) -> Judgement:
        """Compare, and ask the judge where there is one and its word can change something."""
        policy, asked, rubrics = self._policy, story.asked, self._rubrics
        table = await self._model.similarities(() if asked.unread else texts_to_compare(story.replicas, policy))

        def similarity(text: str, other: str) -> float:
            return table[text, other]

        readings: dict[str, Judged] | None = None if rubrics is None else {}
        decision = decide(story.replicas, similarity, policy, asked, readings)
        if rubrics is not None and (texts := texts_to_judge(story.replicas, decision, policy)):
            readings = await rubrics.readings(asked, texts)
            decision = decide(story.replicas, similarity, policy, asked, readings)
        return judgement(
            decision,
            story.replicas,
            policy,
            asked,
            readings,
            absent=story.absent,
            task=f"{key[0]}/{key[1]}",
            judge="" if rubrics is None else rubrics.model,
        )

    async def _record(self, key: Key, one: _Pending, judgement: Judgement) -> None:
        """Write. What the contract refuses is read anew: a record of ours that is there already ends the task."""
        async with self._sending:
            if self._pending.get(key) is not one:
                return
            try:
                receipt = await self._ledger.record(key, judgement)
            except ChainError as error:
                self._failed(key, one, "record", error.what)
                return
        self.tasks_judged += 1
        for verdict in judgement.verdicts:
            self.judged[verdict.verdict.name] += 1
        self.last_verdict_at = self._clock.now()
        self._log.info(
            "recorded",
            session=key[0],
            task=key[1],
            verdicts={verdict.miner: [verdict.verdict.name, verdict.score] for verdict in judgement.verdicts},
            evidence=judgement.evidence_hash,
            block=receipt.block,
            tx=receipt.tx,
        )
        self._feed(key, one, machine.Settled())
