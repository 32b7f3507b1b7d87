"""What the console is given beside the picture: tasks read from the queue, and which restarts an apply meant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.surfaces.stage import example, site_of

from cortops.cli.watched import Intentions, Watched, meant
from cortops.console.view import TaskLine
from cortops.contracts.network import Network
from cortops.contracts.records import Task
from cortops.deploy.journal import ApplyRecord, Journal, StepRecord
from cortops.monitor.restarts import Restart
from cortops.monitor.watch import Watch
from cortops.words.errors import ChainUnreachable

ENV = example()
SITE = site_of(ENV)


def task(session: int, number: int, *, status: int, miners: int = 0, ended: bool = False, committed_at: int = 0) -> Task:
    return Task(
        id=number,
        gid=10 * number + session,
        session=session,
        miners=("0xa",) * miners,
        ended=ended,
        status=status,
        created_at=1_000 + number,
        last_precommit_at=0,
        last_commit_at=committed_at,
        finished_at=0,
    )


@dataclass
class Queue:
    """A queue that holds these tasks, or does not answer."""

    held: dict[int, list[Task]]
    fails: bool = False

    async def task_counts(self, sids: Sequence[int]) -> list[int]:
        if self.fails:
            raise ChainUnreachable("no answer")
        return [len(self.held.get(sid, ())) for sid in sids]

    async def tasks(self, sid: int, offset: int, amount: int) -> tuple[Task, ...]:
        return tuple(self.held[sid][offset : offset + amount])


def watched(queue: Queue) -> Watched:
    nothing = cast("Watch", None)
    return Watched(environment=ENV, endpoints={}, watch=nothing, network=cast("Network", cast("Any", queue)), site=SITE)


def test_the_newest_tasks_of_all_sessions_come_first_in_the_words_of_their_path() -> None:
    queue = Queue(
        {
            1: [
                task(1, 1, status=4, ended=True, committed_at=7, miners=3),
                task(1, 2, status=4, ended=True),
                task(1, 3, status=2, miners=3),
            ],
            2: [task(2, 1, status=0), task(2, 2, status=0, miners=3)],
        }
    )
    found = asyncio.run(watched(queue).tasks(4))
    assert found == (
        TaskLine(session=1, task=3, state="precommitted", at=1003),
        TaskLine(session=2, task=2, state="assigned", at=1002),
        TaskLine(session=1, task=2, state="failed", at=1002),
        TaskLine(session=2, task=1, state="submitted", at=1001),
    )


def test_a_chain_that_does_not_answer_is_a_value() -> None:
    assert isinstance(asyncio.run(watched(Queue({}, fails=True)).tasks(4)), ChainUnreachable)


def restart(service: str, *, seen_at: float, at: float) -> Restart:
    return Restart(service=service, entities=(), pid_before=1, pid=2, seen_at=seen_at, at=at)


@pytest.mark.parametrize(
    ("step_at", "is_meant"),
    [(97, False), (98, True), (105, True), (112, True), (113, False)],
    ids=["long before it was last seen", "just before", "between", "as it began", "after it had begun"],
)
def test_an_apply_meant_the_restarts_of_services_it_had_a_step_for(step_at: int, is_meant: bool) -> None:
    steps = (StepRecord(resource="service:router-1", action="update", outcome="done", at=step_at, text=""),)
    last = ApplyRecord(apply="a-1", begun=90, by="ops", digest="d", steps=steps, finished="ok")
    found = meant([restart("router-1", seen_at=100, at=110), restart("miner-1", seen_at=100, at=110)], last)
    assert found == ({"router-1": "apply a-1 by ops"} if is_meant else {})


def test_where_nothing_was_ever_applied_nothing_was_meant() -> None:
    assert meant([restart("router-1", seen_at=100, at=110)], None) == {}


class Told(Journal):
    """A journal whose last apply is given."""

    def __init__(self, last: ApplyRecord | None) -> None:
        self._last = last

    async def last_apply(self) -> ApplyRecord | None:
        return self._last


def test_every_host_tells_of_its_own_steps_of_the_same_apply() -> None:
    def applied(apply: str, service: str) -> Told:
        steps = (StepRecord(resource=f"service:{service}", action="update", outcome="done", at=105, text=""),)
        return Told(ApplyRecord(apply=apply, begun=90, by="ops", digest="d", steps=steps, finished="ok"))

    restarts = [restart(name, seen_at=100, at=110) for name in ("chain-1", "router-1", "miner-1")]
    intended = Intentions(applied("a-2", "chain-1"), [applied("a-2", "router-1"), applied("a-1", "miner-1"), Told(None)])
    assert asyncio.run(intended(restarts)) == dict.fromkeys(("chain-1", "router-1"), "apply a-2 by ops")
    assert asyncio.run(Intentions(Told(None), [applied("a-1", "miner-1")])(restarts)) == {}
