"""The record that shows an authority that a name is ours, in a zone that we keep: put, published, awaited, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cortops.deploy.names.dns_driver import DnsDriver
from cortops.deploy.names.zone import Edit
from cortops.environment.dns import NamedRecord
from cortops.probes.dns import DnsRefusal, Found, query
from cortops.words.clock import Clock
from cortops.words.errors import StepFailed

Query = Callable[[tuple[str, int], str, str, float], Awaitable[Found]]  # (server, name, type, timeout in seconds)

TTL_S: Final = 60
SEEN_TIMEOUT_S: Final = 120.0  # until every declared server answers with it
ASK_EVERY_S: Final = 1.0
ASK_TIMEOUT_S: Final = 3.0


class Shown:
    """TXT records of ours for dns-01 (RFC 8555 8.4)."""

    def __init__(self, zone_of: Callable[[str], DnsDriver], servers: tuple[tuple[str, int], ...], clock: Clock, ask: Query = query) -> None:
        """zone_of: a name -> the zone that it stands in. servers: must all answer with it before the authority is told to look."""
        self._ask = ask
        self._zone_of = zone_of
        self._servers = servers
        self._clock = clock

    async def put(self, name: str, value: str) -> None:
        """In the zone, published, and answered; StepFailed where it is not in time."""
        await self._zone_of(name).change(Edit(puts=(NamedRecord(name=name, type="TXT", values=(value,), ttl_s=TTL_S),)))
        end = self._clock.monotonic() + SEEN_TIMEOUT_S
        for server in self._servers:
            while not await self._answers(server, name, value):
                if self._clock.monotonic() >= end:
                    raise StepFailed(
                        f"{server[0]} does not answer with the record of {name} after {SEEN_TIMEOUT_S:.0f} s",
                        next="See that dns.zones.ZONE.publish reaches that server, then run the same command again.",
                    )
                await self._clock.sleep(ASK_EVERY_S)

    async def drop(self, name: str) -> None:
        """Out of the zone again."""
        await self._zone_of(name).change(Edit(drops=((name, "TXT"),)))

    async def _answers(self, server: tuple[str, int], name: str, value: str) -> bool:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                found = await self._ask(server, name, "TXT", ASK_TIMEOUT_S)
        except (DnsRefusal, OSError):  # a timeout too
            return False
        return f'"{value}"' in found.values
