"""Watch: asks on a schedule, judges each round, and holds the newest Picture. The loop around the pure parts; it decides nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cortops.monitor.asking import Asking
from cortops.monitor.clean import Clean
from cortops.monitor.keeper import Keeper, Thread
from cortops.monitor.picture import Picture
from cortops.monitor.record import Recalled, RoundRecord
from cortops.monitor.restarts import Restart, restarts
from cortops.monitor.rounds import Heard, Memory, Turn, resume, subject, turn
from cortops.monitor.schedule import Chance, Schedule, fetches
from cortops.monitor.state import Policy
from cortops.monitor.store import Store
from cortops.surfaces.judging import Ask
from cortops.surfaces.states import EntityState, evidence_of
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import CortopsError, StoreUnavailable
from cortops.words.evidence import Check, Evidence
from cortops.words.question import Question, Reply

INTENDED_MAX_S = 2.0  # how long a round waits for the word on a restart
NOTE_SHOWN_S = 600.0  # how long it is said that the history was damaged
REST_MIN_S, FIRST_REST_S = 0.05, 0.1
OWN = Entity("monitor", "watch")

T = TypeVar("T")
Intended = Callable[[Sequence[Restart]], Awaitable[Mapping[str, str]]]
"""Restarts -> service: who meant it, for each that an apply made. Raises CortopsError when that cannot be told now."""
Tell = Callable[[str, Mapping[str, str]], None]
"""(event, fields) for a log: `state_changed` {entity, state, reason}, `watch_trouble` {what}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """For /metrics: counts since the watch began; fetches under way and rounds that wait to be stored now."""

    rounds: int
    answers: int
    silences: int
    given_up: int
    under_way: int
    waiting: int


async def nobody(_restarts: Sequence[Restart]) -> Mapping[str, str]:
    """Intended, where nothing is ever applied."""
    return {}


def silent(_event: str, _fields: Mapping[str, str]) -> None:
    """Tell, where there is no log."""


class Watch:
    """The watching eye of one environment: `run` it, and read `picture` or follow `pictures()`.

    every_s: a round. chance: spreads the questions. store: the history; None keeps none. own: the entity that stands for the watch.
    redact: takes secrets out of texts before they are shown. intended: says which restarts an apply made. thread: does blocking work.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        questions: Sequence[Question],
        checks: Sequence[Check],
        entities: Sequence[Entity],
        depends_on: Mapping[Entity, tuple[Entity, ...]],
        store: Store | None,
        clock: Clock,
        every_s: float,
        environment: str,
        chance: Chance,
        redact: Callable[[bytes], bytes],
        intended: Intended = nobody,
        tell: Tell = silent,
        own: Entity = OWN,
        policy: Policy = Policy(),  # noqa: B008 — frozen
        thread: Thread = asyncio.to_thread,
    ) -> None:
        self.picture: Picture | None = None
        self._about = subject(entities=entities, depends_on=depends_on, questions=questions, checks=checks, own=own, every_s=every_s)
        schedule = Schedule(fetches(questions, every_s), round_s=every_s, begun_at=clock.monotonic(), chance=chance)
        self._asking = Asking(ask, schedule, clock)
        self._clock = clock
        self._every_s = every_s
        self._environment = environment
        self._intended = intended
        self._tell = tell
        self._policy = policy
        self._thread = thread
        self._store = store
        self._keeper = Keeper(store, clock, thread) if store is not None else None
        self._clean = Clean(redact)
        self._memory = Memory()
        self._replies: dict[str, Reply] = {}
        self._evidence: dict[str, Evidence] = {}
        self._begun_at = clock.now()
        self._rounds = 0
        self._note, self._noted_at = "", 0.0
        self._told = ""
        self._news = asyncio.Event()
        self._ended = False

    @property
    def figures(self) -> Figures:
        """How it goes, for /metrics."""
        counted = self._asking.counted
        return Figures(
            rounds=self._rounds,
            answers=counted.answers,
            silences=counted.silences,
            given_up=counted.given_up,
            under_way=self._asking.under_way,
            waiting=self._keeper.waiting if self._keeper else 0,
        )

    async def run(self) -> None:
        """Watch until cancelled. What an earlier watch left is shown first, then a first round as soon as all have answered."""
        try:
            await self._resume()
            async with asyncio.TaskGroup() as group:
                if self._keeper is not None:
                    group.create_task(self._keeper.run())
                await self._follow(group)
        finally:
            if self._keeper is not None:
                self._keeper.end()
            self._ended = True
            self._news.set()

    async def pictures(self) -> AsyncIterator[Picture]:
        """Every new picture, beginning with the newest there is; who reads slowly gets the newest and skips the others. Ends with `run`."""
        seen: Picture | None = None
        while True:
            if self.picture is not None and self.picture is not seen:
                seen = self.picture
                yield seen
            elif self._ended:
                return
            else:
                await self._news.wait()

    async def _resume(self) -> None:
        now, recalled = self._clock.now(), Recalled()
        if (store := self._store) is not None and self._keeper is not None:
            try:
                recalled = await self._thread(lambda: store.load(now))
            except StoreUnavailable as error:
                self._keeper.trouble = error.what
        self._memory, states = resume(self._about, recalled, now)
        if recalled.at is not None:
            self._publish(states, recalled.at)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """The rounds: one as soon as everything was asked once, then one every `every_s`; those that come too late are left out."""
        tick = self._clock.monotonic() + self._every_s
        await self._ask_until(tick, group, or_idle=True)
        await self._round()
        while True:
            await self._ask_until(tick, group, or_idle=False)
            await self._round()
            while tick <= self._clock.monotonic():
                tick += self._every_s

    async def _ask_until(self, tick: float, group: asyncio.TaskGroup, *, or_idle: bool) -> None:
        """Begin what is due until `tick`; with `or_idle`, only until nothing is under way."""
        while True:
            wake_at = self._asking.begin(group)
            now = self._clock.monotonic()
            if now >= tick or (or_idle and not self._asking.under_way):
                return
            rest_s = max(min(wake_at, tick) - now, REST_MIN_S)
            await self._clock.sleep(min(rest_s, FIRST_REST_S) if or_idle else rest_s)

    async def _round(self) -> None:
        fresh = self._asking.take()
        self._replies |= fresh
        heard = Heard(
            fresh=fresh,
            replies=self._replies,
            restarts=await self._unmeant(restarts(self._memory.processes, self._about.checks, fresh)),
            troubles=self._troubles(),
            now=self._clock.now(),
        )
        before = self._memory.states
        if self._rounds == 0:
            self._keep(RoundRecord(at=heard.now, states=tuple(before.values())))  # what nobody saw, if that is how it was
        done = turn(self._about, self._policy, self._memory, heard, self._clean)
        self._memory = done.memory
        self._asking.hurry(done.restless)
        for item in evidence_of(done.judged, fresh):
            self._evidence[item.id] = replace(item, value=self._clean(item.value))
        self._rounds += 1
        self._publish(done.states, heard.now)
        self._keep(
            RoundRecord(
                at=heard.now,
                replies=fresh,
                counts=done.counts,
                states=tuple(done.memory.states.values()),
                checks=done.memory.checks,
                processes=done.memory.processes,
            )
        )
        self._log(before, done)
        self._clean.turn()

    async def _unmeant(self, found: Sequence[Restart]) -> tuple[Restart, ...]:
        """The restarts that no apply made; where that could not be asked in time, with a note."""
        if not found:
            return ()
        try:
            meant = await _within(self._clock, INTENDED_MAX_S, self._intended(found))
        except CortopsError:
            meant = None
        if meant is None:
            return tuple(replace(restart, note="whether an apply did it could not be asked") for restart in found)
        return tuple(restart for restart in found if restart.service not in meant)

    def _troubles(self) -> tuple[str, ...]:
        if self._store is None or self._keeper is None:
            return ()
        if self._store.note != self._note:
            self._note, self._noted_at = self._store.note, self._clock.monotonic()
        note = self._note if self._clock.monotonic() - self._noted_at < NOTE_SHOWN_S else ""
        return tuple(trouble for trouble in (self._keeper.trouble, note) if trouble)

    def _publish(self, states: tuple[EntityState, ...], at: float) -> None:
        self.picture = Picture(
            environment=self._environment,
            begun_at=self._begun_at,
            at=at,
            every_s=self._every_s,
            entities=states,
            evidence=tuple(self._evidence.values()),
            replies=dict(self._replies),
        )
        self._news.set()
        self._news = asyncio.Event()

    def _keep(self, record: RoundRecord) -> None:
        if self._keeper is not None:
            self._keeper.put(record)

    def _log(self, before: Mapping[Entity, object], done: Turn) -> None:
        for entity, begun in done.memory.states.items():
            if begun is not before.get(entity):
                self._tell("state_changed", {"entity": str(entity), "state": begun.state, "reason": begun.reason})
        told = "; ".join(trouble for trouble in (done.memory.eyes.trouble, *self._troubles()) if trouble)
        if told and not self._told:
            self._tell("watch_trouble", {"what": told})
        self._told = told


async def _within(clock: Clock, seconds: float, work: Awaitable[T]) -> T | None:
    """What `work` gives, or None when it takes longer; it is ended then."""
    asked = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((asked, timer), return_when=asyncio.FIRST_COMPLETED)
        return asked.result() if asked.done() else None
    finally:
        asked.cancel()
        timer.cancel()
        await asyncio.wait((asked, timer))
