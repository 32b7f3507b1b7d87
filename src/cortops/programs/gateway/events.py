"""What happens to a request and what is to be done about it: the events and commands of the machine in `request`, as plain values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from cortops.programs.gateway.select import Slot
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.protocol.usage import UsageRow
from cortops.words.question import Silence

NO_TOKENS = Tokens()

# Events: what happened.


class Received(Struct, frozen=True, kw_only=True):
    """The request is here, on a route of `family`; `key` and `ask` are what they were found to be, `pool` "" when the model has none."""

    key: KeyRow | ApiError
    ask: ChatRequest | ApiError
    pool: str = ""
    family: str = "completion"
    refusal: ApiError | None = None  # why the gateway as a whole takes no request now
    counted: bool = False  # there are limits that it counts on


class Admitted(Struct, frozen=True, kw_only=True):
    """What its limits say; `refusal` None: they let it in."""

    at: float
    refusal: ApiError | None


class Granted(Struct, frozen=True, kw_only=True):
    """A slot is ours."""

    slot: Slot


class NotGranted(Struct, frozen=True, kw_only=True):
    """No slot. `late`: we waited, and the time is over."""

    at: float
    kind: Literal["queue_full", "no_member", "late"]
    why: str


class Head(Struct, frozen=True, kw_only=True):
    """A good answer begins, as a stream. `task` is its task on chain, (session, task)."""

    task: tuple[int, int] | None


class Whole(Struct, frozen=True, kw_only=True):
    """A good answer is here, whole and ready for the client."""

    at: float
    task: tuple[int, int] | None
    body: bytes
    tokens: Tokens


class Turned(Struct, frozen=True, kw_only=True):
    """The member answered an error, at once or in its stream: HTTP `status` and its own words. `task` set = submitted on chain.

    written: the client has a part of the answer. malformed: it called its answer good, and it is none.
    """

    at: float
    status: int
    task: tuple[int, int] | None
    message: str
    code: str
    tokens: Tokens = NO_TOKENS
    written: bool = False
    malformed: bool = False


class Broken(Struct, frozen=True, kw_only=True):
    """The member's answer did not come or broke off. `sent`: the member may have acted. `written`: as in Turned.

    malformed: it came, and is none; asked again, the member would say the same. why: without the member's address, as /health tells it.
    """

    at: float
    silence: Silence
    sent: bool
    why: str
    tokens: Tokens = NO_TOKENS
    first_token_at: float | None = None
    written: bool = False
    malformed: bool = False


class Rested(Struct, frozen=True, kw_only=True):
    """The pause is over."""


class Ended(Struct, frozen=True, kw_only=True):
    """The stream is at its good end; all but its last bytes are with the client."""

    at: float
    tokens: Tokens
    first_token_at: float | None


class ClientGone(Struct, frozen=True, kw_only=True):
    """Nobody reads any more. Tokens as far as known."""

    at: float
    tokens: Tokens = NO_TOKENS
    first_token_at: float | None = None
    why: str = "client_gone"


Event = Received | Admitted | Granted | NotGranted | Head | Whole | Turned | Broken | Rested | Ended | ClientGone


# Commands: what to do, in order. Those of the first group bring the next event.


class Admit(Struct, frozen=True, kw_only=True):
    """Count it on the limits of its key: Admitted."""

    key: KeyRow
    ask: ChatRequest


class Acquire(Struct, frozen=True, kw_only=True):
    """Get a slot of `pool` on a member not in `avoid`: Granted or NotGranted."""

    pool: str
    avoid: frozenset[str]


class Forward(Struct, frozen=True, kw_only=True):
    """Ask the member: Head, Whole, Turned or Broken."""

    slot: Slot
    ask: ChatRequest


class Relay(Struct, frozen=True, kw_only=True):
    """Pass the stream on: Ended or Broken."""


class Pause(Struct, frozen=True, kw_only=True):
    """Leave the member alone for a while and keep the slot: Rested. `ok` as in Free."""

    slot: Slot
    seconds: float
    ok: bool | None
    why: str = ""


class Free(Struct, frozen=True, kw_only=True):
    """Give the slot back; `ok` False: the member failed in a way that speaks against its health."""

    slot: Slot
    ok: bool | None
    why: str = ""


class Record(Struct, frozen=True, kw_only=True):
    """Make the usage row durable, before anything that follows."""

    row: UsageRow


class Answer(Struct, frozen=True, kw_only=True):
    """Send the whole answer."""

    body: bytes


class Refuse(Struct, frozen=True, kw_only=True):
    """Send the error as the whole answer."""

    error: ApiError


class Finish(Struct, frozen=True, kw_only=True):
    """Send the stream's last bytes."""


class BreakOff(Struct, frozen=True, kw_only=True):
    """The stream ends with an error event."""

    error: ApiError


Command = Admit | Acquire | Forward | Relay | Pause | Free | Record | Answer | Refuse | Finish | BreakOff
