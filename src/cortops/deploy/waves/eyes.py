"""Eyes on changed nodes: their processes from their hosts, their part from the chain, one round trip each for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from cortops.deploy.earning_gate import GateFacts
from cortops.deploy.safe_moment import Moment
from cortops.deploy.waves.history import MINER
from cortops.deploy.waves.plan import Step
from cortops.deploy.waves.sight import Mark, ProcessSeen, facts_of, moment_of, runs
from cortops.environment.cortensord import CortensordNode
from cortops.probes.chain_tail import ChainTail, TailSeen
from cortops.surfaces.fleet.found import running
from cortops.surfaces.fleet.found.running import Running
from cortops.surfaces.judging import Ask
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Reply

Runs = Callable[[str], Awaitable[bool | None]]  # node -> whether it runs the program that it was changed to; None when nobody could see
Registered = Callable[[Sequence[str]], Awaitable[Mapping[str, bool]]]  # addresses -> which of them are nodes, as far as known

_COUNTS = ("systemd", "ansible", "salt")  # shapes whose manager begins to count anew at a start by people


class FleetEyes:
    """Implements deploy.waves.run.Eyes, and sees whether a node may be restarted.

    nodes: all that are looked at; addresses: of each, "" where it is not known. tail: None where nobody knows the contracts.
    """

    def __init__(
        self,
        nodes: Mapping[str, CortensordNode],
        addresses: Mapping[str, str],
        *,
        ask: Ask,
        tail: ChainTail | None,
        runs: Runs,
        registered: Registered,
        clock: Clock,
    ) -> None:
        self._nodes = nodes
        self._addresses = addresses
        self._ask = ask
        self._tail = tail
        self._runs = runs
        self._registered = registered
        self._clock = clock
        self._marks: dict[str, Mark] = {}
        self._block = 0

    def mark(self, node: str, at: float | None = None) -> None:
        """The node was changed now, or at `at` (seconds since 1970, our clock) by an earlier run."""
        self._marks[node] = Mark(at=self._clock.now(), block=self._block) if at is None else Mark(at=at)

    async def moment(self, node: str) -> Moment:
        """Whether it runs and works now."""
        tail, seen = await asyncio.gather(self._read(), self._processes([node]))
        return moment_of(self._addresses[node], selectable=self._nodes[node].role == MINER, running=runs(seen[node].now), tail=tail)

    async def look(self, steps: Sequence[Step]) -> Mapping[str, GateFacts]:
        """Every node's facts since its mark."""
        names = [step.node for step in steps]
        tail, seen = await asyncio.gather(self._read(), self._processes(names))
        programs = dict(zip(names, await asyncio.gather(*(self._program(name, seen[name].now) for name in names)), strict=True))
        now = self._clock.now()

        def facts(name: str, known: Mapping[str, bool]) -> GateFacts:
            process = replace(seen[name], program=programs[name])
            address = self._addresses[name]
            return facts_of(address, self._marks[name], process, tail, now=now, registered=known.get(address))

        found = {name: facts(name, {}) for name in names}
        idle = [name for name in names if self._addresses[name] and (part := found[name].chain) is not None and not part.commits]
        known = await self._registered([self._addresses[name] for name in idle]) if idle else {}
        return found | {name: facts(name, known) for name in idle}

    async def _read(self) -> TailSeen | None:
        tail = await self._tail.read() if self._tail is not None else None
        if tail is not None:
            self._block = max([self._block, *(look.number for look in tail.looks)])
        return tail

    async def _processes(self, names: Sequence[str]) -> dict[str, ProcessSeen]:
        by_host: dict[str, list[str]] = {}
        for name in names:
            by_host.setdefault(self._nodes[name].host, []).append(name)
        questions = [running.question(host, {name: self._nodes[name] for name in found}) for host, found in by_host.items()]
        replies = await asyncio.gather(*(self._ask([question]) for question in questions))
        answers = {host: _of(reply, question.id) for host, reply, question in zip(by_host, replies, questions, strict=True)}
        return {name: _seen(name, answers[self._nodes[name].host]) for name in names}

    async def _program(self, name: str, now: Running | None) -> bool | None:
        """Whether it runs what it was changed to: hashed again only where its process is another one than at the last look."""
        if now is None or now.state != "running":
            return None
        mark = self._marks[name]
        if mark.pid is not None and mark.pid == now.pid:
            return True
        right = await self._runs(name)
        if right:
            counted = 0 if self._nodes[name].shape in _COUNTS else now.restarts
            self._marks[name] = replace(mark, pid=now.pid, restarts=counted if mark.pid is None else mark.restarts)
        return right


def _of(replies: Mapping[str, Reply], question: str) -> Mapping[str, Running] | str:
    """Rows of an answer, or why there is none."""
    reply = replies.get(question)
    if isinstance(reply, Answer):
        return running.read(reply.text)
    return reply.why if isinstance(reply, NoAnswer) else "it was not asked"


def _seen(name: str, answer: Mapping[str, Running] | str) -> ProcessSeen:
    if isinstance(answer, str):
        return ProcessSeen(now=None, why=answer)
    now = answer.get(name)
    if now is None:
        return ProcessSeen(now=None, why="its host said nothing of it")
    return ProcessSeen(now=None, why=now.text) if now.state in ("gone", "unseen") else ProcessSeen(now=now)
