"""The validator's composition root."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
from aiohttp import web

from cortops.contracts.network import VALIDATOR_ROLE
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.common.role import Role
from cortops.programs.validator.evidence_store import EvidenceStore
from cortops.programs.validator.ledger import ChainLedger
from cortops.programs.validator.model import Comparer, Model
from cortops.programs.validator.network import serve_network
from cortops.programs.validator.rubric import EngineRubric
from cortops.programs.validator.runner import Runner
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import ValidatorSettings
from cortops.protocol.validation import RUNS, VALIDATOR_V1, VALIDATOR_V3, Policy
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput, StoreUnavailable


def minilm(settings: ValidatorSettings) -> Callable[[], Comparer]:
    """A loader of the model that the settings name; numpy is imported when it is called, in its thread."""

    def load() -> Comparer:
        # One thread: a validator has time, and its neighbours on a small machine need the other cores. Read when numpy is imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from cortops.programs.validator import embedding

        return embedding.load(Path(settings.model_path), Path(settings.tokenizer_path))

    return load


def policy_of(settings: ValidatorSettings) -> Policy:
    """The policy of the settings. BadInput where they contradict themselves."""
    if not 0 < settings.similarity_min <= 1:
        raise BadInput(f"VALIDATOR_SIMILARITY_MIN is {settings.similarity_min:g}, it must be above 0 and at most 1", where="env file")
    if settings.runs not in RUNS:
        raise BadInput(f"VALIDATOR_RUNS is {settings.runs!r}, it must be one of {', '.join(RUNS)}", where="env file")
    if settings.runs == VALIDATOR_V3 and not (settings.engine_url and settings.engine_model):
        raise BadInput("a validatorv3 needs its judge's engine: LLM_URL and LLM_MODEL", where="env file")
    return msgspec.structs.replace(Policy.parse(settings.policy), similarity_min=settings.similarity_min)


def evidence_route(store: EvidenceStore) -> web.RouteDef:
    """GET /evidence/SESSION/TASK: what our verdicts on a task rest on, the newest first."""

    async def tell(request: web.Request) -> web.Response:
        key = int(request.match_info["session"]), int(request.match_info["task"])
        try:
            found = store.of_task(key)
        except StoreUnavailable as error:
            return web.Response(status=503, body=msgspec.json.encode({"error": error.as_dict()}), content_type="application/json")
        body = msgspec.json.encode({"session": key[0], "task": key[1], "evidence": found})
        return web.Response(status=200 if found else 404, body=body, content_type="application/json")

    return web.get(r"/evidence/{session:\d{1,18}}/{task:\d{1,18}}", tell)


async def serve(settings: ValidatorSettings, log: Log, clock: Clock, load: Callable[[], Comparer] | None = None) -> None:
    """Run the validator until cancelled. load: of what compares meanings, by default the model of the settings."""
    policy = policy_of(settings)
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    model = Model(load or minilm(settings), clock, log)
    if settings.runs == VALIDATOR_V1:
        try:
            await serve_network(settings, chain, model, policy, log, clock)
        finally:
            await http.close()
        return
    role = Role("session_queue_validation", VALIDATOR_ROLE)
    store = EvidenceStore(settings.evidence_path)
    rubrics: EngineRubric | None = None
    if settings.runs == VALIDATOR_V3:
        rubrics = EngineRubric(http, settings.engine_url, settings.engine_model, policy.rubric, clock, log)
    try:
        async with asyncio.TaskGroup() as group:
            runner = Runner(ChainLedger(chain), model, policy, store, clock, log, group, rubrics)

            def health() -> Health:
                return _health(chain, role, model, runner, rubrics)

            async with serve_health(settings.bind_ips, settings.port, health, (evidence_route(store),)) as port:
                log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
                group.create_task(model.run())
                group.create_task(role.look(chain, clock))
                group.create_task(runner.tick())
                await chain.follow(runner.started, runner.on_batch)
    finally:
        store.close()
        await http.close()


def _health(chain: Chain, role: Role, model: Model, runner: Runner, rubrics: EngineRubric | None) -> Health:
    why = list(chain.why())
    if role.held is False:
        why.append("this node does not hold the validator role of the validation contract")
    if model.state == "failed":
        why.append(f"the embedding model could not be loaded: {model.why}")
    if rubrics is not None and rubrics.lost:
        why.append(f"the judge's engine does not answer: {rubrics.lost}")
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
        tasks_skipped=runner.tasks_skipped,
        last_verdict_at=runner.last_verdict_at,
    )


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: ValidatorSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("validator", env_file(ValidatorSettings), run))
