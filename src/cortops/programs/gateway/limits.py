"""Letting requests in by the limits of their key and organisation, which all processes and hosts of the gateway share.

Most requests are decided in memory (`leases`). One that finds no share waits for the next exchange with the store, which serves all who
wait at once; one is under way at a time. With the store out of reach, what was fetched is still given out until its minute ends; then
requests of keys with limits are refused with 503, because letting them in could exceed a limit. Keys without limits never ask.

Tokens are reserved before (the prompt by its length, the answer by max_tokens) and settled after, by what the member counted.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from cortops.programs.common.logs import Log
from cortops.programs.gateway.leases import STREAMS, TICK_S, TOKENS, Counter, Denied, Leases, Pass
from cortops.protocol.database import Database
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.keys import KeyRow
from cortops.protocol.limits import MINUTE_S, Ask, Rule, Told, exchange, forget_old, open_limits
from cortops.protocol.openai import ApiError, ChatRequest
from cortops.protocol.usage import UsageRow
from cortops.words.clock import Clock
from cortops.words.errors import StoreUnavailable

WAIT_MAX_S = 3.0  # for an exchange; then the store counts as out of reach
RETRY_S = 1.0  # after a failed exchange, nobody waits for another before
STREAM_WAIT_S = 0.5  # for a stream that ends in another process in this moment
STREAM_POLL_S = 0.1
FORGET_EVERY_S = 600.0
PLANS_MAX = 20_000
BYTES_PER_TOKEN = 4  # of a prompt, for want of its model's tokenizer
ANSWER_TOKENS = 512  # reserved for an answer whose max_tokens is not said

UNAVAILABLE = ApiError(
    status=503, code="limit_store_unavailable", message="limits cannot be checked now", type="api_error", retry_after_s=5
)
STOP_RETRYING = "x-should-retry: false\r\n"  # what OpenAI's own clients listen to
Aside = Callable[..., Awaitable[list[Told]]]


class _Plan:
    """What a request of one key counts on, and what its answer says of it."""

    __slots__ = ("_lines", "_second", "_shown", "counters", "forgotten", "row", "streaming", "tokens_least")

    def __init__(self, row: KeyRow, counters: tuple[Counter, ...], forgotten: int) -> None:
        self.row, self.forgotten = row, forgotten
        self.streaming = counters  # of a request that streams
        self.counters = tuple([counter for counter in counters if counter.weight != STREAMS])  # of one that does not
        self.tokens_least = min((counter.limit for counter in counters if counter.weight == TOKENS), default=0)
        self._shown = [
            (name, [(each, _begin(name, each.limit)) for each in counters if each.rule.kind == f"{name}_per_min"])
            for name in ("requests", "tokens")
            if any(each.rule.kind == f"{name}_per_min" for each in counters)
        ]
        self._second, self._lines = -1, [((counter, begin), others, "") for _, ((counter, begin), *others) in self._shown]

    def head(self, now: float) -> str:
        """OpenAI's x-ratelimit lines: of key and organisation the one with less left, as far as this process knows."""
        second = int(now)
        if second != self._second:  # most of the text lasts for a second
            self._second, end = second, f"{MINUTE_S - second % MINUTE_S}s\r\n"
            self._lines = [(first, others, f"\r\nx-ratelimit-reset-{name}: {end}") for name, (first, *others) in self._shown]
        head = ""
        for (counter, begin), others, end in self._lines:
            least = counter.limit - counter.taken + counter.left - counter.owed
            for other, text in others:
                remaining = other.limit - other.taken + other.left - other.owed
                if remaining < least:
                    least, begin = remaining, text
            head += f"{begin}{least if least > 0 else 0}{end}"
        return head


def _begin(name: str, limit: int) -> str:
    return f"x-ratelimit-limit-{name}: {limit}\r\nx-ratelimit-remaining-{name}: "


class Admission(Struct):
    """Whether a request may go on: `refusal` None for yes; `head` are the lines that its answer carries about limits."""

    taken: Pass | None  # until it is settled
    refusal: ApiError | None
    head: str
    estimate: int


class Limits:
    """`admit` and `settle` for requests, `run` in the background; `trouble` says why the store is not reached.

    process: a name that no other process has, now or before. aside: calls what blocks, without blocking the loop.
    """

    def __init__(
        self,
        where: Path | str,
        process: str,
        rules: Callable[[KeyRow], Sequence[Rule]],
        *,
        clock: Clock,
        deadlines: Deadlines,
        log: Log,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self.trouble = ""
        self._where = where
        self._process = process
        self._rules = rules
        self._clock = clock
        self._deadlines = deadlines
        self._log = log
        self._aside = aside
        self._leases = Leases()
        self._plans: dict[str, _Plan] = {}
        self._wanted = asyncio.Event()
        self._next: asyncio.Future[bool] | None = None  # the exchange that who waits now waits for
        self._retry_at = -math.inf
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._forget_at = -math.inf

    def counts(self, row: KeyRow) -> bool:
        """Has this key, or its organisation, any limit?"""
        return bool(self._plan(row).streaming)

    async def admit(self, row: KeyRow, ask: ChatRequest) -> Admission:
        """Let a request in or not; what is let in must be settled."""
        plan = self._plan(row)
        counters = plan.streaming if ask.stream else plan.counters
        tokens = estimate = 0
        if plan.tokens_least:
            prompt = len(ask.body) // BYTES_PER_TOKEN
            estimate = min(prompt + min(ask.tokens_max or ANSWER_TOKENS, ANSWER_TOKENS), plan.tokens_least)
            tokens = prompt + ask.tokens_max if ask.tokens_max else estimate
        now = self._clock.now()
        taken = self._leases.take(counters, tokens, int(ask.stream), now)
        if self._leases.wanted:
            self._wanted.set()
        found = taken if isinstance(taken, Pass) else await self._wait(counters, taken, tokens, int(ask.stream))
        if found is not taken:
            now = self._clock.now()
        if isinstance(found, Pass):
            return Admission(found, None, plan.head(now), estimate)
        if isinstance(found, ApiError):
            return Admission(None, found, "", 0)
        error = refusal(found.counter.rule, found.amount, found.counter.remaining, found.counter.ends_at - now)
        head = plan.head(now) + (STOP_RETRYING if error.retry_after_s is None or error.code == "insufficient_quota" else "")
        return Admission(None, error, head, 0)

    def settle(self, admission: Admission, row: UsageRow | None) -> None:
        """The request is over, with this row. Where an answer began and nobody counted it, the estimate counts."""
        taken = admission.taken
        if taken is None:
            return
        admission.taken = None
        tokens = row.prompt_tokens + row.completion_tokens if row is not None else 0
        if row is not None and not tokens and row.member and row.status in ("ok", "client_gone"):
            tokens = admission.estimate
        self._leases.settle(taken, tokens, self._clock.now())
        if self._leases.wanted:
            self._wanted.set()

    async def run(self) -> None:
        """Exchange with the store whenever there is something, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                if self.trouble:
                    await self._clock.sleep(self._retry_at - self._clock.monotonic())
                    await self._exchange()
                await self._exchange_all()

    async def close(self) -> None:
        """Give back what is left."""
        self._leases.give_all_back()
        await self._exchange_all()
        with self._lock:
            self._let_go()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self._leases.tick(self._clock.now())
            if self._leases.wanted or self.trouble:
                self._wanted.set()

    def _plan(self, row: KeyRow) -> _Plan:
        """Made anew for a row that was read anew: it or its organisation has changed."""
        plan = self._plans.get(row.id)
        if plan is None or plan.row is not row or plan.forgotten != self._leases.forgotten:
            if len(self._plans) >= PLANS_MAX or (plan is not None and plan.forgotten != self._leases.forgotten):
                self._plans.clear()  # those of keys that are gone, too
            counters = self._leases.counters(self._rules(row))
            plan = self._plans[row.id] = _Plan(row, counters, self._leases.forgotten)
        return plan

    async def _wait(self, counters: Sequence[Counter], found: Denied | None, tokens: int, stream: int) -> Pass | Denied | ApiError:
        """Until a share is there, or the store has none, or does not answer."""
        until = self._clock.monotonic() + STREAM_WAIT_S
        try:
            async with self._deadlines.within(WAIT_MAX_S):
                while True:
                    if isinstance(found, Denied):
                        counter = found.counter
                        if counter.weight != STREAMS or self._clock.monotonic() >= until:
                            return found
                        await self._clock.sleep(STREAM_POLL_S)
                        self._leases.retry(counter)
                    elif self._clock.monotonic() < self._retry_at or not await self._exchanged():
                        return UNAVAILABLE
                    taken = self._leases.take(counters, tokens, stream, self._clock.now())
                    if isinstance(taken, Pass):
                        return taken
                    found = taken
        except TimeoutError:
            return UNAVAILABLE

    async def _exchanged(self) -> bool:
        """After the next exchange that is not under way yet; False when it failed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._wanted.set()
        return await asyncio.shield(self._next)

    async def _exchange_all(self) -> None:
        while self._leases.wanted and not self.trouble:
            await self._exchange()

    async def _exchange(self) -> None:
        """One exchange, for all who wait for it."""
        waiting, self._next = self._next, None
        now = self._clock.now()
        asks = self._leases.asks(now)
        well = False
        try:
            told = await self._aside(self._ask, asks, now)
            self._leases.told(told, now)
            well = True
            if self.trouble:
                self._log.info("limits_shared_again")
            self.trouble = ""
        except StoreUnavailable as error:
            self._leases.failed()
            self._retry_at = self._clock.monotonic() + RETRY_S
            if not self.trouble:
                self._log.error("limits_not_shared", what=error.what, next="requests of keys with limits are refused until it is back")
            self.trouble = error.what
        finally:
            if waiting is not None and not waiting.done():
                waiting.set_result(well)

    def _ask(self, asks: Sequence[Ask], now: float) -> list[Told]:
        """Runs in a thread. Raises StoreUnavailable."""
        with self._lock:  # a cancelled exchange's thread may still be at it
            try:
                if self._database is None:
                    self._database = open_limits(self._where)
                told = exchange(self._database, self._process, asks, now)
                if now >= self._forget_at:
                    self._forget_at = now + FORGET_EVERY_S
                    forget_old(self._database, now)
                return told
            except StoreUnavailable:
                self._let_go()
                raise

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def refusal(rule: Rule, amount: int, remaining: int, left_s: float) -> ApiError:
    """What a request hears that wants `amount` of a limit with `remaining` left and `left_s` to the turn of its period; status 429."""
    kind, _, name = rule.subject.partition(":")
    whose = f"organisation {name}" if kind == "organisation" else "this key"
    used = max(0, rule.limit - remaining)
    wait_s = math.ceil(left_s) if left_s < math.inf else 1
    if rule.kind == "requests_per_min":
        message = f"Rate limit reached for {whose}: {rule.limit} requests a minute. Try again in {wait_s} s."
        return _refused("rate_limit_exceeded", message, "requests", wait_s)
    if rule.kind == "streams_max":
        message = f"{whose[0].upper()}{whose[1:]} may have {rule.limit} streams open at once, and has. Try again when one has ended."
        return _refused("streams_limit_exceeded", message, "requests", wait_s)
    per = "a minute" if rule.kind == "tokens_per_min" else "a month"
    if amount > rule.limit:
        message = f"Request too large for {whose}: {amount} tokens wanted, {rule.limit} {per} allowed. Ask with a smaller max_tokens."
        return _refused("tokens_limit_exceeded", message, "tokens", None)
    if rule.kind == "tokens_per_min":
        message = f"Token limit reached for {whose}: {rule.limit} a minute, {used} used, {amount} wanted. Try again in {wait_s} s."
        return _refused("tokens_limit_exceeded", message, "tokens", wait_s)
    message = f"The quota of {whose} is used up: {rule.limit} tokens a month, {used} used, {amount} wanted."
    return _refused("insufficient_quota", message, "insufficient_quota", wait_s)


def _refused(code: str, message: str, kind: str, wait_s: int | None) -> ApiError:
    return ApiError(status=429, code=code, message=message, type=kind, retry_after_s=wait_s)
