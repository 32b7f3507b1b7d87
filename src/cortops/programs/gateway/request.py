"""The life of one request as events in, commands out. No I/O, no clock: times come with the events.

received -> authorised -> queued -> forwarded -> streaming -> finished

Three things must hold whatever happens, and hold here in one place each: a slot taken is freed once, a request of a known key
leaves exactly one usage row, and nothing is asked of a second member that a first one may have submitted on chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from cortops.programs.gateway.select import Slot
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.protocol.usage import Status, UsageRow
from cortops.words.question import Silence

ATTEMPTS_MAX = 3
RETRY_AFTER_S = 2
NO_TOKENS = Tokens()


class State(Enum):
    """Where a request is in its life."""

    RECEIVED = "received"
    AUTHORISED = "authorised"
    QUEUED = "queued"
    FORWARDED = "forwarded"
    STREAMING = "streaming"
    FINISHED = "finished"


# Events: what happened.


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The request is here; `key` and `ask` are what they were found to be, `pool` "" when the model has none."""

    key: KeyRow | ApiError
    ask: ChatRequest | ApiError
    pool: str = ""
    refusal: ApiError | None = None  # why the gateway as a whole takes no request now


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A slot is ours."""

    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class NotGranted:
    """No slot. `late`: we waited, and the time is over."""

    at: float
    kind: Literal["queue_full", "no_member", "late"]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A good answer begins, as a stream. `task` is its task on chain, (session, task)."""

    task: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A good answer is here, whole and ready for the client."""

    at: float
    task: tuple[int, int] | None
    body: bytes
    tokens: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """The member answered an error, at once or in its stream: HTTP `status` and its own words. `task` set = submitted on chain."""

    at: float
    status: int
    task: tuple[int, int] | None
    message: str
    code: str
    tokens: Tokens = NO_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The member's answer did not come or broke off. `sent`: the member may have acted."""

    at: float
    silence: Silence
    sent: bool
    why: str
    tokens: Tokens = NO_TOKENS
    first_token_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The stream is at its good end; all but its last bytes are with the client."""

    at: float
    tokens: Tokens
    first_token_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGone:
    """Nobody reads any more. Tokens as far as known."""

    at: float
    tokens: Tokens = NO_TOKENS
    first_token_at: float | None = None
    why: str = "client_gone"


Event = Received | Granted | NotGranted | Head | Whole | Turned | Broken | Ended | ClientGone


# Commands: what to do, in order. Those of the first group bring the next event.


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Get a slot of `pool` on a member not in `avoid`: Granted or NotGranted."""

    pool: str
    avoid: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Ask the member: Head, Whole, Turned or Broken."""

    slot: Slot
    ask: ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Pass the stream on: Ended or Broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """Give the slot back; `ok` False: the member failed in a way that speaks against its health."""

    slot: Slot
    ok: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Make the usage row durable, before anything that follows."""

    row: UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Send the whole answer."""

    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Send the error as the whole answer."""

    error: ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Send the stream's last bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakOff:
    """The stream ends with an error event."""

    error: ApiError


Command = Acquire | Forward | Relay | Free | Record | Answer | Refuse | Finish | BreakOff


class Request:
    """One request. `step(event)` gives the commands that follow; an event that cannot be now is an AssertionError."""

    def __init__(self, *, id: str, client_id: str, started_at: float) -> None:
        self.state = State.RECEIVED
        self.id = id
        self._client_id = client_id
        self._started_at = started_at
        self._key = ""
        self._ask: ChatRequest | None = None
        self._pool = ""
        self._slot: Slot | None = None
        self._last: Slot | None = None  # the slot of the present or last attempt, for the row
        self._task: tuple[int, int] | None = None
        self._tried: frozenset[str] = frozenset()
        self._failure: ApiError | None = None  # of the last attempt

    def step(self, event: Event) -> tuple[Command, ...]:
        match event:
            case ClientGone():
                return self._gone(event)
            case Received() if self.state is State.RECEIVED:
                return self._received(event)
            case Granted() if self.state is State.QUEUED:
                return self._granted(event.slot)
            case NotGranted() if self.state is State.QUEUED:
                return self._not_granted(event)
            case Head() if self.state is State.FORWARDED:
                self.state, self._task = State.STREAMING, event.task
                return (Relay(),)
            case Whole() if self.state is State.FORWARDED:
                self._task = event.task
                return (*self._over("ok", event.at, event.tokens), Answer(body=event.body))
            case Turned() if self.state in (State.FORWARDED, State.STREAMING):
                return self._turned(event)
            case Broken() if self.state in (State.FORWARDED, State.STREAMING):
                return self._broken(event)
            case Ended() if self.state is State.STREAMING:
                return (*self._over("ok", event.at, event.tokens, event.first_token_at), Finish())
        raise AssertionError(f"{type(event).__name__} in state {self.state.value}")

    def _received(self, event: Received) -> tuple[Command, ...]:
        if isinstance(event.key, ApiError):
            self.state = State.FINISHED  # nobody to book it on
            return (Refuse(error=event.key),)
        self.state, self._key = State.AUTHORISED, event.key.id
        at = self._started_at
        if event.refusal is not None:
            self.state = State.FINISHED  # the row could not be kept either
            return (Refuse(error=event.refusal),)
        if isinstance(event.ask, ApiError):
            return self._refused(event.ask, at)
        self._ask, self._pool = event.ask, event.pool
        if not event.pool:
            return self._refused(unknown_model(event.ask.model), at)
        if not event.key.allows_model(event.ask.model):
            message = f"this key may not use the model {event.ask.model!r}"
            return self._refused(ApiError(status=403, code="model_not_allowed", message=message, param="model"), at)
        return self._queue()

    def _queue(self) -> tuple[Command, ...]:
        self.state = State.QUEUED
        return (Acquire(pool=self._pool, avoid=self._tried),)

    def _granted(self, slot: Slot) -> tuple[Command, ...]:
        assert self._ask is not None
        self.state, self._slot, self._last = State.FORWARDED, slot, slot
        self._tried |= {slot.member}
        return (Forward(slot=slot, ask=self._ask),)

    def _not_granted(self, event: NotGranted) -> tuple[Command, ...]:
        if event.kind == "queue_full":
            error = _busy(429, "queue_full", f"all members are busy and {event.why}", "rate_limit_error")
        elif event.kind == "late":
            error = _busy(503, "queue_timeout", f"no member became free in time: {event.why}")
        else:
            error = self._failure or _busy(503, "no_member", f"no member can take the request: {event.why}")
        return self._refused(error, event.at)

    def _turned(self, event: Turned) -> tuple[Command, ...]:
        self._task = self._task or event.task
        self._failure = member_error(event)
        if self.state is State.FORWARDED and event.status == 503 and event.task is None and len(self._tried) < ATTEMPTS_MAX:
            return (*self._free(None), *self._queue())
        return self._failed(event.at, event.tokens)

    def _broken(self, event: Broken) -> tuple[Command, ...]:
        self._failure = broken_error(event)
        ok = False if event.silence in (Silence.REFUSED, Silence.RESET, Silence.UNRESOLVED, Silence.UNTRUSTED) else None
        if not event.sent and self.state is State.FORWARDED and len(self._tried) < ATTEMPTS_MAX:
            return (*self._free(ok, event.why), *self._queue())
        return self._failed(event.at, event.tokens, event.first_token_at, ok=ok, why=event.why)

    def _failed(
        self, at: float, tokens: Tokens, first_token_at: float | None = None, *, ok: bool | None = None, why: str = ""
    ) -> tuple[Command, ...]:
        assert self._failure is not None
        last: Command = BreakOff(error=self._failure) if self.state is State.STREAMING else Refuse(error=self._failure)
        return (*self._over("failed", at, tokens, first_token_at, error=self._failure.code, ok=ok, why=why), last)

    def _gone(self, event: ClientGone) -> tuple[Command, ...]:
        if self.state in (State.RECEIVED, State.FINISHED):
            self.state = State.FINISHED
            return ()
        status: Status = "client_gone" if event.why == "client_gone" else "failed"
        return self._over(status, event.at, event.tokens, event.first_token_at, error=event.why)

    def _refused(self, error: ApiError, at: float) -> tuple[Command, ...]:
        return (*self._over("refused", at, NO_TOKENS, error=error.code), Refuse(error=error))

    def _free(self, ok: bool | None, why: str = "") -> tuple[Command, ...]:
        slot, self._slot = self._slot, None
        return () if slot is None else (Free(slot=slot, ok=ok, why=why),)

    def _over(
        self,
        status: Status,
        at: float,
        tokens: Tokens,
        first_token_at: float | None = None,
        *,
        error: str = "",
        ok: bool | None = None,
        why: str = "",
    ) -> tuple[Command, ...]:
        """The end: the member is free at once, then the row."""
        freed = self._free(True if status == "ok" else ok, why)
        self.state = State.FINISHED
        session = self._task[0] if self._task else (self._last.session if self._last else None)
        row = UsageRow(
            request_id=self.id,
            key_id=self._key,
            model=self._ask.model if self._ask else "",
            pool=self._pool,
            member=self._last.member if self._last else "",
            session=session,
            task=self._task[1] if self._task else None,
            stream=self._ask.stream if self._ask else False,
            status=status,
            prompt_tokens=tokens.prompt_tokens,
            completion_tokens=tokens.completion_tokens,
            started_at=self._started_at,
            first_token_at=first_token_at,
            finished_at=at,
            error=error,
            client_request_id=self._client_id,
        )
        return (*freed, Record(row=row))


def unknown_model(alias: str) -> ApiError:
    """OpenAI's own words and code for it."""
    message = f"The model `{alias[:128]}` does not exist or you do not have access to it."
    return ApiError(status=404, code="model_not_found", message=message, param="model")


def member_error(event: Turned) -> ApiError:
    """What the client hears of a member's error: its own mistakes as they are, ours and the member's as a 5xx."""
    if event.status in (400, 413, 422, 429):
        kind = "rate_limit_error" if event.status == 429 else "invalid_request_error"
        return ApiError(
            status=event.status,
            code=event.code or "member_refused",
            message=event.message or f"the member refused the request ({event.status})",
            type=kind,
            retry_after_s=RETRY_AFTER_S if event.status == 429 else None,
        )
    if event.status in (401, 403):
        return ApiError(status=502, code="member_refused_gateway", message="the member does not accept the gateway's key", type="api_error")
    if event.status == 503 and event.task is None:
        return _busy(503, event.code or "member_unavailable", event.message or "the member cannot serve now")
    status = event.status if event.status in (503, 504) else 502
    message = event.message or f"the member failed ({event.status})"
    return ApiError(status=status, code=event.code or "member_failed", message=message, type="api_error")


def broken_error(event: Broken) -> ApiError:
    """What the client hears when a member's answer did not come or broke off; nothing of the member's address."""
    if event.silence is Silence.TIMEOUT and event.sent:
        return ApiError(status=504, code="timeout", message="the member did not answer in time", type="api_error")
    if not event.sent:
        return _busy(503, "member_unreachable", "the member could not be reached")
    return ApiError(status=502, code="member_broke_off", message="the member's answer broke off", type="api_error")


def _busy(status: int, code: str, message: str, kind: str = "api_error") -> ApiError:
    return ApiError(status=status, code=code, message=message, type=kind, retry_after_s=RETRY_AFTER_S)
