"""The oracle's composition root."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

from cortops.contracts.follow import Batch
from cortops.contracts.network import ORACLE_ROLE
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.common.role import Role
from cortops.programs.common.steps import TaskSteps
from cortops.programs.oracle.network_runner import NetworkRunner
from cortops.programs.oracle.network_task import Pace
from cortops.programs.oracle.runner import Runner
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import OracleSettings
from cortops.words.clock import Clock, SystemClock


async def serve(settings: OracleSettings, log: Log, clock: Clock) -> None:
    """Run the oracle until cancelled."""
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    role, steps = Role("session_queue", ORACLE_ROLE), TaskSteps()
    try:
        async with asyncio.TaskGroup() as group:
            runner = Runner(settings, chain, clock, log, group)
            network_runner: NetworkRunner | None = None
            if chain.network_tasks is not None:
                pace = Pace(every_s=settings.network_every_s, step_s=settings.network_step_s)
                network_runner = NetworkRunner(chain.network_tasks, pace, chain, clock, log)

            def health() -> Health:
                why = chain.why() + (("this node does not hold the oracle role of the session queue",) if role.held is False else ())
                return Health.judge(
                    why,
                    **chain.facts(),
                    oracle_role=role.held,
                    open_tasks=runner.open_tasks,
                    oldest_open_s=round(runner.oldest_open_s, 1),
                    task_steps=steps.counts,
                    **({} if network_runner is None else network_runner.facts()),
                )

            async def tell(batch: Batch) -> None:
                steps.tell(batch)
                if network_runner is not None:
                    network_runner.on_batch(batch)
                await runner.on_batch(batch)

            async with serve_health(settings.bind_ips, settings.port, health) as port:
                log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
                group.create_task(role.look(chain, clock))
                group.create_task(runner.tick())
                if network_runner is not None:
                    group.create_task(network_runner.run())
                await chain.follow(runner.started, tell)
    finally:
        await http.close()


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: OracleSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("oracle", env_file(OracleSettings), run))
