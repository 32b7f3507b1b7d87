"""Private sessions of a router, put together from its settings; loaded only where it has some."""

from __future__ import annotations

import asyncio
import secrets

from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.payload_storage import open_storage
from cortops.programs.router.payload_care import Care
from cortops.programs.router.payload_door import PayloadDoor
from cortops.programs.router.private import Private, Secrecy
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock


def payloads(settings: RouterSettings, chain: Chain, clock: Clock, log: Log, group: asyncio.TaskGroup) -> tuple[Private, PayloadDoor]:
    """What seals and opens, and the door for miners; its care runs in `group`. Raises BadInput, StorageUnreachable."""
    private = Private(Secrecy.read(settings), chain, open_storage(settings), secrets.token_bytes)
    care = Care(private, settings.payload_keep_days, secrets.token_bytes, clock, log)
    group.create_task(care.run())
    return private, PayloadDoor(private, care, clock, log)
