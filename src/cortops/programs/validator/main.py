"""The validator's composition root."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cortops.contracts.network import VALIDATOR_ROLE
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.common.role import Role
from cortops.programs.validator.ledger import ChainLedger
from cortops.programs.validator.model import Comparer, Model
from cortops.programs.validator.runner import Runner
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import ValidatorSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput


def minilm(settings: ValidatorSettings) -> Callable[[], Comparer]:
    """A loader of the model that the settings name; numpy is imported when it is called, in its thread."""

    def load() -> Comparer:
        # One thread: a validator has time, and its neighbours on a small machine need the other cores. Read when numpy is imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from cortops.programs.validator import embedding

        return embedding.load(Path(settings.model_path), Path(settings.tokenizer_path))

    return load


async def serve(settings: ValidatorSettings, log: Log, clock: Clock, load: Callable[[], Comparer] | None = None) -> None:
    """Run the validator until cancelled. load: of what compares meanings, by default the model of the settings."""
    if not 0 < settings.similarity_min <= 1:
        raise BadInput(f"VALIDATOR_SIMILARITY_MIN is {settings.similarity_min:g}, it must be above 0 and at most 1", where="env file")
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    role, model = Role("session_queue_validation", VALIDATOR_ROLE), Model(load or minilm(settings), clock, log)
    try:
        async with asyncio.TaskGroup() as group:
            runner = Runner(ChainLedger(chain), model, settings.similarity_min, clock, log, group)

            def health() -> Health:
                return _health(chain, role, model, runner)

            async with serve_health(settings.bind_ips, settings.port, health) as port:
                log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
                group.create_task(model.run())
                group.create_task(role.look(chain, clock))
                group.create_task(runner.tick())
                await chain.follow(runner.started, runner.on_batch)
    finally:
        await http.close()


def _health(chain: Chain, role: Role, model: Model, runner: Runner) -> Health:
    why = list(chain.why())
    if role.held is False:
        why.append("this node does not hold the validator role of the validation contract")
    if model.state == "failed":
        why.append(f"the embedding model could not be loaded: {model.why}")
    return Health.judge(
        tuple(why),
        **chain.facts(),
        validator_role=role.held,
        model=model.state,
        tasks_judged=runner.tasks_judged,
        verdicts=dict(runner.judged),
        tasks_pending=runner.pending,
        oldest_pending_s=round(runner.oldest_pending_s, 1),
        tasks_left=runner.tasks_left,
        last_verdict_at=runner.last_verdict_at,
    )


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: ValidatorSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("validator", env_file(ValidatorSettings), run))
