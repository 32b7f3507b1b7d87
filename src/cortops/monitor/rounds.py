"""One round: fresh answers in, states out. Pure; all that passes from round to round is in Memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cortops.monitor.eyes import Eyes, look, respondents
from cortops.monitor.record import Begun, CheckKey, Counts, Recalled, evidence_id
from cortops.monitor.restarts import RESTART_SHOWN_S, Process, Restart, RestartMark, Service, marked, processes
from cortops.monitor.state import CheckMemory, Policy, settle, weigh, with_restart
from cortops.surfaces.judging import Judged, judge
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Question, Reply
from cortops.words.state import State, worst

AS_OF_MAX_S = 120.0  # after a longer pause of the watch, what it knew is no longer what is

_NEW = CheckMemory()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is watched, put in order once. own: the entity that stands for the watch itself; it is there even if nobody declared it."""

    entities: tuple[Entity, ...]
    depends_on: Mapping[Entity, tuple[Entity, ...]]
    checks: tuple[Check, ...]
    own: Entity
    every_s: float
    asked: Mapping[str, str]  # question -> respondent
    of: Mapping[Entity, tuple[Check, ...]]
    evidence: Mapping[Entity, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that passes from one round to the next."""

    checks: Mapping[CheckKey, CheckMemory] = field(default_factory=dict)
    states: Mapping[Entity, Begun] = field(default_factory=dict)
    marks: Mapping[Entity, RestartMark] = field(default_factory=dict)
    processes: Mapping[Service, Process] = field(default_factory=dict)
    eyes: Eyes = field(default_factory=Eyes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a round gave. judged: the checks whose answers were fresh. restless: questions of checks that are not calm."""

    memory: Memory
    states: tuple[EntityState, ...]
    judged: tuple[Judged, ...]
    counts: Mapping[str, Counts]
    restless: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a round brings in. fresh: the replies since the last round; replies: the newest of every question.

    restarts: those that nobody meant. troubles: of the watch itself, its history for example. now: seconds since 1970.
    """

    fresh: Mapping[str, Reply]
    replies: Mapping[str, Reply]
    restarts: Sequence[Restart]
    troubles: Sequence[str]
    now: float


def subject(
    *,
    entities: Sequence[Entity],
    depends_on: Mapping[Entity, tuple[Entity, ...]],
    questions: Sequence[Question],
    checks: Sequence[Check],
    own: Entity,
    every_s: float,
) -> Subject:
    """The subject of a watch."""
    everyone = (*entities, *(() if own in entities else (own,)))
    of = {entity: tuple(check for check in checks if check.entity == entity) for entity in everyone}
    evidence = {entity: tuple(dict.fromkeys(name for check in of[entity] for name in check.asks)) for entity in everyone}
    return Subject(
        entities=everyone,
        depends_on=depends_on,
        checks=tuple(checks),
        own=own,
        every_s=every_s,
        asked=respondents(questions),
        of=of,
        evidence=evidence,
    )


def resume(about: Subject, recalled: Recalled, now: float) -> tuple[Memory, tuple[EntityState, ...]]:
    """Where an earlier watch left off: its memory, and the states to show until the first round, as of then.

    After a pause of more than AS_OF_MAX_S every state is unknown, since nobody looked.
    """
    if recalled.at is None:
        return Memory(), tuple(_state(about, _begun(entity, State.UNKNOWN, now, "nothing was asked yet")) for entity in about.entities)
    clock = f"{datetime.fromtimestamp(recalled.at, UTC):%H:%M:%S} UTC"
    if now - recalled.at <= AS_OF_MAX_S:
        keys = {(check.entity, check.name) for check in about.checks}
        checks = {key: memory for key, memory in recalled.checks.items() if key in keys}
        known, note = recalled.states, f" (as of {clock})"
    else:
        checks, note = {}, ""
        known = {
            entity: begun if begun.state is State.UNKNOWN else _begun(entity, State.UNKNOWN, recalled.at, f"nobody looked since {clock}")
            for entity, begun in recalled.states.items()
        }
    states = {entity: known[entity] for entity in about.entities if entity in known}
    shown = [states.get(entity) or _begun(entity, State.UNKNOWN, now, "nothing was asked yet") for entity in about.entities]
    memory = Memory(checks=checks, states=states, processes=recalled.processes)
    return memory, tuple(_state(about, replace(begun, reason=begun.reason + (note if begun.entity in states else ""))) for begun in shown)


def turn(about: Subject, policy: Policy, memory: Memory, heard: Heard, clean: Callable[[str], str]) -> Turn:
    """One round. clean: takes secrets out of a reason."""
    eyes = look(memory.eyes, about.asked, heard.fresh)
    judged = judge([check for check in about.checks if any(name in heard.fresh for name in check.asks)], heard.replies, heard.now)
    if eyes.trouble:
        judged = tuple(Judged(check=item.check, verdict=_doubted(item.verdict, eyes.trouble)) for item in judged)
    checks = dict(memory.checks)
    for item in judged:
        key = (item.check.entity, item.check.name)
        checks[key] = settle(checks.get(key, _NEW), item.verdict, policy)
    marks = dict(memory.marks)
    for restart in heard.restarts:
        marks |= {entity: marked(marks.get(entity), restart) for entity in restart.entities}
    troubles = [trouble for trouble in (eyes.trouble, *heard.troubles) if trouble]
    shown, states = [], {}
    for entity in about.entities:
        state, reason = _weighed(about, entity, checks, marks.get(entity), troubles, heard.now)
        begun = memory.states.get(entity)
        if begun is None or begun.state is not state:
            begun = _begun(entity, state, heard.now, clean(reason), _evidence(about, entity, heard.replies))
        states[entity] = begun
        shown.append(_state(about, replace(begun, reason=clean(reason))))
    return Turn(
        memory=Memory(
            checks=checks,
            states=states,
            marks=marks,
            processes={**memory.processes, **processes(about.checks, heard.fresh)},
            eyes=eyes,
        ),
        states=tuple(shown),
        judged=judged,
        counts=_counts(judged),
        restless=frozenset(name for check in about.checks if not checks.get((check.entity, check.name), _NEW).calm for name in check.asks),
    )


def _weighed(
    about: Subject, entity: Entity, checks: Mapping[CheckKey, CheckMemory], mark: RestartMark | None, troubles: Sequence[str], now: float
) -> tuple[State, str]:
    items = [(check, checks.get((entity, check.name), _NEW)) for check in about.of[entity]]
    if entity == about.own and not items:
        state, reason = State.OK, f"asks {len(about.asked)} questions, a round every {about.every_s:g} s"
    else:
        state, reason = with_restart(*weigh(items), mark, now, RESTART_SHOWN_S)
    if entity == about.own and troubles:
        return worst((state, State.DEGRADED)), "; ".join([*troubles, *([] if state is State.OK else [reason])])
    return state, reason


def _doubted(verdict: Verdict, why: str) -> Verdict:
    """While we suspect ourselves only what is certain is bad."""
    if verdict.outcome != "bad" or verdict.certain:
        return verdict
    return Verdict(outcome="inconclusive", text=f"{why} ({verdict.text})")


def _counts(judged: Sequence[Judged]) -> dict[str, Counts]:
    found: dict[str, list[str]] = {}
    for item in judged:
        for name in item.check.asks:
            found.setdefault(name, []).append(item.verdict.outcome)
    return {
        name: Counts(ok=outcomes.count("ok"), bad=outcomes.count("bad"), inconclusive=outcomes.count("inconclusive"))
        for name, outcomes in found.items()
    }


def _begun(entity: Entity, state: State, since: float, reason: str, evidence: tuple[str, ...] = ()) -> Begun:
    return Begun(entity=entity, state=state, since=since, reason=reason, evidence=evidence)


def _evidence(about: Subject, entity: Entity, replies: Mapping[str, Reply]) -> tuple[str, ...]:
    return tuple(evidence_id(replies[name]) for name in about.evidence[entity] if name in replies)


def _state(about: Subject, begun: Begun) -> EntityState:
    return EntityState(
        entity=begun.entity,
        state=begun.state,
        reason=begun.reason,
        evidence=about.evidence[begun.entity],
        depends_on=about.depends_on.get(begun.entity, ()),
        since=begun.since,
    )
