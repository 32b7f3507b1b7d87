"""The router's composition root."""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import NoReturn

from cortops.programs.common.chain import Chain
from cortops.programs.common.health import listening
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.router.desk import Desk
from cortops.programs.router.links import Links
from cortops.programs.router.reads import Reads
from cortops.programs.router.server import Server
from cortops.protocol.http import HttpClient
from cortops.protocol.routes import PUBLIC_DEVELOPMENT_KEY
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput

NONCE_BYTES = 16


async def serve(settings: RouterSettings, log: Log, clock: Clock) -> None:
    """Run the router until cancelled."""
    if settings.api_key == PUBLIC_DEVELOPMENT_KEY:
        raise BadInput("API_KEY is the development token that everybody knows; set a key of your own", where="env file")
    http = HttpClient(clock=clock)
    chain = Chain(settings, http, clock, log)
    try:
        async with asyncio.TaskGroup() as group:
            desk = Desk(chain, clock, log, group)
            links = desk.links = Links(chain, desk.deliver, lambda: secrets.token_hex(NONCE_BYTES), clock, log)
            reads = Reads(settings=settings, chain=chain, desk=desk, links=links)
            server = Server(
                settings=settings, desk=desk, reads=reads, clock=clock, new_reference=lambda: "req-" + secrets.token_hex(NONCE_BYTES)
            )
            async with (
                listening(links.application(), settings.ws_bind_ips, settings.ws_port) as ws_port,
                listening(server.application(), settings.bind_ips, settings.port, handler_cancellation=True) as port,
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


def main() -> NoReturn:
    """The composition root."""

    async def run(settings: RouterSettings, log: Log) -> None:
        await serve(settings, log, SystemClock())

    sys.exit(start("router", env_file(RouterSettings), run))
