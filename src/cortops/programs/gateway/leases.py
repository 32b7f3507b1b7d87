"""What this process may still give out of each limit: shares taken ahead from the store, spent by look-ups in memory. No I/O, no clock.

`take` lets a request in, or says who refuses it, or that a share must be fetched first. `asks` is what to fetch, `told` what came of it.
Only a share that the store has granted is given out, so whatever a process does, forgets or dies of, no limit is exceeded; what it had
left is lost with its minute. Small limits are fetched one by one and are exact; of large ones at most 1/64 waits unused in a process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from cortops.protocol.limits import STREAMS_LEASE_S, Ask, Kind, Rule, Told, period_of

AHEAD_SHARE = 64  # of a limit, the part that a process takes ahead at most; and never more than it used in the last second
TICK_S = 1.0
RECHECK_S = 1.0  # how long what the store had not is refused without asking again
HOLD_AGAIN_S = 3.0  # streams are said again so often; the store frees them after STREAMS_LEASE_S
ASKS_MAX = 500  # of one exchange, beside those that somebody waits for
IDLE_S = 300.0  # a counter that nobody used so long is forgotten
REQUESTS, TOKENS, STREAMS = range(3)
WEIGHT: dict[Kind, int] = {"requests_per_min": REQUESTS, "tokens_per_min": TOKENS, "streams_max": STREAMS, "tokens_per_month": TOKENS}


class Counter:
    """One limit as this process sees it."""

    # fmt: off
    __slots__ = (
        "asked", "denied", "denied_at", "ends_at", "given_back", "least", "left", "limit", "low", "need", "owed", "owed_sent", "passes",
        "period", "rule", "streams", "taken", "told_at", "used", "used_at", "used_before", "weight",
    )
    # fmt: on

    def __init__(self, rule: Rule) -> None:
        self.rule, self.limit, self.weight = rule, rule.limit, WEIGHT[rule.kind]
        self.period, self.ends_at = 0, -math.inf
        self.left = 0  # ours and unused
        self.low = 0  # fewer left than this: fetch more, while there is some
        self.asked = False  # a fetch is under way
        self.streams = 0  # open here
        self.passes = 0  # requests under way that count here
        self.taken = 0  # by all processes, as last told
        self.owed = self.owed_sent = 0  # used beyond our shares; what of it is on its way to the store
        self.given_back = 0  # on its way back to the store
        self.need = self.least = 0  # of those who wait for the next fetch: in all, and the smallest
        self.used = self.used_before = 0  # in this second, and in the last whole one
        self.used_at = math.inf  # as a tick saw it
        self.denied, self.denied_at = 0, -math.inf  # what the store had not got
        self.told_at = -math.inf

    @property
    def remaining(self) -> int:
        """What may still be used, as far as we know."""
        return max(0, self.limit - self.taken + self.left - self.owed)

    def roll(self, now: float) -> None:
        """Into the period of `now`: shares of another one are worth nothing in it, what is owed stays owed."""
        self.period, self.ends_at = period_of(self.rule.kind, now)
        self.left = self.low = self.taken = self.given_back = self.denied = 0

    def denies(self, amount: int, now: float) -> bool:
        """Is the store known not to have what we lack of it?"""
        return amount > self.limit or (0 < self.denied <= amount - self.left and 0 <= now - self.denied_at < RECHECK_S)

    def ahead(self) -> int:
        return min(self.limit // AHEAD_SHARE, max(self.used, self.used_before))


class Pass(Struct, frozen=True):
    """A request that was let in, until `settle`. tokens: what was reserved."""

    counters: Sequence[Counter]
    tokens: int
    stream: int
    at: float


class Denied:
    """A request that is refused by `counter`, of which it wanted `amount`."""

    __slots__ = ("amount", "counter")

    def __init__(self, counter: Counter, amount: int) -> None:
        self.counter, self.amount = counter, amount


class Leases:
    """The counters of one process. `wanted`: there is something to fetch or to give back."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, Kind], Counter] = {}
        self._wanted: dict[Counter, None] = {}
        self._sent: list[tuple[Counter, Ask, bool]] = []  # and whether somebody waits for it
        self.forgotten = 0  # goes up when counters were: whoever kept some must ask for them again

    @property
    def wanted(self) -> bool:
        return bool(self._wanted)

    def counters(self, rules: Iterable[Rule]) -> tuple[Counter, ...]:
        """The counters of these limits; of a limit that was changed, with its new value."""
        return tuple([self._counter(rule) for rule in rules])

    def take(self, counters: Sequence[Counter], tokens: int, stream: int, now: float) -> Pass | Denied | None:
        """Let a request of `tokens` in, with `stream` 1 for one that streams; None: after the next fetch, ask again."""
        amounts = (1, tokens, stream)
        for counter in counters:
            if not counter.period <= now < counter.ends_at:
                counter.roll(now)
            if counter.left < amounts[counter.weight]:
                return self._lacking(counters, amounts, now)
        low = False
        for counter in counters:
            amount = amounts[counter.weight]
            counter.left -= amount
            counter.used += amount
            counter.passes += 1
            if counter.weight == STREAMS:
                counter.streams += amount
            if counter.left < counter.low and not counter.asked:
                low = True
        if low:  # they run low at about the same time: one fetch for all
            self._wanted |= dict.fromkeys([counter for counter in counters if counter.low and not counter.asked])
        return Pass(counters, tokens, stream, now)

    def _lacking(self, counters: Sequence[Counter], amounts: tuple[int, int, int], now: float) -> Denied | None:
        lacking = []
        for counter in counters:
            if not counter.period <= now < counter.ends_at:
                counter.roll(now)
            amount = amounts[counter.weight]
            if counter.left < amount:
                if counter.denies(amount, now):
                    return Denied(counter, amount)
                lacking.append((counter, amount))
        for counter, amount in lacking:
            counter.need += amount
            counter.least = min(counter.least or amount, amount)
            self._wanted[counter] = None
        return None

    def settle(self, taken: Pass, tokens: int, now: float) -> None:
        """The request is over and used `tokens`: what was reserved beyond is free again, what it used beyond is owed."""
        beyond = tokens - taken.tokens
        for counter in taken.counters:
            counter.passes -= 1
            if counter.weight == STREAMS:
                counter.streams -= taken.stream
                counter.left += taken.stream
                if taken.stream and counter.left > counter.ahead():
                    self._wanted[counter] = None  # at once: another process may be waiting for it
            elif counter.weight == TOKENS and beyond:
                if not counter.period <= now < counter.ends_at:
                    counter.roll(now)
                if beyond > 0:
                    spent = min(counter.left, beyond)
                    counter.left -= spent
                    counter.owed += beyond - spent
                elif counter.period <= taken.at:
                    counter.left -= beyond

    def retry(self, counter: Counter) -> None:
        """Forget that the store had nothing: ask it again for the next who wants some."""
        counter.denied = 0

    def tick(self, now: float) -> None:
        """Every TICK_S: give back what was not used, charge what is owed, hold streams on."""
        for counter in list(self._counters.values()):
            if not counter.period <= now < counter.ends_at:
                counter.roll(now)
            if counter.used or counter.passes or counter.used_at > now:
                counter.used_at = now
            if counter.weight == STREAMS and now - counter.told_at >= STREAMS_LEASE_S - 2 * TICK_S:
                counter.left = 0  # the store may have given them to others
            counter.used_before, counter.used = counter.used, 0
            ahead = counter.ahead()
            counter.low = ahead // 2
            spare = counter.left - ahead
            if spare > 0 and not counter.need and counter.weight != STREAMS:
                counter.left -= spare
                counter.given_back += spare
            held = counter.weight == STREAMS and counter.left + counter.streams > 0
            if spare > 0 or counter.owed or (held and now - counter.told_at >= HOLD_AGAIN_S):
                self._wanted[counter] = None
            elif now - counter.used_at >= IDLE_S and not (counter.left or counter.need or counter.passes):
                del self._counters[counter.rule.subject, counter.rule.kind]
                self.forgotten += 1

    def give_all_back(self) -> None:
        """Before the end: what is left belongs to the others."""
        for counter in self._counters.values():
            if counter.weight != STREAMS:
                counter.given_back += counter.left
            if counter.left or counter.owed:
                self._wanted[counter] = None
            counter.left = counter.used = counter.used_before = 0

    def asks(self, now: float) -> list[Ask]:
        """What to ask the store now; `told` or `failed` must follow before the next. All who wait are in it, of the rest what has room."""
        waited = [counter for counter in self._wanted if counter.need]
        rest = [counter for counter in self._wanted if not counter.need]
        room = max(0, ASKS_MAX - len(waited))
        self._wanted = dict.fromkeys(rest[room:])
        self._sent = []
        for counter in (*waited, *rest[:room]):
            self._sent.append((counter, self._ask(counter, now), counter.need > 0))
            counter.need, counter.least, counter.asked = 0, 0, True
        return [ask for _, ask, _ in self._sent]

    def _ask(self, counter: Counter, now: float) -> Ask:
        if not counter.period <= now < counter.ends_at:
            counter.roll(now)
        streams = counter.weight == STREAMS
        ahead = counter.ahead()
        if streams and counter.left > ahead and not counter.need:
            counter.left = ahead  # the rest is given back by saying that less is held
        want = max(0, counter.need + ahead - counter.left)
        least = max(1, counter.least - counter.left) if counter.need else 1
        charge, counter.owed_sent = counter.owed - counter.given_back, counter.owed
        counter.given_back = 0  # if this fails it may have happened, and must not happen twice
        return Ask(
            rule=counter.rule,
            period=counter.period,
            least=least if want else 0,
            want=want,
            charge=0 if streams else charge,
            held=counter.left + counter.streams if streams else 0,
        )

    def told(self, told: Sequence[Told], asked_at: float) -> None:
        """What came of the last `asks`, which was at `asked_at`."""
        for (counter, ask, waited), one in zip(self._sent, told, strict=True):
            counter.owed -= counter.owed_sent
            counter.asked = False
            if ask.period != counter.period:
                continue  # it came too late: that minute is over
            counter.left += one.granted
            counter.taken, counter.told_at = one.taken, asked_at
            if one.granted < ask.want:
                counter.low = 0  # nothing more to be had: whoever lacks something asks
            counter.denied, counter.denied_at = (ask.least if waited and one.granted == 0 else 0), asked_at
        self._sent = []

    def failed(self) -> None:
        """The store was out of reach: it may have happened or not. What was asked for counts as lost, what is owed stays owed."""
        for counter, _, _ in self._sent:
            counter.asked = False
        self._sent = []

    def _counter(self, rule: Rule) -> Counter:
        place = rule.subject, rule.kind
        counter = self._counters.get(place)
        if counter is None:
            counter = self._counters[place] = Counter(rule)
        elif counter.limit != rule.limit:
            counter.rule, counter.limit, counter.denied = rule, rule.limit, 0
            if counter.weight != STREAMS:
                counter.given_back += counter.left
                counter.left = 0
            self._wanted[counter] = None
        return counter
