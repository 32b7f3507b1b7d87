"""The chain read on from a moment: every step of every round since then, and more of them at each look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cortops.contracts.rpc import RpcClient
from cortops.probes.backfill import Filled, fill, look_at_heads, shown
from cortops.surfaces.nodes.blocks import BlockTimes, Look, place_of
from cortops.surfaces.nodes.chain_facts import TOPICS, ChainEvent, Log, read_logs
from cortops.surfaces.nodes.chain_places import ChainPlaces
from cortops.surfaces.nodes.network import clock_error_s
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

REREAD_BLOCKS = 12  # newest blocks that are read once more: a chain may still change them
READ_S = 8.0  # of one look, at most
TIMES_KEPT = 400
EVENTS_KEPT_MAX = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSeen:
    """What is known of the chain now. events: since the window began, in order; at_of: block -> seconds since 1970.

    now: seconds since 1970 by the chain's clock. looks: at the newest blocks. places: the contracts that are read.
    why: why the newest part could not be read, "" when it was; what was read before stands.
    """

    events: tuple[ChainEvent, ...]
    at_of: Callable[[int], float]
    now: float
    looks: tuple[Look, ...]
    places: ChainPlaces
    why: str = ""


class ChainTail:
    """Reads the logs of the contracts at `places`, by as many endpoints as there are, from where others have read on."""

    def __init__(
        self, clients: Sequence[RpcClient], places: ChainPlaces, times: BlockTimes, clock: Clock, *, logs: Sequence[Log], upto: int
    ) -> None:
        """times: blocks whose times are known. logs: what others have read already, up to block `upto`."""
        self._clients = clients
        self._places = places
        self._clock = clock
        self._times = times
        self._next = upto + 1
        self._events, _ = read_logs(logs)
        self._turn = asyncio.Lock()

    async def read(self) -> TailSeen:
        """Read on to the newest block. Never raises for what the chain does: then `why` says what."""
        async with self._turn:
            heads = await look_at_heads(self._clients, self._clock)
            pairs = [(client, look) for client in self._clients for look in heads.looks if look.url == client.url]
            if not pairs:
                told = "; ".join(f"{place_of(url)}: {why}" for url, why in heads.failed.items())
                return self._seen(heads.looks, told or "no RPC answered")
            return self._seen(heads.looks, await self._read_on(pairs))

    async def _read_on(self, pairs: Sequence[tuple[RpcClient, Look]]) -> str:
        best = max((look for _, look in pairs), key=lambda look: look.number)
        first = max(0, min(self._next, best.number) - REREAD_BLOCKS)
        try:
            found = await fill(pairs, list(self._places.addresses.values()), TOPICS, first=first, clock=self._clock, deadline_s=READ_S)
        except ChainError as error:
            return shown(error, best.url)
        self._keep(found)
        self._times = BlockTimes.of([*self._times.known[:2], *self._times.known[2:][-TIMES_KEPT:], (best.number, best.head_at)])
        return "" if found.complete else found.why

    def _keep(self, found: Filled) -> None:
        """Put what was read in the place of what was known of those blocks; where a hole is left, all of it is read again."""
        if not found.complete:
            return
        events, _ = read_logs(found.logs)
        before = [event for event in self._events if event.block < found.covered]
        after = [event for event in self._events if event.block > found.head]  # told by an endpoint that was ahead of these
        self._events = (*before, *events, *after)[-EVENTS_KEPT_MAX:]
        self._next = max(self._next, found.head + 1)

    def _seen(self, looks: tuple[Look, ...], why: str) -> TailSeen:
        times = self._times.also((event.block, event.at) for event in self._events if event.at is not None)
        now = self._clock.now()
        return TailSeen(events=self._events, at_of=times.at, now=now + clock_error_s(looks, now), looks=looks, places=self._places, why=why)
