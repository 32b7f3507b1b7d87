"""Read what hosts have recorded of their adopted nodes; a host that gives no answer hides no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cortops.deploy.host_state import HostState, look_host
from cortops.deploy.manifest import Manifest, Manifests
from cortops.deploy.node_programs import programs, switched
from cortops.deploy.observed import Present
from cortops.deploy.program_plan import drifted
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
        latest, journal = await asyncio.gather(state.manifests.latest(), state.journal.read())
        judged = tuple(entry for entry in journal if entry.event == "judged")
        begun = {entry.apply: entry for entry in journal if entry.event == "begun"}
        short = HostHistory(host=state.host, generations=(latest,) if latest is not None else (), judged=judged, begun=begun)
        if latest is None or (program is not None and all(node.program != program for node in short.latest.values())):
            return short
        return replace(short, generations=await all_kept(state.manifests, latest))
    except CortopsError as error:
        return HostHistory(host=state.host, silent=error.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedNow:
    """An adopted node as it is now. program: sha256 of what runs, "" for nothing; recorded: of what should.

    edited: what was changed by hand since it was recorded, a sentence each.
    """

    program: str
    recorded: str
    edited: tuple[str, ...]


async def adopted_now(states: Mapping[str, HostState], tool_version: str) -> dict[str, AdoptedNow]:
    """By node, of those that could be seen."""
    hosts = await asyncio.gather(*(_now(state, tool_version) for state in states.values()))
    return {name: one for host in hosts for name, one in host.items()}


async def _now(state: HostState, tool_version: str) -> dict[str, AdoptedNow]:
    try:
        seen = await look_host(state, lambda record: switched(record, {}), tool_version)
    except CortopsError:
        return {}
    found = ((node, seen.node(name)) for name, node in programs(seen.record.latest).items())
    return {
        node.name: AdoptedNow(program=one.attributes.get("program", ""), recorded=node.program, edited=drifted(node, one.attributes))
        for node, one in found
        if isinstance(one, Present)
    }


async def all_kept(manifests: Manifests, latest: Manifest) -> tuple[Manifest, ...]:
    """Every generation that is kept, the oldest first. StoreUnavailable when the target gives no answer."""
    turn = asyncio.Semaphore(AT_ONCE_MAX)

    async def read(generation: int) -> Manifest | None:
        async with turn:
            return latest if generation == latest.generation else await manifests.read(generation)

    found = await asyncio.gather(*(read(number) for number in await manifests.generations()))
    return tuple(one for one in found if one is not None)
