"""What a process may give out of its limits: whatever processes do, in whatever order, none is exceeded and a small one is exact."""

from __future__ import annotations

from collections import Counter as Count
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.gateway.leases import ASKS_MAX, IDLE_S, RECHECK_S, Denied, Leases, Pass
from cortops.protocol.limits import STREAMS_LEASE_S, Ask, KeyLimits, Kind, Rule, Told, grant, period_of

START = 1_800_000_000.0  # the beginning of a minute
KEY = "key:k"


@dataclass
class Store:
    """The shared counters, as `protocol.limits.exchange` keeps them."""

    taken: Count[tuple[str, Kind, int]] = field(default_factory=Count)
    held: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def exchange(self, process: int, asks: list[Ask], now: float) -> list[Told]:
        return [self._streams(process, ask, now) if ask.rule.kind == "streams_max" else self._counted(ask) for ask in asks]

    def _counted(self, ask: Ask) -> Told:
        place = ask.rule.subject, ask.rule.kind, ask.period
        charged = max(0, self.taken[place] + ask.charge)
        granted = grant(ask.rule.limit, charged, ask.least, ask.want)
        self.taken[place] = charged + granted
        return Told(granted=granted, taken=charged + granted)

    def _streams(self, process: int, ask: Ask, now: float) -> Told:
        others = sum(
            held for (subject, who), (held, end) in self.held.items() if subject == ask.rule.subject and who != process and end > now
        )
        granted = grant(ask.rule.limit, others + ask.held, ask.least, ask.want)
        self.held[ask.rule.subject, process] = ask.held + granted, now + STREAMS_LEASE_S
        return Told(granted=granted, taken=others + ask.held + granted)


@dataclass
class Process:
    """One process: its leases, and an exchange that may be under way. lost: whether what is under way reaches the store."""

    number: int
    leases: Leases = field(default_factory=Leases)
    open: list[tuple[Pass, int]] = field(default_factory=list)
    under_way: tuple[list[Told], float] | None = None

    def begin(self, store: Store, now: float, *, reaches: bool) -> None:
        if self.under_way is None and self.leases.wanted:
            asks = self.leases.asks(now)
            if not reaches:
                self.leases.failed()
                return
            self.under_way = store.exchange(self.number, asks, now), now

    def end(self, *, comes_back: bool) -> None:
        if self.under_way is not None:
            told, at = self.under_way
            self.under_way = None
            self.leases.told(told, at) if comes_back else self.leases.failed()


def enter(process: Process, store: Store, rules: list[Rule], now: float, *, tokens: int = 0, stream: int = 0) -> Pass | Denied:
    """As Limits does it, with a store that answers at once."""
    while True:
        found = process.leases.take(process.leases.counters(rules), tokens, stream, now)
        if found is not None:
            return found
        process.begin(store, now, reaches=True)
        process.end(comes_back=True)


def flush(process: Process, store: Store, now: float) -> None:
    process.begin(store, now, reaches=True)
    process.end(comes_back=True)


def rest(process: Process, store: Store, now: float) -> None:
    """Two seconds in which nothing comes: nothing is left unused."""
    for at in (now, now + 1, now + 2):
        process.leases.tick(at)
        flush(process, store, at)


DOINGS = ["enter", "enter", "enter", "ask", "settle", "begin", "end", "tick", "lose", "fail", "kill", "pass"]
STEPS = st.lists(st.tuples(st.sampled_from(DOINGS), st.integers(0, 2), st.integers(0, 90)), max_size=100)


@dataclass
class World:
    """Three processes that share one store, and all that they let in."""

    rules: list[Rule]
    store: Store = field(default_factory=Store)
    processes: list[Process] = field(default_factory=lambda: [Process(number) for number in range(3)])
    now: float = START + 20
    killed: int = 0
    requests: Count[int] = field(default_factory=Count)
    tokens: Count[int] = field(default_factory=Count)

    def do(self, what: str, who: int, size: int, times: int) -> None:
        """One step. `size`: tokens, or tenths of a second; odd: a stream, or an exchange of `who` that does not come back in time."""
        process, now = self.processes[who], self.now
        match what:
            case "enter" | "ask":
                for _ in range(times):
                    self._enter(process, size, at_once=what == "enter")
            case "settle" if process.open:
                taken, minute = process.open.pop(size % len(process.open))
                used = min(taken.tokens, size)  # within what was reserved
                process.leases.settle(taken, used, now)
                if minute == period_of("requests_per_min", now)[0]:
                    self.tokens[minute] -= taken.tokens - used
            case "begin" | "lose":
                process.begin(self.store, now, reaches=what == "begin")
            case "end" | "fail":
                process.end(comes_back=what == "end")
            case "tick":
                process.leases.tick(now)
            case "kill":
                self.killed += 1
                self.processes[who] = Process(2 + self.killed)
            case "pass":
                self.now += size / 10
                for each in self.processes:  # every second it ticks, and says its streams again
                    if each is not process or size % 2:
                        each.end(comes_back=True)
                    each.leases.tick(self.now)
                    each.begin(self.store, self.now, reaches=True)

    def _enter(self, process: Process, tokens: int, *, at_once: bool) -> None:
        found = process.leases.take(process.leases.counters(self.rules), tokens, tokens % 2, self.now)
        if found is None and at_once and process.under_way is None:
            flush(process, self.store, self.now)
            found = process.leases.take(process.leases.counters(self.rules), tokens, tokens % 2, self.now)
        if isinstance(found, Pass):
            minute = period_of("requests_per_min", self.now)[0]
            process.open.append((found, minute))
            self.requests[minute] += 1
            self.tokens[minute] += tokens


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, scale=st.sampled_from([1, 100]))
def test_no_limit_is_ever_exceeded(steps: list[tuple[str, int, int]], scale: int) -> None:
    """Processes enter, settle, tick, lose exchanges and die in any order, and time passes."""
    limits = KeyLimits(requests_per_min=5 * scale, tokens_per_min=200 * scale)
    world = World([*limits.rules(KEY), *limits.rules("organisation:o")])
    for what, who, size in steps:
        world.do(what, who, size, scale)
        assert max(world.requests.values(), default=0) <= 5 * scale
        assert max(world.tokens.values(), default=0) <= 200 * scale


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, scale=st.sampled_from([1, 100]))
def test_no_more_streams_are_ever_open(steps: list[tuple[str, int, int]], scale: int) -> None:
    """The same of streams, where every process is heard of in time; a killed one has none any more."""
    world = World(list(KeyLimits(streams_max=2 * scale).rules(KEY)))
    for what, who, size in steps:
        world.do(what, who, size | 1 if what in ("pass", "enter") else size, scale)
        assert sum(taken.stream for each in world.processes for taken, _ in each.open) <= 2 * scale


@settings(max_examples=60, deadline=None)
@given(order=st.lists(st.integers(0, 3), min_size=30, max_size=60), limit=st.integers(1, 20))
def test_a_small_limit_is_exact_over_all_processes(order: list[int], limit: int) -> None:
    store, processes = Store(), [Process(number) for number in range(4)]
    rules = list(KeyLimits(requests_per_min=limit).rules(KEY))
    for minute in range(2):
        found = [enter(processes[who], store, rules, START + 60 * minute) for who in order]
        assert [isinstance(one, Pass) for one in found] == [True] * limit + [False] * (len(order) - limit)


def test_a_large_limit_is_fetched_in_shares_and_what_is_left_goes_to_the_others() -> None:
    store, one, other = Store(), Process(1), Process(2)
    rules = list(KeyLimits(requests_per_min=6400).rules(KEY))
    fetched = entered = 0
    for second in range(10):
        for _ in range(400):
            entered += isinstance(enter(one, store, rules, START + second), Pass)
            if one.leases.wanted:
                fetched += 1
                flush(one, store, START + second)
        one.leases.tick(START + second + 1)
        flush(one, store, START + second + 1)
    assert entered == 4000 and fetched <= 64 * 2, "at most so many shares of a limit, however many requests"
    assert 4000 < store.taken[KEY, "requests_per_min", int(START)] <= 4000 + 100
    rest(one, store, START + 11)
    assert store.taken[KEY, "requests_per_min", int(START)] == 4000, "what was not used in a second is given back"
    assert all(isinstance(enter(other, store, rules, START + 20), Pass) for _ in range(2400))
    assert isinstance(enter(other, store, rules, START + 20), Denied)
    assert isinstance(enter(one, store, rules, START + 20), Denied)


def test_what_runs_low_is_fetched_together_and_once_at_a_time() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(requests_per_min=10**6, tokens_per_min=10**8).rules(KEY))
    for _ in range(100):
        enter(process, store, rules, START, tokens=9)
    process.leases.tick(START + 1)
    flush(process, store, START + 1)
    counters = process.leases.counters(rules)
    while not process.leases.wanted:
        assert process.leases.take(counters, 9, 0, START + 1) is not None
    asks = process.leases.asks(START + 1)
    assert [ask.rule.kind for ask in asks] == ["requests_per_min", "tokens_per_min"] and all(ask.want for ask in asks)
    assert process.leases.take(counters, 9, 0, START + 1) is not None and not process.leases.wanted, "it is under way"
    process.leases.failed()
    assert process.leases.take(counters, 9, 0, START + 1) is not None and process.leases.wanted, "nothing came of it"


def test_what_the_store_had_not_is_refused_without_asking_it() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(requests_per_min=1).rules(KEY))
    assert isinstance(enter(process, store, rules, START), Pass) and isinstance(enter(process, store, rules, START), Denied)
    counters = process.leases.counters(rules)
    for _ in range(100):
        assert isinstance(process.leases.take(counters, 0, 0, START + 0.5), Denied) and not process.leases.wanted
    assert process.leases.take(counters, 0, 0, START + RECHECK_S) is None, "another process may have given some back"
    assert isinstance(enter(process, store, rules, START + 60), Pass)


def test_tokens_are_reserved_and_settled() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(tokens_per_min=1000, tokens_per_month=5000).rules(KEY))
    first = enter(process, store, rules, START, tokens=800)
    assert isinstance(first, Pass) and isinstance(enter(process, store, rules, START, tokens=300), Denied)
    process.leases.settle(first, 100, START)
    second = enter(process, store, rules, START, tokens=900)
    assert isinstance(second, Pass), "what was reserved and not used is free again"
    process.leases.settle(second, 1500, START)
    rest(process, store, START + 1)
    month = period_of("tokens_per_month", START)[0]
    assert store.taken[KEY, "tokens_per_min", int(START)] == 1600 == store.taken[KEY, "tokens_per_month", month], "what was used counts"
    assert isinstance(enter(process, store, rules, START + 4, tokens=1), Denied)
    assert isinstance(enter(process, store, rules, START + 60, tokens=1000), Pass), "a new minute"
    assert isinstance(enter(process, store, rules, START + 60, tokens=5001), Denied), "more than there ever is"


def test_a_request_of_the_last_minute_frees_nothing_in_this_one_but_owes_in_it() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(tokens_per_min=100).rules(KEY))
    early, late = (enter(process, store, rules, START + 59, tokens=50) for _ in range(2))
    assert isinstance(early, Pass) and isinstance(late, Pass)
    now = START + 61
    process.leases.settle(early, 10, now)
    process.leases.settle(late, 90, now)
    rest(process, store, now)
    assert store.taken[KEY, "tokens_per_min", int(START) + 60] == 40
    assert isinstance(enter(process, store, rules, now, tokens=60), Pass) and isinstance(
        enter(process, store, rules, now, tokens=1), Denied
    )


def test_streams_of_a_killed_process_are_free_after_their_lease() -> None:
    store, one, other = Store(), Process(1), Process(2)
    rules = list(KeyLimits(streams_max=2).rules(KEY))
    assert isinstance(enter(one, store, rules, START, stream=1), Pass)
    mine = enter(other, store, rules, START, stream=1)
    assert isinstance(mine, Pass) and isinstance(enter(other, store, rules, START, stream=1), Denied)
    assert isinstance(enter(other, store, rules, START, stream=0), Pass), "what does not stream is not counted"
    for second in range(1, 10):
        other.leases.tick(START + second)
        flush(other, store, START + second)
        assert isinstance(enter(other, store, rules, START + second, stream=1), Denied)
    assert isinstance(enter(other, store, rules, START + STREAMS_LEASE_S + 1, stream=1), Pass), "one said nothing for so long"
    other.leases.settle(mine, 0, START + 12)
    flush(other, store, START + 12)
    assert store.held[KEY, 2][0] == 1, "given back at once"


def test_what_is_owed_survives_an_outage_and_what_was_given_back_does_not_count_twice() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(tokens_per_min=1000).rules(KEY))
    first, second = enter(process, store, rules, START, tokens=100), enter(process, store, rules, START, tokens=500)
    assert isinstance(first, Pass) and isinstance(second, Pass)
    process.leases.settle(second, 0, START)
    process.leases.tick(START + 1)
    process.begin(store, START + 1, reaches=True)
    process.end(comes_back=False)  # it happened, and we do not know
    process.leases.settle(first, 300, START + 1)
    for at in (2, 3):
        process.leases.tick(START + at)
        process.begin(store, START + at, reaches=at == 3)
        process.end(comes_back=True)
    assert store.taken[KEY, "tokens_per_min", int(START)] == 300


def test_a_limit_that_is_changed_holds_at_once() -> None:
    store, process = Store(), Process(1)
    wide, narrow = (list(KeyLimits(requests_per_min=limit).rules(KEY)) for limit in (6400, 3))
    for _ in range(3):
        enter(process, store, wide, START)
    assert isinstance(enter(process, store, narrow, START), Denied)
    assert isinstance(enter(process, store, wide, START), Pass)


def test_of_what_nobody_waits_for_an_exchange_takes_only_so_much() -> None:
    store, process = Store(), Process(1)
    for number in range(ASKS_MAX + 1):
        assert isinstance(enter(process, store, list(KeyLimits(tokens_per_min=100).rules(f"key:{number}")), START, tokens=1), Pass)
        process.leases.settle(Pass(process.leases.counters(KeyLimits(tokens_per_min=100).rules(f"key:{number}")), 1, 0, START), 2, START)
    process.leases.tick(START + 1)
    assert process.leases.take(process.leases.counters(KeyLimits(tokens_per_min=100).rules("key:a")), 1, 0, START + 1) is None
    sizes = []
    while process.leases.wanted:
        asks = process.leases.asks(START + 1)
        process.leases.told(store.exchange(1, asks, START + 1), START + 1)
        sizes.append(len(asks))
        assert any(ask.rule.subject == "key:a" for ask in asks) == (len(sizes) == 1), "who waits is in the first"
    assert sizes == [ASKS_MAX, 2]


def test_before_the_end_everything_is_given_back_and_idle_counters_are_forgotten() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(requests_per_min=6400, tokens_per_month=10**6).rules(KEY))
    for _ in range(50):
        found = enter(process, store, rules, START, tokens=10)
        assert isinstance(found, Pass)
        process.leases.settle(found, 7, START)
    process.leases.give_all_back()
    flush(process, store, START)
    assert store.taken[KEY, "requests_per_min", int(START)] == 50
    assert store.taken[KEY, "tokens_per_month", period_of("tokens_per_month", START)[0]] == 350
    process.leases.tick(START + 1)
    process.leases.tick(START + 2)
    assert process.leases.forgotten == 0
    process.leases.tick(START + 3 + IDLE_S)
    assert process.leases.forgotten == 2


def test_a_share_of_a_minute_that_is_over_is_worth_nothing() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(requests_per_min=6400).rules(KEY))
    counters = process.leases.counters(rules)
    assert all(isinstance(enter(process, store, rules, START), Pass) for _ in range(50)) and counters[0].left > 0
    assert process.leases.take(counters, 0, 0, START + 60) is None, "what was left is gone"
    process.begin(store, START + 60, reaches=True)
    assert process.leases.take(counters, 0, 0, START + 120) is None
    process.end(comes_back=True)
    assert process.leases.take(counters, 0, 0, START + 120) is None, "it came too late"


def test_what_is_owed_while_an_exchange_is_under_way_is_charged_by_the_next() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(tokens_per_min=1000).rules(KEY))
    first, second = enter(process, store, rules, START, tokens=10), enter(process, store, rules, START, tokens=10)
    assert isinstance(first, Pass) and isinstance(second, Pass)
    process.leases.settle(first, 110, START)
    process.leases.tick(START + 1)
    process.begin(store, START + 1, reaches=True)
    process.leases.settle(second, 60, START + 1)
    process.end(comes_back=True)
    rest(process, store, START + 2)
    assert store.taken[KEY, "tokens_per_min", int(START)] == 170


def test_streams_that_wait_unused_are_held_too_and_not_longer_than_the_store_holds_them() -> None:
    store, process = Store(), Process(1)
    rules = list(KeyLimits(streams_max=6400).rules(KEY))
    counter = process.leases.counters(rules)[0]
    assert all(isinstance(enter(process, store, rules, START, stream=1), Pass) for _ in range(50))
    process.leases.tick(START + 3)
    flush(process, store, START + 3)
    assert counter.left > 0 and store.held[KEY, 1][0] == 50 + counter.left
    process.leases.tick(START + 3 + STREAMS_LEASE_S - 1)
    assert counter.left == 0, "the store was not reached for so long that it may have given them to others"
