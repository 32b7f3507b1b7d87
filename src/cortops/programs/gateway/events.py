"""What happens to a request and what is to be done about it: the events and commands of the machine in `request`, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cortops.programs.gateway.select import Slot
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.protocol.usage import UsageRow
from cortops.words.question import Silence

NO_TOKENS = Tokens()

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
    """The member answered an error, at once or in its stream: HTTP `status` and its own words. `task` set = submitted on chain.

    written: the client has a part of the answer.
    """

    at: float
    status: int
    task: tuple[int, int] | None
    message: str
    code: str
    tokens: Tokens = NO_TOKENS
    written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The member's answer did not come or broke off. `sent`: the member may have acted. `written`: as in Turned.

    malformed: it came, and is none; asked again, the member would say the same.
    """

    at: float
    silence: Silence
    sent: bool
    why: str
    tokens: Tokens = NO_TOKENS
    first_token_at: float | None = None
    written: bool = False
    malformed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rested:
    """The pause is over."""


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


Event = Received | Granted | NotGranted | Head | Whole | Turned | Broken | Rested | Ended | ClientGone


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
class Pause:
    """Leave the member alone for a while and keep the slot: Rested. `ok` as in Free."""

    slot: Slot
    seconds: float
    ok: bool | None
    why: str = ""


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


Command = Acquire | Forward | Relay | Pause | Free | Record | Answer | Refuse | Finish | BreakOff
