"""One request at the router: events in, commands out, no I/O.

new -> submitting -> queued (on chain) -> assigned -> streaming -> answered | failed | forgotten

The final answer waits for the commit on chain; deltas go out at once. What was written must be the beginning of what is committed:
at the commit the rest is written, so lost chunks, a miner without a link and an adopted task need no rules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from cortops.protocol.chat import Assembly, Delta, EngineChunk, Note, Usage, message_of


class Phase(StrEnum):
    """How far a request is."""

    NEW = "new"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    STREAMING = "streaming"
    ANSWERED = "answered"
    FAILED = "failed"
    FORGOTTEN = "forgotten"


OVER = frozenset({Phase.ANSWERED, Phase.FAILED, Phase.FORGOTTEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The request's turn in its session has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The task is on chain; also when it was there before (adopted)."""

    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitFailed:
    """The chain did not take the submission."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The oracle chose these miners."""

    miners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCame:
    """A miner streamed its chunk number `index`."""

    miner: str
    index: int
    chunk: EngineChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCame:
    """What the miner says it will commit; only its numbers are used, and only if the commit bears the same text."""

    miner: str
    text: str
    finish_reason: str
    usage: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerFailed:
    """A miner says that it will commit nothing. code: of a private payload's fault, else empty."""

    miner: str
    why: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """On chain: the text, its keccak256, and the hash and the note that this miner had precommitted."""

    miner: str
    text: str
    text_hash: str
    promised_hash: str
    note: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The oracle has ended the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """The head went back behind the submission: the chain no longer knows the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """The request's time is over."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGone:
    """Nobody reads the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBack:
    """A retry with the same reference takes the task over, from its first chunk."""

    stream: bool


Event = (
    Began | Submitted | SubmitFailed | Assigned | ChunkCame | ResultCame | MinerFailed | Committed | Ended | Vanished | DeadlinePassed
    | ClientGone | ClientBack
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Put the task on chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The task's name may be told: a stream's head can go out."""

    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Ask this miner for the task's chunks, from the first one."""

    miner: str
    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Send this to the client."""

    delta: Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The whole committed text; `rest` is what a stream has not written yet. miner: who committed it."""

    text: str
    rest: Delta
    finish_reason: str
    usage: Usage | None
    miner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """Tell the client that there will be no answer, and why."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Nothing more will come of this request."""


Command = Submit | Open | Watch | Write | Answer | Fail | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """stream: deltas are wanted. with_tools: the task offered tools, so its text may be a message with calls.

    source: the miner whose chunks are written, chosen by the first chunk. next_index: of the chunk that may be written next.
    """

    stream: bool
    with_tools: bool
    phase: Phase = Phase.NEW
    task: int | None = None
    miners: tuple[str, ...] = ()
    client: bool = True
    source: str = ""
    next_index: int = 0
    written: Assembly = field(default_factory=Assembly)
    results: tuple[ResultCame, ...] = ()
    failed: frozenset[str] = frozenset()

    @property
    def over(self) -> bool:
        return self.phase in OVER


Step = tuple[Request, tuple[Command, ...]]


def step(request: Request, event: Event) -> Step:
    """The one transition. Events that come late, twice or out of order change nothing."""
    if request.over:
        return request, ()
    match event:
        case Began():
            return (replace(request, phase=Phase.SUBMITTING), (Submit(),)) if request.phase is Phase.NEW else (request, ())
        case Submitted(task=task):
            return _submitted(request, task)
        case Assigned(miners=miners):
            return _assigned(request, miners)
        case ChunkCame():
            return _chunk(request, event)
        case ResultCame(miner=miner):
            known = miner in request.miners and all(result.miner != miner for result in request.results)
            return (replace(request, results=(*request.results, event)) if known else request), ()
        case Committed():
            return _committed(request, event)
        case MinerFailed():
            return _miner_failed(request, event)
        case ClientGone():
            if request.task is None and request.phase is not Phase.SUBMITTING:
                return _forget(request)
            return replace(request, client=False), ()
        case ClientBack(stream=stream):
            return _client_back(request, stream)
        case _:
            return _fail(request, _failure(event))


def _failure(event: SubmitFailed | Ended | Vanished | DeadlinePassed) -> Fail:
    match event:
        case SubmitFailed(status=status, code=code, message=message):
            return Fail(status=status, code=code, message=message)
        case Ended():
            return Fail(status=502, code="task_ended", message="the task was ended without a committed result")
        case Vanished():
            return Fail(
                status=503, code="chain_rewound", message="the chain went back and lost the task; ask again with the same request id"
            )
        case DeadlinePassed(after_s=after_s):
            return Fail(status=504, code="timeout", message=f"no committed result within {after_s:g} s")


def _submitted(request: Request, task: int) -> Step:
    if request.phase not in (Phase.NEW, Phase.SUBMITTING):
        return request, ()
    return replace(request, phase=Phase.QUEUED, task=task), (Open(task=task),)


def _assigned(request: Request, miners: tuple[str, ...]) -> Step:
    if request.task is None or not miners or miners == request.miners:
        return request, ()
    task = request.task
    phase = Phase.ASSIGNED if request.phase is Phase.QUEUED else request.phase
    new = tuple(Watch(miner=miner, task=task) for miner in miners if miner not in request.miners)
    return replace(request, phase=phase, miners=miners), new


def _chunk(request: Request, event: ChunkCame) -> Step:
    if event.miner not in request.miners or event.miner != (request.source or event.miner) or event.index != request.next_index:
        return request, ()
    after = replace(request, phase=Phase.STREAMING, source=event.miner, next_index=event.index + 1)
    if not (request.stream and request.client):
        return after, ()
    delta = event.chunk.delta
    after = replace(after, written=request.written.add(event.chunk))
    return after, (Write(delta=delta),) if delta != Delta() else ()


def _committed(request: Request, event: Committed) -> Step:
    if event.miner not in request.miners or event.miner != (request.source or event.miner):
        return request, ()
    if not request.client:
        return _forget(request)
    if event.text_hash != event.promised_hash:
        return _fail(request, Fail(status=502, code="result_mismatch", message="the committed text does not have the precommitted hash"))
    rest = request.written.rest(event.text, with_tools=request.with_tools)
    if rest is None:
        return _fail(request, Fail(status=502, code="result_mismatch", message="the committed text is not the one that was streamed"))
    said = next((one for one in request.results if one.miner == event.miner and one.text == event.text), None) or event.note
    calls = "tool_calls" in message_of(event.text, with_tools=request.with_tools)
    answer = Answer(
        text=event.text,
        rest=rest,
        finish_reason=said.finish_reason if said else ("tool_calls" if calls else "stop"),
        usage=said.usage if said else None,
        miner=event.miner,
    )
    return replace(request, phase=Phase.ANSWERED), (answer, Forget())


def _miner_failed(request: Request, event: MinerFailed) -> Step:
    if event.miner not in request.miners:
        return request, ()
    after = replace(request, failed=request.failed | {event.miner})
    if event.miner != request.source and any(miner not in after.failed for miner in request.miners):
        return after, ()
    return _fail(after, Fail(status=502, code=event.code or "engine_failed", message=f"the miner gave no result: {event.why}"))


def _client_back(request: Request, stream: bool) -> Step:
    after = replace(request, client=True, stream=stream, written=Assembly(), next_index=0, source="")
    if request.task is None:
        return after, ()
    task = request.task
    return after, (Open(task=task), *(Watch(miner=miner, task=task) for miner in request.miners))


def _fail(request: Request, fail: Fail) -> Step:
    if not request.client:
        return _forget(request)
    return replace(request, phase=Phase.FAILED), (fail, Forget())


def _forget(request: Request) -> Step:
    return replace(request, phase=Phase.FORGOTTEN), (Forget(),)
