"""Which questions are due when. Pure: time and chance are arguments.

Questions that go to one place in one round trip are one fetch: RPC calls to one endpoint, shell questions to one host. A fetch under way is
not begun again; one that comes back late is due at once, so that a silent respondent is asked as often as its timeout allows.
What costs much and changes little is asked less often, until a check that reads it is not calm: then in every round.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cortops.surfaces.services import facts
from cortops.words.question import Dns, Events, Feed, Heads, Holdings, Http, Question, Rpc, Shell, Tcp, Tls

AT_ONCE_MAX = 32  # fetches under way together
SLOTS = 6  # a round's fetches begin at this many moments of it
SPREAD = 0.6  # the part of a round that these moments are spread over; the rest is for answers
JITTER = 0.02  # of a round, at most, added to each moment
SERVICES_EVERY_S = 3.0  # a new interpreter on the host: 0.03 s of CPU
SHELL_EVERY_S = 15.0
DNS_EVERY_S = 15.0
CERTIFICATE_EVERY_S = 60.0
HEADS_EVERY_S = 15.0  # RPCs of others
EVENTS_EVERY_S, FEED_EVERY_S = 15.0, 30.0
HOLDINGS_EVERY_S = 300.0
CODE_EVERY_S = 60.0  # a contract's code does not change, and is large

Chance = Callable[[], float]  # from 0 up to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Questions that are asked together. offset_s: when in a round it begins."""

    key: str
    questions: tuple[Question, ...]
    every_s: float
    offset_s: float

    @property
    def timeout_s(self) -> float:
        return max(question.timeout_s for question in self.questions)


@dataclass(slots=True)
class _Turn:
    """When a fetch is due: on its grid, and really. begun: when it was last begun; None while it never was."""

    grid: float
    due: float
    begun: float | None = None
    under_way: bool = False


def every_s(question: Question, round_s: float) -> float:
    """How often a question is asked while all is calm."""
    match question:
        case Tls():
            slow_s = CERTIFICATE_EVERY_S
        case Rpc(method="eth_getCode"):
            slow_s = CODE_EVERY_S
        case Shell():
            slow_s = SERVICES_EVERY_S if question.id == facts.question_id(question.target) else SHELL_EVERY_S
        case Dns():
            slow_s = DNS_EVERY_S
        case Heads() | Events():
            slow_s = HEADS_EVERY_S if isinstance(question, Heads) else EVENTS_EVERY_S
        case Feed():
            slow_s = FEED_EVERY_S
        case Holdings():
            slow_s = HOLDINGS_EVERY_S
        case _:
            slow_s = round_s
    return max(slow_s, round_s)


def fetches(questions: Sequence[Question], round_s: float) -> tuple[Fetch, ...]:
    """The questions as fetches, spread over a round in the order given."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(_key(question, every_s(question, round_s)), []).append(question)
    return tuple(
        Fetch(
            key=key,
            questions=tuple(group),
            every_s=every_s(group[0], round_s),
            offset_s=round_s * SPREAD * (number % SLOTS) / SLOTS,
        )
        for number, (key, group) in enumerate(groups.items())
    )


def _key(question: Question, pace_s: float) -> str:
    match question:
        case Rpc(url=url):
            return f"rpc {url} {pace_s:g}"
        case Shell(target=target):
            return f"shell {target} {pace_s:g}"
        case Http() | Tls() | Tcp() | Dns() | Heads() | Events() | Holdings() | Feed():
            return question.id


class Schedule:
    """When each fetch is due, in seconds of the caller's monotonic clock. All are due at `begun_at`, then each at its own moment."""

    def __init__(self, planned: Sequence[Fetch], *, round_s: float, begun_at: float, chance: Chance) -> None:
        self._fetches = {fetch.key: fetch for fetch in planned}
        self._key_of = {question.id: fetch.key for fetch in planned for question in fetch.questions}
        self._turns = {fetch.key: _Turn(grid=begun_at + fetch.offset_s, due=begun_at) for fetch in planned}
        self._round_s = round_s
        self._chance = chance

    @property
    def under_way(self) -> int:
        return sum(turn.under_way for turn in self._turns.values())

    def begin(self, now: float) -> tuple[Fetch, ...]:
        """The fetches to begin now, longest due first, as many as there is room for; each is under way until `ended`."""
        ready = sorted((turn.due, key) for key, turn in self._turns.items() if turn.due <= now and not turn.under_way)
        chosen = [key for _, key in ready[: AT_ONCE_MAX - self.under_way]]
        for key in chosen:
            self._begin(self._fetches[key], self._turns[key], now)
        return tuple(self._fetches[key] for key in chosen)

    def _begin(self, fetch: Fetch, turn: _Turn, now: float) -> None:
        step_s = fetch.every_s
        if turn.begun is None:  # slow fetches that begin together must not stay together
            rounds = fetch.every_s / self._round_s
            step_s = self._round_s * (1 + int(self._chance() * rounds))
        turn.begun, turn.under_way = now, True
        turn.grid += step_s
        while turn.grid <= now:  # rounds that were missed are not made up for
            turn.grid += self._round_s
        turn.due = turn.grid + self._chance() * JITTER * self._round_s

    def ended(self, key: str) -> None:
        """It came back, or was given up; if its next moment has passed meanwhile, it is due at once."""
        self._turns[key].under_way = False

    def hurry(self, questions: Collection[str]) -> None:
        """Ask these a round after they were last asked: something about them is not calm."""
        for key in {self._key_of[question] for question in questions}:
            turn = self._turns[key]
            if turn.begun is not None and self._fetches[key].every_s > self._round_s:
                turn.due = turn.grid = min(turn.due, turn.begun + self._round_s)

    def wake_at(self) -> float:
        """When something is due next; infinity when all is under way."""
        return min((turn.due for turn in self._turns.values() if not turn.under_way), default=float("inf"))
