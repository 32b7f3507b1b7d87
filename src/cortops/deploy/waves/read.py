"""Read what hosts have recorded of their adopted nodes; a host that gives no answer hides no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cortops.deploy.host_state import HostState
from cortops.deploy.manifest import Manifest
from cortops.deploy.waves.history import HostHistory
from cortops.words.errors import CortopsError

AT_ONCE_MAX = 4  # reads on one host: its connection carries no more than a few


async def histories(states: Mapping[str, HostState], program: str | None = None) -> dict[str, HostHistory]:
    """By host, from the hosts themselves. program: only where a node runs it by the newest generation are the older ones read too."""
    found = await asyncio.gather(*(history(state, program) for state in states.values()))
    return {one.host: one for one in found}


async def history(state: HostState, program: str | None = None) -> HostHistory:
    """Of one host. program: as of `histories`."""
    try:
        latest, judged = await asyncio.gather(state.manifests.latest(), state.journal.judgements())
        if latest is None:
            return HostHistory(host=state.host, judged=judged)
        short = HostHistory(host=state.host, generations=(latest,), judged=judged)
        if program is not None and all(node.program != program for node in short.latest.values()):
            return short
        return HostHistory(host=state.host, generations=await _all(state, latest), judged=judged)
    except CortopsError as error:
        return HostHistory(host=state.host, silent=error.what)


async def _all(state: HostState, latest: Manifest) -> tuple[Manifest, ...]:
    turn = asyncio.Semaphore(AT_ONCE_MAX)

    async def read(generation: int) -> Manifest | None:
        async with turn:
            return latest if generation == latest.generation else await state.manifests.read(generation)

    found = await asyncio.gather(*(read(number) for number in await state.manifests.generations()))
    return tuple(one for one in found if one is not None)
