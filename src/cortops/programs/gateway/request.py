"""The life of one request as events in, commands out. No I/O, no clock: times come with the events.

received -> authorised -> queued -> forwarded -> streaming -> finished
                                      ^    v         v
                                    returning <------+

Three things must hold whatever happens, and hold here in one place each: a slot taken is freed once, a request of a known key
leaves exactly one usage row, and nothing is asked of a second member that a first one may have submitted on chain. Such a request is
bound to its slot: while its client has nothing of the answer yet, the same member is asked again under the same request id, and adopts
the task.
"""

from __future__ import annotations

import math
from enum import Enum

from cortops.programs.gateway.events import (
    NO_TOKENS,
    Acquire,
    Admit,
    Admitted,
    Answer,
    BreakOff,
    Broken,
    ClientGone,
    Command,
    Ended,
    Event,
    Finish,
    Forward,
    Free,
    Granted,
    Head,
    NotGranted,
    Pause,
    Received,
    Record,
    Refuse,
    Relay,
    Rested,
    Turned,
    Whole,
)
from cortops.programs.gateway.select import Slot
from cortops.protocol.gateway import ASK_AGAIN
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.protocol.usage import Status, UsageRow
from cortops.words.question import Silence

ATTEMPTS_MAX = 3
RETRY_AFTER_S = 2
OWN_FAULTS = frozenset({401, 403, 404, 405, 500, 502})  # a member's, before anything is on chain; later the network may have failed
RETURN_EVERY_S = 0.25  # between two questions to a member that has gone with a request of ours


class State(Enum):
    """Where a request is in its life."""

    RECEIVED = "received"
    AUTHORISED = "authorised"
    QUEUED = "queued"
    FORWARDED = "forwarded"
    STREAMING = "streaming"
    RETURNING = "returning"
    FINISHED = "finished"


RECEIVED, AUTHORISED, QUEUED, FORWARDED, STREAMING, RETURNING, FINISHED = State  # a member of an Enum costs more to reach than a name


class Request:
    """One request. `step(event)` gives the commands that follow; an event that cannot be now is an AssertionError.

    return_wait_s: how long its member may be away with it, never past `ends_at`.
    """

    def __init__(self, *, id: str, client_id: str, started_at: float, ends_at: float = math.inf, return_wait_s: float = 0.0) -> None:
        self.state = RECEIVED
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
        self._ends_at = ends_at
        self._return_wait_s = return_wait_s
        self._return_until: float | None = None  # set: the request is bound to its slot
        self._breaks = 0  # how often the member had it and broke off

    def step(self, event: Event) -> tuple[Command, ...]:
        match event:  # the usual ones first
            case Received() if self.state is RECEIVED:
                return self._received(event)
            case Admitted() if self.state is AUTHORISED:
                return self._queue() if event.refusal is None else self._refused(event.refusal, event.at)
            case Granted() if self.state is QUEUED:
                return self._granted(event.slot)
            case Whole() if self.state is FORWARDED:
                self._task = event.task
                return (*self._over("ok", event.at, event.tokens), Answer(body=event.body))
            case Head() if self.state is FORWARDED:
                self.state, self._task = STREAMING, event.task
                return (Relay(),)
            case Ended() if self.state is STREAMING:
                return (*self._over("ok", event.at, event.tokens, event.first_token_at), Finish())
            case ClientGone():
                return self._gone(event)
            case NotGranted() if self.state is QUEUED:
                return self._not_granted(event)
            case Turned() if self.state in (FORWARDED, STREAMING):
                return self._turned(event)
            case Broken() if self.state in (FORWARDED, STREAMING):
                return self._broken(event)
            case Rested() if self.state is RETURNING:
                assert self._slot is not None and self._ask is not None
                self.state = FORWARDED
                return (Forward(slot=self._slot, ask=self._ask),)
        raise AssertionError(f"{type(event).__name__} in state {self.state.value}")

    def _received(self, event: Received) -> tuple[Command, ...]:
        if isinstance(event.key, ApiError):
            self.state = FINISHED  # nobody to book it on
            return (Refuse(error=event.key),)
        self.state, self._key = AUTHORISED, event.key.id
        at = self._started_at
        if event.refusal is not None:
            self.state = FINISHED  # the row could not be kept either
            return (Refuse(error=event.refusal),)
        if not event.key.allows_family(event.family):
            message = f"this key may not use the route family {event.family!r}"
            return self._refused(ApiError(status=403, code="family_not_allowed", message=message), at)
        if isinstance(event.ask, ApiError):
            return self._refused(event.ask, at)
        self._ask, self._pool = event.ask, event.pool
        if not event.pool:
            return self._refused(unknown_model(event.ask.model), at)
        if not event.key.allows_model(event.ask.model):
            message = f"this key may not use the model {event.ask.model!r}"
            return self._refused(ApiError(status=403, code="model_not_allowed", message=message, param="model"), at)
        if event.counted:
            return (Admit(key=event.key, ask=event.ask),)
        return self._queue()

    def _queue(self) -> tuple[Command, ...]:
        self.state = QUEUED
        return (Acquire(pool=self._pool, avoid=self._tried),)

    def _granted(self, slot: Slot) -> tuple[Command, ...]:
        assert self._ask is not None
        self.state, self._slot, self._last = FORWARDED, slot, slot
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
        bound = self._return_until is not None
        if event.status == 503 and (event.code in ASK_AGAIN or (bound and event.task is None)):
            return self._again(event.at, event.written, None) or self._failed(event.at, event.tokens)
        if self.state is FORWARDED and event.status == 503 and event.task is None and not bound and len(self._tried) < ATTEMPTS_MAX:
            return (*self._free(None), *self._queue())
        ok = False if event.malformed or (self._task is None and event.status in OWN_FAULTS) else None
        return self._failed(event.at, event.tokens, ok=ok, why=f"it answered {event.status} {event.code[:64]}".rstrip())

    def _broken(self, event: Broken) -> tuple[Command, ...]:
        ok = False if event.silence in (Silence.REFUSED, Silence.RESET, Silence.UNRESOLVED, Silence.UNTRUSTED) else None
        bound = self._return_until is not None
        if event.sent or not bound:
            self._failure = broken_error(event)
        if not event.sent and not bound and self.state is FORWARDED and len(self._tried) < ATTEMPTS_MAX:
            return (*self._free(ok, event.why), *self._queue())
        self._breaks += event.sent
        out_of_time = event.sent and event.silence is Silence.TIMEOUT
        if (bound or event.sent) and not out_of_time and not event.malformed and self._breaks < ATTEMPTS_MAX:
            again = self._again(event.at, event.written, ok, event.why)
            if again:
                return again
        return self._failed(event.at, event.tokens, event.first_token_at, ok=ok, why=event.why)

    def _again(self, at: float, written: bool, ok: bool | None, why: str = "") -> tuple[Command, ...]:
        """The same slot once more; nothing when that would be too late, or when the client has a part of the first answer."""
        assert self._slot is not None
        if self._return_until is None:
            self._return_until = min(at + self._return_wait_s, self._ends_at)
        if written or at + RETURN_EVERY_S > self._return_until:
            return ()
        self.state = RETURNING
        return (Pause(slot=self._slot, seconds=RETURN_EVERY_S, ok=ok, why=why),)

    def _failed(
        self, at: float, tokens: Tokens, first_token_at: float | None = None, *, ok: bool | None = None, why: str = ""
    ) -> tuple[Command, ...]:
        assert self._failure is not None
        last: Command = BreakOff(error=self._failure) if self.state is STREAMING else Refuse(error=self._failure)
        return (*self._over("failed", at, tokens, first_token_at, error=self._failure.code, ok=ok, why=why), last)

    def _gone(self, event: ClientGone) -> tuple[Command, ...]:
        if self.state in (RECEIVED, FINISHED):
            self.state = FINISHED
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
        self.state = FINISHED
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
