"""validatorv1: reports on chain who passed each network task, which moves the nodes' levels."""

from __future__ import annotations

import asyncio

from cortops.contracts.follow import Batch
from cortops.contracts.network import VALIDATOR_ROLE
from cortops.contracts.network_tasks import NetworkTasks, TaskState
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.validator.judge import Asked, decide, texts_to_compare
from cortops.programs.validator.model import Model
from cortops.programs.validator.network_task import replicas_of, results
from cortops.protocol.settings import ValidatorSettings
from cortops.protocol.validation import Policy
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError, StepFailed

LOOK_EVERY_S = 5.0
ROLE_LOOK_EVERY_S = 5.0


class Reports:
    """`on_batch` for each batch and `run` for ever. reported: tasks so far; last_passed, last_failed: miners of the newest report."""

    def __init__(self, tasks: NetworkTasks, model: Model, policy: Policy, chain: Chain, clock: Clock, log: Log) -> None:
        self._tasks = tasks
        self._model = model
        self._policy = policy
        self._chain = chain
        self._clock = clock
        self._log = log
        self._news = asyncio.Event()
        self._news.set()
        self.reported = 0
        self.last: dict[str, bool] = {}
        self.failing = ""
        self.role: bool | None = None

    def on_batch(self, batch: Batch) -> None:
        """Wake `run` when a task may have ended."""
        if batch.rewound or any(event.address == self._tasks.cognitive for event in batch.events):
            self._news.set()

    async def run(self) -> None:
        """Look and report, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._look()
                self.failing = ""
            except (ChainError, StepFailed) as error:
                self.failing = error.what
                self._log.warning("network_report_failed", why=error.what)
                await self._clock.sleep(LOOK_EVERY_S)
                self._news.set()

    async def look_at_role(self) -> None:
        """Whether we may report, again and again."""
        while True:
            try:
                self.role = await self._chain.network.has_role(self._tasks.level, VALIDATOR_ROLE, self._chain.address)
            except ChainError:
                self.role = None
            await self._clock.sleep(ROLE_LOOK_EVERY_S)

    async def _look(self) -> None:
        task = await self._tasks.latest()
        if task is None or task.state is not TaskState.ENDED or not await self._tasks.may_report(task.id):
            return
        replicas = replicas_of(task, await self._tasks.completions(task.id))
        decision = None
        if replicas:
            table = await self._model.similarities(texts_to_compare(replicas, self._policy))
            decision = decide(replicas, lambda one, other: table[one, other], self._policy, Asked(prompt=f"{task.domain} {task.subdomain}"))
        passed = dict(results(task, decision))
        if not passed:
            self._log.info("network_task_unjudged", network_task=task.id, answers=len(replicas), miners=len(task.miners))
            return
        await self._chain.write(self._tasks.report(task.id, passed), network_task=task.id, step="report")
        self.reported, self.last = self.reported + 1, passed


async def serve_network(settings: ValidatorSettings, chain: Chain, model: Model, policy: Policy, log: Log, clock: Clock) -> None:
    """Run validatorv1 until cancelled. BadInput where the network gives no tasks of its own."""
    if chain.network_tasks is None:
        raise BadInput("a validatorv1 needs CONTRACT_ADDRESS_COGNITIVE and CONTRACT_ADDRESS_COGNITIVE_LEVEL", where="env file")
    reports = Reports(chain.network_tasks, model, policy, chain, clock, log)

    def health() -> Health:
        why = list(chain.why())
        if reports.role is False:
            why.append("this node does not hold the validator role of the levels")
        if model.state == "failed":
            why.append(f"the embedding model could not be loaded: {model.why}")
        if reports.failing:
            why.append(f"the newest network task is not reported: {reports.failing}")
        return Health.judge(
            tuple(why),
            **chain.facts(),
            validator_role=reports.role,
            model=model.state,
            network_tasks_reported=reports.reported,
            last_passed=sum(reports.last.values()),
            last_failed=len(reports.last) - sum(reports.last.values()),
        )

    async def begin(_head: int) -> None:
        reports.on_batch(Batch(events=(), first=0, head=0, head_at=0, rewound=True))

    async def tell(batch: Batch) -> None:
        reports.on_batch(batch)

    async with asyncio.TaskGroup() as group, serve_health(settings.bind_ips, settings.port, health) as port:
        log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
        group.create_task(model.run())
        await chain.ready()
        group.create_task(reports.look_at_role())
        group.create_task(reports.run())
        await chain.follow(begin, tell)
