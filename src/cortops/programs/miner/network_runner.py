"""Drives this miner's part in the network's own tasks: `network_task.due` into engine runs and transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from cortops.contracts.follow import Batch
from cortops.contracts.network import Call, result_hash
from cortops.contracts.network_tasks import TEXT_BYTES_MAX, NetworkTask, NetworkTasks
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Progress
from cortops.programs.miner import network_task as machine
from cortops.programs.miner.engine import run as run_engine
from cortops.protocol.chat import PROMPT_RAW, Assembly
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.settings import MinerSettings
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError, StepFailed

LOOK_EVERY_S = 10.0  # without news of the chain
FAILED_PAUSE_S = 5.0
ANSWER_PARAMS = (64, 0, 100, 1)  # max tokens, temperature and top_p in hundredths, top_k: one and the same text for all
ANSWER_TIMEOUT_S = 120.0
SEED_BITS = 31


class NetworkRunner:
    """`on_batch` for each batch and `run` for ever. steps: taken so far, by name. chance: a number by chance for topics and seeds."""

    def __init__(
        self,
        tasks: NetworkTasks,
        settings: MinerSettings,
        chain: Chain,
        http: HttpClient,
        chance: Callable[[], int],
        clock: Clock,
        log: Log,
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._chain = chain
        self._http = http
        self._chance = chance
        self._clock = clock
        self._log = log
        self._news = asyncio.Event()
        self._answer: tuple[int, str] = (0, "")  # of which task, and the text
        self._prompt: tuple[int, str] = (0, "")
        self.latest: NetworkTask | None = None
        self.steps: dict[str, int] = {}

    def on_batch(self, batch: Batch) -> None:
        """Wake `run` when the chain speaks of a network task; its prompt stands in an event only."""
        for event in batch.events:
            if event.address != self._tasks.cognitive:
                continue
            if event.name == "SessionPrepared":
                self._prompt = (event.args["id"], "\n\n".join(event.args["challenges"]))
            self._news.set()
        if batch.rewound:
            self._news.set()

    def facts(self) -> dict[str, object]:
        """What `/health` says of it."""
        return {"network_steps": self.steps}

    async def run(self) -> None:
        """Look and act, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                while await self._step():
                    pass
            except (ChainError, HttpFailure, BadInput, StepFailed, TimeoutError) as error:
                self._log.warning("network_step_failed", why=str(error)[:200])
                await self._clock.sleep(FAILED_PAUSE_S)

    async def _step(self) -> bool:
        """One step; whether there may be another at once."""
        task = self.latest = await self._tasks.latest()
        answered = task is not None and self._answer[0] == task.id
        step = machine.due(task, self._chain.address, answered=answered)
        if step is None or task is None:
            return False
        if isinstance(step, machine.Answer):
            return await self._run(task)
        call = self._call(step, task)
        name = type(step).__name__.lower()
        await self._chain.write(call, network_task=task.id, step=name)
        self.steps[name] = self.steps.get(name, 0) + 1
        return True

    async def _run(self, task: NetworkTask) -> bool:
        prompt = await self._prompt_of(task)
        if not prompt:
            return False  # its event comes with the next batch
        self._answer = (task.id, await self._text(task, prompt))
        return True

    def _call(self, step: machine.Step, task: NetworkTask) -> Call:
        tasks, number, text = self._tasks, self._chance(), self._answer[1]
        match step:
            case machine.Create():
                about = machine.topic(number)
                return tasks.create(about.domain, about.subdomain)
            case machine.Prepare():
                about = machine.Topic(domain=task.domain, subdomain=task.subdomain)
                return tasks.prepare(task.id, [machine.challenge(about, number)], number % 2**SEED_BITS)
            case machine.Precommit():
                return tasks.precommit(task.id, result_hash(text), task.seed)
        return tasks.commit(task.id, text, task.seed)

    async def _prompt_of(self, task: NetworkTask) -> str:
        """From its event, looked up again after a restart; "" while it is not there."""
        if self._prompt[0] != task.id:
            found = await self._tasks.prompt(task.id)
            if found is not None:
                self._prompt = (task.id, found)
        return self._prompt[1] if self._prompt[0] == task.id else ""

    async def _text(self, task: NetworkTask, prompt: str) -> str:
        """The engine's answer, cut where the contract ends it. Raises HttpFailure, BadInput, StepFailed or TimeoutError."""
        asked = Progress(identity=f"network {task.id} {task.seed}", text=prompt, prompt_type=PROMPT_RAW, llm_params=ANSWER_PARAMS)
        reply = Assembly()
        settings = self._settings
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            chunks = run_engine(self._http, settings.engine_url, asked, settings.engine_model, ANSWER_TIMEOUT_S)
            async with aclosing(chunks) as found:
                async for chunk in found:
                    reply = reply.add(chunk)
        return reply.text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore") or "-"
