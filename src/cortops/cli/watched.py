"""What `watch` gives its console beside the picture: tasks from the chain, and which restarts an apply meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from cortops.console.view import TaskLine
from cortops.contracts import explore
from cortops.contracts.artifact import load
from cortops.contracts.explore import Block, Transaction
from cortops.contracts.network import Network
from cortops.contracts.path import TaskPath, read_path
from cortops.contracts.records import STATUS_NAMES, TASKS_PAGE_MAX, Task
from cortops.deploy.journal import ApplyRecord, Journal
from cortops.environment.declared import Environment
from cortops.monitor.picture import Picture
from cortops.monitor.restarts import Restart
from cortops.monitor.watch import Watch
from cortops.surfaces.chain import network_tasks
from cortops.surfaces.site import Site, node_names
from cortops.words.errors import CortopsError

BLOCKS_SHOWN = 25
MEANT_BEFORE_S = 2.0  # the journal counts whole seconds, and a process starts within its step


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """console.view.View over a watch."""

    environment: Environment
    endpoints: Mapping[str, str]
    watch: Watch
    network: Network
    site: Site

    @property
    def names(self) -> Mapping[str, str]:
        """As View.names."""
        modules = {address: name for address, (name, _) in self._modules.items()}
        return modules | node_names(self.environment, self.site)

    @property
    def _modules(self) -> explore.Modules:
        own = {address.lower(): (artifact.name.replace("_", "-"), artifact) for address, artifact in self.network.contracts.items()}
        tasks = network_tasks.addresses(self.environment, self.site)
        return own | {address.lower(): (name, load(network_tasks.ARTIFACT_OF[name])) for name, address in tasks.items()}

    def picture(self) -> Picture | None:
        """As View.picture."""
        return self.watch.picture

    def pictures(self) -> AsyncIterator[Picture]:
        """As View.pictures."""
        return self.watch.pictures()

    def counts(self) -> Mapping[str, int]:
        """As View.counts."""
        figures = asdict(self.watch.figures)
        return {name: figures[name] for name in ("rounds", "answers", "silences", "given_up")}

    async def tasks(self, limit: int) -> tuple[TaskLine, ...] | CortopsError:
        """As View.tasks, read from the queue's storage: one call for the counts, one for each session."""
        sessions = sorted(self.environment.network.sessions)
        amount = min(limit, TASKS_PAGE_MAX)
        try:
            counts = await self.network.task_counts(sessions)
            pages = [
                await self.network.tasks(sid, max(0, count - amount), amount) for sid, count in zip(sessions, counts, strict=True) if count
            ]
        except CortopsError as error:
            return error
        found = sorted((task for page in pages for task in page), key=lambda task: (task.created_at, task.gid), reverse=True)
        return tuple(TaskLine(session=task.session, task=task.id, state=_state(task), at=task.created_at) for task in found[:limit])

    async def task(self, session: int, task: int) -> TaskPath | CortopsError:
        """As View.task; nodes by their names."""
        try:
            path = await read_path(self.network, session, task)
        except CortopsError as error:
            return error
        names = node_names(self.environment, self.site)
        return replace(path, steps=tuple(replace(step, by=names.get(step.by.lower(), step.by)) for step in path.steps))

    async def blocks(self, upto: int | None) -> tuple[Block, ...] | CortopsError:
        """As View.blocks."""
        try:
            return await explore.newest(self.network.rpc, BLOCKS_SHOWN, upto=upto)
        except CortopsError as error:
            return error

    async def block(self, number: int) -> Block | CortopsError:
        """As View.block."""
        try:
            return await explore.block(self.network.rpc, number, self._modules)
        except CortopsError as error:
            return error

    async def transaction(self, tx: str) -> Transaction | CortopsError:
        """As View.transaction."""
        try:
            return await explore.transaction(self.network.rpc, tx, self._modules)
        except CortopsError as error:
            return error


def _state(task: Task) -> str:
    """In the words of contracts.path.path_state."""
    if task.ended:
        return "ended" if task.last_commit_at else "failed"
    if task.status == 0:
        return "assigned" if task.miners else "submitted"
    return STATUS_NAMES[task.status]


class Intentions:
    """Which restarts an apply meant, by the journal's last apply: call it with restarts. Raises what a journal raises.

    others: of the other hosts that run our programs, each of which journals its own steps.
    """

    def __init__(self, journal: Journal, others: Sequence[Journal] = ()) -> None:
        self._journals = (journal, *others)

    async def __call__(self, found: Sequence[Restart]) -> Mapping[str, str]:
        """Service -> who meant its restart."""
        first, *others = await asyncio.gather(*(journal.last_apply() for journal in self._journals))
        if first is None:
            return {}
        steps = [step for other in others if other is not None and other.apply == first.apply for step in other.steps]
        return meant(found, replace(first, steps=(*first.steps, *steps)))


def meant(found: Sequence[Restart], last: ApplyRecord | None) -> dict[str, str]:
    """A restart is meant when the last apply had a step for that service which began no later than the process."""
    if last is None:
        return {}
    steps = {step.resource: step.at for step in last.steps}
    return {
        restart.service: f"apply {last.apply} by {last.by}"
        for restart in found
        if (at := steps.get(f"service:{restart.service}")) is not None
        and restart.seen_at - MEANT_BEFORE_S <= at <= restart.at + MEANT_BEFORE_S
    }
