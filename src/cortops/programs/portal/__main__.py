"""`python -m cortops.programs.portal CONFIG.json`: the composition root."""

from __future__ import annotations

import asyncio
import gc
import secrets
import sys
from pathlib import Path

from cortops.programs.common.logs import Log
from cortops.programs.common.process import read_input, start
from cortops.programs.portal.app import portal
from cortops.programs.portal.books import Books
from cortops.programs.portal.desk import Desk
from cortops.programs.portal.serving import serve
from cortops.programs.portal.session import Signer
from cortops.protocol.portal import PortalConfig
from cortops.words.clock import SystemClock


def load(path: Path) -> PortalConfig:
    """The configuration file at `path`. Raises BadInput, PermissionMissing."""
    return PortalConfig.from_json(read_input(path), where=str(path))


def new_request_id() -> str:
    """An id that no other request has: 96 random bits."""
    return f"req_{secrets.token_hex(12)}"


async def run(config: PortalConfig, log: Log) -> None:
    """Serve until cancelled."""
    books = Books(config, secrets.token_bytes)
    signer = Signer(config.session_secret)
    desk = Desk(config, books, clock=SystemClock(), log=log, random_bytes=secrets.token_bytes, signer=signer)
    gc.collect()
    gc.freeze()
    try:
        async with serve(portal(config, desk, log=log, new_id=new_request_id), config.listen.ips, config.listen.port) as port:
            log.info("listening", ip=",".join(config.listen.ips), port=port, hostnames=len(config.hostnames))
            await asyncio.Event().wait()
    finally:
        books.close()


def main() -> int:
    """Run the portal; the exit status."""
    return start("portal", load, run)


if __name__ == "__main__":
    sys.exit(main())
