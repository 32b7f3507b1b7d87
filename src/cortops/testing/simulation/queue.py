"""The session queue as a pure model: calls in, events or a refusal out.

It agrees with the compiled contract on random sequences of calls (tests/testing/simulation), so that what holds on it holds on chain.
Who may call is not modelled: every call comes from whom it may come from. Source: contracts/sources/session_queue.vy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cortops.contracts.network import ACKED, COMMITTED, COMPLETED, PRECOMMITTED, QUEUED, TASKS_KEPT, result_hash

Key = tuple[int, int]  # session, task
NO_HASH = "0x" + "00" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A router puts a task into a session's queue."""

    session: int
    reference: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """The oracle chooses miners."""

    key: Key
    miners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """A miner takes it."""

    key: Key
    miner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Precommit:
    """A miner promises a hash."""

    key: Key
    miner: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A miner shows its text."""

    key: Key
    miner: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The oracle ends a step: ACKED is endAck, PRECOMMITTED endPrecommit, COMMITTED endCommit."""

    key: Key
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The oracle ends the task."""

    key: Key
    force: bool = False


Call = Submit | Assign | Ack | Precommit | Commit | Close | End


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One miner's part. step: QUEUED .. COMMITTED."""

    miner: str
    step: int = QUEUED
    hash: str = NO_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task."""

    id: int
    reference: str
    parts: tuple[Part, ...] = ()
    status: int = QUEUED
    ack_closed: bool = False
    ended: bool = False

    def count(self, step: int) -> int:
        """Miners that have come at least so far."""
        return sum(part.step >= step for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """counts: tasks of each session so far. tasks: those in the ring. registered: nodes that may be assigned and may act."""

    registered: frozenset[str]
    counts: Mapping[int, int] = field(default_factory=dict)
    tasks: Mapping[Key, Entry] = field(default_factory=dict)  # by session and task modulo TASKS_KEPT


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the contract."""

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """The contract's reason."""

    why: str


class _No(Exception):
    """Ends a call; never leaves this module."""


def apply(queue: Queue, call: Call) -> tuple[Queue, tuple[Said, ...]] | Refused:
    """One call on one state; a refused call changes nothing."""
    try:
        return _apply(queue, call)
    except _No as refused:
        return Refused(str(refused))


def _apply(queue: Queue, call: Call) -> tuple[Queue, tuple[Said, ...]]:
    if isinstance(call, Submit):
        return _submit(queue, call)
    entry = _open(queue, call.key)
    match call:
        case Assign():
            after, said = _assign(queue, entry, call)
        case Ack():
            after, said = _ack(queue, entry, call)
        case Precommit():
            after, said = _precommit(queue, entry, call)
        case Commit():
            after, said = _commit(queue, entry, call)
        case Close():
            after, said = _close(entry, call.step)
        case End():
            after, said = _end(entry, call)
    session, task = call.key
    where = {"sessionId": session, "taskId": task}
    kept = {**queue.tasks, (session, task % TASKS_KEPT): after}
    return replace(queue, tasks=kept), tuple(Said(name, {**where, **args}) for name, args in said)


_Words = list[tuple[str, dict[str, Any]]]


def _submit(queue: Queue, call: Submit) -> tuple[Queue, tuple[Said, ...]]:
    number = queue.counts.get(call.session, 0) + 1
    place = (call.session, number % TASKS_KEPT)
    _need(place not in queue.tasks or queue.tasks[place].ended, "queue full")
    entry = Entry(id=number, reference=call.reference)
    where = {"sessionId": call.session, "taskId": number}
    said = (Said("TaskQueued", where), Said("TaskSubmitted", {**where, "taskData": call.text, "clientReference": call.reference}))
    counts = {**queue.counts, call.session: number}
    return replace(queue, counts=counts, tasks={**queue.tasks, place: entry}), said


def _assign(queue: Queue, entry: Entry, call: Assign) -> tuple[Entry, _Words]:
    _need(entry.count(ACKED) == 0, "already acked")
    _need(len(call.miners) > 0, "no miners")
    for at, miner in enumerate(call.miners):
        _need(miner in queue.registered, "miner not registered")
        _need(miner not in call.miners[at + 1 :], "miner named twice")
    return replace(entry, parts=tuple(Part(miner=miner) for miner in call.miners)), [("TaskAssigned", {"miners": call.miners})]


def _ack(queue: Queue, entry: Entry, call: Ack) -> tuple[Entry, _Words]:
    at = _place(queue, entry, call.miner)
    _need(entry.parts[at].step == QUEUED, "already acked")
    _need(not entry.ack_closed, "too late to ack")
    after = _with_part(entry, at, step=ACKED)
    if after.count(ACKED) == len(after.parts):
        after = replace(after, ack_closed=True, status=ACKED)
    return after, [("TaskAcked", {"miner": call.miner})]


def _precommit(queue: Queue, entry: Entry, call: Precommit) -> tuple[Entry, _Words]:
    at = _place(queue, entry, call.miner)
    _need(entry.parts[at].step != QUEUED, "not acked")
    _need(entry.parts[at].step == ACKED, "already precommitted")
    _need(entry.status < PRECOMMITTED, "too late to precommit")
    _need(call.hash != NO_HASH, "no hash")
    after, said = _all_precommitted(_with_part(entry, at, step=PRECOMMITTED, hash=call.hash))
    return after, [("TaskPrecommitted", {"miner": call.miner, "hash": call.hash}), *said]


def _commit(queue: Queue, entry: Entry, call: Commit) -> tuple[Entry, _Words]:
    at = _place(queue, entry, call.miner)
    step = entry.parts[at].step
    _need(step != COMMITTED, "already committed")
    _need(step == PRECOMMITTED, "not precommitted")
    _need(entry.status >= PRECOMMITTED, "others have not precommitted")
    _need(entry.status < COMMITTED, "too late to commit")
    _need(result_hash(call.text) == entry.parts[at].hash, "hash differs")
    after = _with_part(entry, at, step=COMMITTED)
    said: _Words = [("TaskCommitted", {"miner": call.miner, "data": call.text})]
    if after.count(COMMITTED) == after.count(PRECOMMITTED):
        return replace(after, status=COMMITTED), [*said, ("TaskAllCommitted", {})]
    return after, said


def _close(entry: Entry, step: int) -> tuple[Entry, _Words]:
    if step == ACKED:
        _need(not entry.ack_closed, "ack already ended")
        _need(entry.count(ACKED) > 0, "nobody acked")
        after, said = _all_precommitted(replace(entry, ack_closed=True, status=ACKED))
        return after, [("TaskAckEnded", {}), *said]
    if step == PRECOMMITTED:
        _need(entry.status < PRECOMMITTED, "precommit already ended")
        _need(entry.count(PRECOMMITTED) > 0, "nobody precommitted")
        return replace(entry, ack_closed=True, status=PRECOMMITTED), [("TaskPrecommitEnded", {})]
    _need(entry.status < COMMITTED, "commit already ended")
    _need(entry.count(COMMITTED) > 0, "nobody committed")
    return replace(entry, status=COMMITTED), [("TaskCommitEnded", {})]


def _end(entry: Entry, call: End) -> tuple[Entry, _Words]:
    _need(call.force or entry.status == COMMITTED, "not committed")
    done = tuple(part.miner for part in entry.parts if part.step == COMMITTED)
    return replace(entry, status=COMPLETED, ended=True), [("TaskEnded", {"miners": done})]


def _all_precommitted(entry: Entry) -> tuple[Entry, _Words]:
    if entry.ack_closed and entry.count(PRECOMMITTED) == entry.count(ACKED):
        return replace(entry, status=PRECOMMITTED), [("TaskAllPrecommitted", {})]
    return entry, []


def _open(queue: Queue, key: Key) -> Entry:
    session, task = key
    entry = queue.tasks.get((session, task % TASKS_KEPT))
    if entry is None or entry.id != task:
        raise _No("no such task")
    _need(not entry.ended, "task ended")
    return entry


def _place(queue: Queue, entry: Entry, miner: str) -> int:
    _need(miner in queue.registered, "not registered")
    for at, part in enumerate(entry.parts):
        if part.miner == miner:
            return at
    raise _No("not assigned")


def _with_part(entry: Entry, at: int, **changes: Any) -> Entry:
    parts = list(entry.parts)
    parts[at] = replace(parts[at], **changes)
    return replace(entry, parts=tuple(parts))


def _need(held: bool, why: str) -> None:
    if not held:
        raise _No(why)


def open_keys(queue: Queue) -> Sequence[Key]:
    """Tasks that have not ended."""
    return [(session, entry.id) for (session, _), entry in queue.tasks.items() if not entry.ended]
