"""The fleet side of the deploy engine: nodes that run cortensord are looked at as `discover` looks, and never touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from cortops.deploy.observed import Absent, Desired, Driver, Observed, Present, Progress, Step, Unseen
from cortops.surfaces.fleet.found import running
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match
from cortops.surfaces.fleet.found.running import Running
from cortops.surfaces.judging import Ask
from cortops.words.errors import BadInput
from cortops.words.question import Answer, NoAnswer, Shell
from cortops.words.resource import Cortensord

if TYPE_CHECKING:
    from cortops.surfaces.fleet.found.discover import HostFound  # an environment without such nodes never loads it

_DECLARED = ("shape", "runs", "unit", "env_file", "log", "binary", "address")


def attributes_of(resource: Cortensord) -> dict[str, str]:
    """What is compared: only what is declared."""
    return {name: value for name in _DECLARED if (value := getattr(resource, name))}


def seen_as(resource: Cortensord, found: HostFound, now: Running | None = None) -> Observed:
    """A declared node as it was found on its host. What could not be read counts as declared: nobody saw that it differs.

    now: what the host says of just this node, which `discover` may not find while it stands still.
    """
    node = match(resource, found)
    if isinstance(node, Missing):
        return _not_found(resource, node, now)
    compared = {name: _seen(node, name) or declared for name, declared in attributes_of(resource).items()}
    told = {
        "running": "yes" if node.running else "no",
        "pid": "" if node.pid is None else str(node.pid),
        "started_at": "" if node.started_at is None else f"{node.started_at:.0f}",
        "program": node.running_sha256 or ("" if node.running else node.binary_sha256),
        "unit_sha256": node.unit_sha256,
        "env_sha256": node.env_sha256,
    }
    return Present(compared | {name: value for name, value in told.items() if value})


def _not_found(resource: Cortensord, missing: Missing, now: Running | None) -> Observed:
    if missing.state == "unseen":
        return Unseen(f"{resource.name} was not found, and {missing.why}")
    if now is None or now.state == "gone":
        return Absent()
    if now.state == "stopped":
        return Present(attributes_of(resource) | {"running": "no"})
    return Unseen(f"{resource.name} was not found" + (f": {now.text}" if now.state == "unseen" else f", and it runs as pid {now.pid}"))


def _seen(node: Installed, name: str) -> str:
    """A compared attribute as found; empty where it could not be read."""
    if name == "address":
        return node.address.lower() or ("none" if node.env_sha256 else "")
    return str(getattr(node, name))


class FleetDriver:
    """Implements deploy.observed.Driver for a host with nodes that were there before us; `beside` makes what is ours on that host.

    question: what `discover` asks of a host. read: pure, text of its answer -> what was found.
    """

    def __init__(self, question: Shell, read: Callable[[str], HostFound], ask: Ask, beside: Driver | None = None) -> None:
        self.place = question.target
        self._question = question
        self._read = read
        self._ask = ask
        self._beside = beside

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """One question for all nodes of the host; a host that gives no answer leaves every one of them unseen."""
        nodes = [item for item in desired if isinstance(item.resource, Cortensord)]
        ours = [item for item in desired if not isinstance(item.resource, Cortensord)]
        if ours and self._beside is None:
            raise BadInput(f"{ours[0].resource.id} is to be made on {self.place}, which is only looked at", where=ours[0].resource.because)
        looks = [self._look(nodes), *([self._beside.observe(ours)] if self._beside else [])]
        return {key: seen for look in await asyncio.gather(*looks) for key, seen in look.items()}

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """What is ours is made as elsewhere. A step for a node of others fails before anything is made: no plan holds one."""
        for step in steps:
            if self._beside is None or isinstance(step.desired.resource, Cortensord):
                yield Progress(key=step.desired.resource.key, event="failed", text="it was there before us and is not adopted: not touched")
                return
        assert self._beside is not None
        async with aclosing(self._beside.apply(steps, apply_id)) as told:
            async for progress in told:
                yield progress

    async def _look(self, nodes: Sequence[Desired]) -> Mapping[str, Observed]:
        if not nodes:
            return {}
        declared = {item.resource.key: item.resource for item in nodes if isinstance(item.resource, Cortensord)}
        asked = running.question(self.place, {resource.name: resource for resource in declared.values()})
        replies = await self._ask([self._question, asked])  # one round trip
        reply, light = replies[self._question.id], replies[asked.id]
        if isinstance(reply, NoAnswer):
            return {key: Unseen(reply.why) for key in declared}
        found, now = self._read(reply.text), running.read(light.text) if isinstance(light, Answer) else {}
        return {key: seen_as(resource, found, now.get(resource.name)) for key, resource in declared.items()}
