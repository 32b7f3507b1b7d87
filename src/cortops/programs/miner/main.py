"""The miner's composition root."""

from __future__ import annotations

import asyncio
import secrets
import sys
from dataclasses import dataclass
from typing import NoReturn

from cortops.contracts.follow import Batch
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.common.steps import TaskSteps
from cortops.programs.miner.buffers import Buffers
from cortops.programs.miner.engine import is_reachable
from cortops.programs.miner.links import Links
from cortops.programs.miner.network_runner import SEED_BITS, NetworkRunner
from cortops.programs.miner.runner import Runner
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import MinerSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import ChainError

LOOK_EVERY_S = 5.0  # at the engine and at our registration
LOOK_AGAIN_AFTER_S = 0.5  # while the registration is unknown
RETRY_AFTER_S = 1.0


@dataclass(slots=True)
class _Seen:
    """What was looked at last; None before the first look."""

    engine: bool | None = None
    registered: bool | None = None


async def serve(settings: MinerSettings, log: Log, clock: Clock) -> None:
    """Run the miner until cancelled."""
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    buffers, seen, steps = Buffers(), _Seen(), TaskSteps(chain.address)
    links = Links(settings.routers, chain.wallet, buffers, clock, log)
    try:
        async with asyncio.TaskGroup() as group:
            runner = Runner(settings, chain, http, buffers, clock, log, group)
            network_runner: NetworkRunner | None = None
            if chain.network_tasks is not None:
                network_runner = NetworkRunner(chain.network_tasks, settings, chain, http, lambda: secrets.randbits(SEED_BITS), clock, log)

            def health() -> Health:
                more = {} if network_runner is None else network_runner.facts()
                return _health(settings, chain, links, runner, seen, steps, more)

            async def tell(batch: Batch) -> None:
                steps.tell(batch)
                if network_runner is not None:
                    network_runner.on_batch(batch)
                await runner.on_batch(batch)

            async with serve_health(settings.bind_ips, settings.port, health) as port:
                log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
                group.create_task(links.run())
                group.create_task(_look(settings, chain, http, seen, clock))
                group.create_task(_ping(settings, chain, seen, clock, log))
                if network_runner is not None:
                    group.create_task(network_runner.run())
                await chain.follow(runner.started, tell)
    finally:
        await http.close()


def _health(
    settings: MinerSettings, chain: Chain, links: Links, runner: Runner, seen: _Seen, steps: TaskSteps, more: dict[str, object]
) -> Health:
    why = list(chain.why())
    if seen.registered is False:
        why.append("this node is not registered")
    if seen.engine is False:
        why.append(f"the engine at {settings.engine_url} does not answer")
    if seen.registered is None or seen.engine is None:
        why.append("engine or registration not known yet")
    return Health.judge(
        tuple(why),
        **chain.facts(),
        registered=seen.registered,
        engine_reachable=seen.engine,
        routers_connected=sorted(links.connected),
        routers_declared=len(links.routers),
        in_flight=runner.in_flight,
        last_commit_at=runner.last_commit_at,
        task_steps=steps.counts,
        **more,
    )


async def _look(settings: MinerSettings, chain: Chain, http: HttpClient, seen: _Seen, clock: Clock) -> None:
    while True:
        seen.engine = await is_reachable(http, settings.engine_url)
        try:
            seen.registered = await chain.network.is_registered(chain.address)
        except ChainError:
            seen.registered = None  # unknown is not "no"
        await clock.sleep(LOOK_AGAIN_AFTER_S if seen.registered is None else LOOK_EVERY_S)


async def _ping(settings: MinerSettings, chain: Chain, seen: _Seen, clock: Clock, log: Log) -> None:
    while True:
        if not seen.registered:
            await clock.sleep(RETRY_AFTER_S)
            continue
        try:
            await chain.write(chain.network.ping(), step="ping")
        except ChainError as error:
            log.warning("ping_failed", why=error.what)
        await clock.sleep(settings.ping_every_s)


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: MinerSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("miner", env_file(MinerSettings), run))
