"""The pool oracle's composition root."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

from cortops.contracts.network import POOL_ROLE, Network
from cortops.contracts.network_tasks import NetworkTasks
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.common.role import Role
from cortops.programs.pool.decide import Changes, Policy, Standing, decide
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import PoolOracleSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import ChainError

CHANGES_MAX = 32  # of one round; the rest waits for the next
FIRST_LOOK_AFTER_S = 5.0  # nodes of an environment that just came up have pinged by then


class Rounds:
    """One round after the other. changes: of the last; free: nodes in the pool after it, None before the first."""

    def __init__(self, settings: PoolOracleSettings, chain: Chain, clock: Clock, log: Log) -> None:
        self._chain = chain
        self._clock = clock
        self._log = log
        self._every_s = settings.every_s
        self._policy = Policy(ping_age_max_s=settings.ping_age_max_s, level_min=settings.level_min, verified_only=settings.verified_only)
        self.free: int | None = None
        self.failing = ""
        self.at: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        await self._clock.sleep(FIRST_LOOK_AFTER_S)
        while True:
            try:
                changes = await self._look(self._chain.network, self._chain.network_tasks)
                await self._apply(self._chain.network, changes)
            except ChainError as error:
                self.failing = error.what
                self._log.warning("pool_round_failed", why=error.what)
            else:
                self.failing, self.at = "", self._clock.now()
                self.free = changes.kept + len(changes.add)
            await self._clock.sleep(min(self._every_s, FIRST_LOOK_AFTER_S) if self.failing else self._every_s)

    async def _look(self, network: Network, tasks: NetworkTasks | None) -> Changes:
        nodes = await network.nodes()
        free = frozenset(await network.ephemeral_nodes())
        addresses = [node.address for node in nodes]
        held = {address for address in addresses if address not in free and await network.reserving_session(address) is not None}
        standings: dict[str, Standing] | None = None
        if tasks is not None:
            levels, results = await tasks.levels(addresses), await tasks.results(addresses)
            standings = {address: Standing(level=levels[address], result=results[address]) for address in addresses}
        return decide(nodes, standings, free, held, self._policy, self._clock.now())

    async def _apply(self, network: Network, changes: Changes) -> None:
        """Out first: who is taken out must not be reserved meanwhile."""
        todo = [(address, why, False) for address, why in changes.remove.items()]
        todo += [(address, why, True) for address, why in changes.add.items()]
        for address, why, let_in in todo[:CHANGES_MAX]:
            call = network.add_to_pool(address) if let_in else network.remove_from_pool(address)
            await self._chain.write(call, step="pool_add" if let_in else "pool_remove", node_address=address, why=why)


async def serve(settings: PoolOracleSettings, log: Log, clock: Clock) -> None:
    """Run the pool oracle until cancelled."""
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    role, rounds = Role("node_pool", POOL_ROLE), Rounds(settings, chain, clock, log)

    def health() -> Health:
        why = list(chain.why())
        if role.held is False:
            why.append("this node does not hold the pool role of the node pool")
        if rounds.failing:
            why.append(f"the last round failed: {rounds.failing}")
        return Health.judge(tuple(why), **chain.facts(), pool_role=role.held, ephemeral_nodes=rounds.free, last_round_at=rounds.at)

    try:
        async with asyncio.TaskGroup() as group, serve_health(settings.bind_ips, settings.port, health) as port:
            log.info("serving", health=f"{settings.bind_ips[-1]}:{port}", address=chain.address)
            await chain.ready()
            group.create_task(role.look(chain, clock))
            group.create_task(rounds.run())
            await chain.follow(_nothing_to_read, _nothing_to_tell)
    finally:
        await http.close()


async def _nothing_to_read(_head: int) -> None:
    """Rounds read for themselves; the chain is followed for its age."""


async def _nothing_to_tell(_batch: object) -> None:
    """As above."""


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: PoolOracleSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("pool-oracle", env_file(PoolOracleSettings), run))
