"""`python -m cortops.programs.orbit ENVFILE`: the sequencer, the batch poster or the staker of a development child chain."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from cortops.contracts.sender import Sender
from cortops.contracts.wallet import Wallet
from cortops.programs.common.health import Health, health_handler, listening, metrics_handler
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.orbit.ends import End, check_ids, ends
from cortops.programs.orbit.feed import Feed
from cortops.programs.orbit.poster import Poster
from cortops.programs.orbit.sequencer import Sequencer
from cortops.programs.orbit.staker import Staker
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import OrbitSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput, ChainError

LOOK_AGAIN_S = 0.5


class Part(Protocol):
    """One of the three."""

    async def run(self) -> None: ...

    def health(self) -> Health: ...


async def serve(settings: OrbitSettings, log: Log) -> None:
    """Run one part until cancelled. Raises BadInput for settings that fit no part, or chains that are not the declared ones."""
    clock = SystemClock()
    http = HttpClient(clock=clock)
    parent, child = ends(settings, http)
    feed = Feed(settings.child_chain_id)
    part = _part(settings, parent, child, feed, clock, log)
    app = web.Application(client_max_size=1024)
    app.router.add_get("/health", health_handler(part.health))
    app.router.add_get("/metrics", metrics_handler(part.health))
    if settings.does == "sequencer":
        app.router.add_get("/", feed.handle)
    try:
        async with listening(app, settings.bind_ips, settings.port, handler_cancellation=True):
            log.info("serving", does=settings.does, health=f"{settings.bind_ips[-1]}:{settings.port}")
            await _until_known(settings, parent, child, clock)
            await part.run()
    finally:
        await http.close()


def _part(settings: OrbitSettings, parent: End, child: End, feed: Feed, clock: Clock, log: Log) -> Part:
    if settings.does == "sequencer":
        return Sequencer(settings, parent, child, feed, clock, log)
    kinds: Mapping[str, type[Poster] | type[Staker]] = {"batch-poster": Poster, "staker": Staker}
    if settings.does not in kinds:
        raise BadInput(f"ORBIT_DOES is {settings.does!r}; it is sequencer, batch-poster or staker", where="env file")
    wallet = Wallet(settings.private_key)
    if wallet.address.lower() != settings.address.lower():
        raise BadInput(f"NODE_PRIVATE_KEY belongs to {wallet.address}, NODE_PUBLIC_KEY says {settings.address}", where="env file")
    sender = Sender(parent.rpc, wallet, settings.parent_chain_id, clock)
    return kinds[settings.does](settings, parent, child, sender, clock, log)


async def _until_known(settings: OrbitSettings, parent: End, child: End, clock: Clock) -> None:
    """Wait for both chains, and refuse to work between others."""
    while True:
        try:
            wrong = await check_ids(settings, parent, child)
        except ChainError:
            await clock.sleep(LOOK_AGAIN_S)
            continue
        if wrong:
            raise BadInput(wrong, where="env file", next="Correct network.chain_id or network.parent in the environment file.")
        return


if __name__ == "__main__":
    sys.exit(start("orbit", env_file(OrbitSettings), serve))
