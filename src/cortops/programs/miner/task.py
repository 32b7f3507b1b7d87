"""One task at its miner: events in, commands out, no I/O.

The next command follows from how far the chain is and what we hold, not from which event came: late, double and rewound events are
harmless. A step is sent once per reading of the chain; only `Synced` (a fresh reading) allows it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

SENDS_MAX = 12  # failed sends of one task, all steps together


class Reached(IntEnum):
    """How far this miner's part of the task is on chain."""

    ASSIGNED = 0
    ACKED = 1
    PRECOMMITTED = 2
    MAY_COMMIT = 3  # all miners have precommitted, or the oracle closed that step
    COMMITTED = 4
    ENDED = 5  # or past us: the oracle has closed the step we would take


class Engine(StrEnum):
    """How far the engine is with a task."""

    IDLE = "idle"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A reading of the chain; also the first event of every task. `promised_hash`: of our precommit there, empty before it.

    `identity` tells tasks apart that carry the same number on both sides of a rewind.
    """

    reached: Reached
    identity: str
    promised_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A reading found no such task, or one that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """An event of the chain about our part, in whatever order."""

    reached: Reached
    promised_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDone:
    """The engine's whole text, and its keccak256."""

    text: str
    text_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFailed:
    """The engine gave no text, or a private payload could not be had. code: of a payload's fault, else empty."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """A transaction was refused, reverted or not mined in time."""

    why: str


Event = Synced | Gone | Mined | EngineDone | EngineFailed | SendFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Send ack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Start the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEngine:
    """Nobody needs the text any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precommit:
    """Send the text's hash."""

    text_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Send the text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Read the chain again; `attempt` counts from 1."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Nothing more can be done; the oracle's deadline moves the task on."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The task is over; drop its chunks."""


Command = Ack | Run | StopEngine | Precommit | Commit | Sync | Leave | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """sent: the furthest step sent since the last reading. left: we gave up and only wait for the end."""

    reached: Reached = Reached.ASSIGNED
    identity: str = ""
    engine: Engine = Engine.IDLE
    text: str = ""
    text_hash: str = ""
    promised_hash: str = ""
    sent: Reached = Reached.ASSIGNED
    failed_sends: int = 0
    left: bool = False
    forgotten: bool = False


Step = tuple[Task, tuple[Command, ...]]


def step(task: Task, event: Event) -> Step:
    """The one transition."""
    if task.forgotten:
        return task, ()
    match event:
        case Synced():
            return _synced(task, event)
        case Gone():
            return _forget(task)
        case Mined(reached=reached, promised_hash=promised):
            return _next(replace(task, reached=max(task.reached, reached), promised_hash=promised or task.promised_hash))
        case EngineDone(text=text, text_hash=text_hash):
            if task.engine is not Engine.RUNNING:
                return task, ()
            return _next(replace(task, engine=Engine.DONE, text=text, text_hash=text_hash))
        case EngineFailed(why=why, code=code):
            if task.engine is not Engine.RUNNING:
                return task, ()
            return replace(task, engine=Engine.FAILED, left=True), (Leave(why=why, code=code),)
        case SendFailed(why=why):
            if task.left:
                return task, ()
            if task.failed_sends >= SENDS_MAX:
                return replace(task, left=True), (Leave(why=why),)
            return replace(task, failed_sends=task.failed_sends + 1), (Sync(attempt=task.failed_sends + 1),)


def _synced(task: Task, event: Synced) -> Step:
    if task.identity not in ("", event.identity):  # same number, other task: what we hold belongs to a lost branch
        fresh, commands = _synced(Task(), event)
        return fresh, ((StopEngine(),) if task.engine is Engine.RUNNING else ()) + commands
    read = replace(task, identity=event.identity, reached=event.reached, promised_hash=event.promised_hash, sent=event.reached)
    return _next(read)


def _next(task: Task) -> Step:
    """What is due now, as a function of what we know."""
    if task.reached is Reached.ENDED:
        return _forget(task)
    if task.left or task.reached is Reached.COMMITTED:
        return task, ()
    commands: list[Command] = []
    if task.reached is Reached.ASSIGNED and task.sent < Reached.ACKED:
        task = replace(task, sent=Reached.ACKED)
        commands.append(Ack())
    if task.engine is Engine.IDLE:
        task = replace(task, engine=Engine.RUNNING)
        commands.append(Run())
    if task.engine is Engine.DONE:
        if task.reached is Reached.ACKED and task.sent < Reached.PRECOMMITTED:
            task = replace(task, sent=Reached.PRECOMMITTED)
            commands.append(Precommit(text_hash=task.text_hash))
        if task.reached is Reached.MAY_COMMIT and task.sent < Reached.COMMITTED:
            if task.promised_hash != task.text_hash:
                return replace(task, left=True), (Leave(why="the precommitted hash is not that of the text we have"),)
            task = replace(task, sent=Reached.COMMITTED)
            commands.append(Commit(text=task.text))
    return task, tuple(commands)


def _forget(task: Task) -> Step:
    stop: tuple[Command, ...] = (StopEngine(),) if task.engine is Engine.RUNNING else ()
    return replace(task, forgotten=True), (*stop, Forget())
