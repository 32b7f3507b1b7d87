"""The router's composition root."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import NoReturn

from cortops.programs.common.chain import Chain
from cortops.programs.common.health import listening
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.router.agents import doors_for_agents
from cortops.programs.router.creating import Creating
from cortops.programs.router.desk import Desk
from cortops.programs.router.doors import Door
from cortops.programs.router.families import Families
from cortops.programs.router.links import Links
from cortops.programs.router.offchain import Offchain
from cortops.programs.router.reads import Reads
from cortops.programs.router.search import Tavily
from cortops.programs.router.server import Server
from cortops.programs.router.tasks import Tasks
from cortops.programs.router.trial import Trial
from cortops.programs.router.work import Work
from cortops.protocol.http import HttpClient
from cortops.protocol.routes import PUBLIC_DEVELOPMENT_KEY
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput

NONCE_BYTES = 16


async def serve(settings: RouterSettings, log: Log, clock: Clock) -> None:
    """Run the router until cancelled."""
    refuse_unusable(settings)
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    try:
        async with asyncio.TaskGroup() as group:
            desk = Desk(chain, clock, log, group)
            links = desk.links = Links(chain, desk.deliver, lambda: secrets.token_hex(NONCE_BYTES), clock, log)
            private: Offchain | None = None
            doors: list[Door] = []
            if settings.private_sessions:
                from cortops.programs.router.payload_start import payloads  # sealing and storage cost memory that most routers never need

                private, door = payloads(settings, chain, clock, log, group)
                doors.append(door)
            server = _server(settings, chain, desk, links, http, clock, private, doors)
            trial = next((door for door in server.doors if isinstance(door, Trial)), None)
            async with (
                doors_for_agents(settings, server.offers, trial, clock, log) as agents,
                listening(links.application(), settings.ws_bind_ips, settings.ws_port) as ws_port,
                listening(
                    replace(server, doors=(*server.doors, *agents)).application(),
                    settings.bind_ips,
                    settings.port,
                    handler_cancellation=True,
                ) as port,
            ):
                rest, websocket = f"{settings.bind_ips[-1]}:{port}", f"{settings.ws_bind_ips[-1]}:{ws_port}"
                log.info("serving", rest=rest, websocket=websocket, address=chain.address)
                try:
                    await chain.follow(desk.begin, desk.tell)
                finally:
                    desk.stop()
                    await links.close()
    finally:
        await http.close()


def _server(
    settings: RouterSettings,
    chain: Chain,
    desk: Desk,
    links: Links,
    http: HttpClient,
    clock: Clock,
    offchain: Offchain | None,
    others: Iterable[Door],
) -> Server:
    """The families, and the doors that the settings open."""

    def new_reference() -> str:
        return "req-" + secrets.token_hex(NONCE_BYTES)

    tasks = Tasks(settings=settings, chain=chain, desk=desk, offchain=offchain)
    reads = Reads(settings=settings, chain=chain, desk=desk, links=links)
    search = Tavily(url=settings.search_url, key=settings.search_key, http=http) if settings.search_key else None
    offers = Families(
        tasks=tasks,
        reads=reads,
        work=Work(settings=settings, tasks=tasks, clock=clock, new_reference=new_reference, search=search),
        creating=Creating(settings=settings, chain=chain),
        clock=clock,
        new_reference=new_reference,
    )
    doors: list[Door] = [*others]
    if settings.trial_enabled:
        doors.append(Trial.of(settings, offers, clock))
    return Server(settings=settings, offers=offers, tasks=tasks, reads=reads, clock=clock, new_reference=new_reference, doors=tuple(doors))


def refuse_unusable(settings: RouterSettings) -> None:
    """BadInput without a REST API, and for the key that everybody knows: that may do on a machine of its own, which nobody else reaches."""
    if not settings.api_enabled:
        raise BadInput("API_ENABLE is 0: a router without its REST API answers nobody; set it to 1", where="env file")
    alone = settings.local and all(ip_address(ip).is_loopback for ip in settings.bind_ips)
    if settings.api_key == PUBLIC_DEVELOPMENT_KEY and not alone:
        raise BadInput("API_KEY is the development token that everybody knows; set a key of your own", where="env file")


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: RouterSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("router", env_file(RouterSettings), run))
