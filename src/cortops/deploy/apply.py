"""Apply a plan wave by wave: each place at once, then the gate. What is done stays done; the first failure ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from cortops.deploy.observed import Absent, Desired, Driver, Observed, Present, Progress, Step, Unseen
from cortops.words.change import Action, Change, Plan
from cortops.words.entity import Entity
from cortops.words.errors import PortTaken, ProgramFailed, StepFailed
from cortops.words.resource import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBegun:
    """A wave's changes are about to be made."""

    wave: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTold:
    """A driver's progress, with the resource's place and entity for whoever shows it."""

    place: str
    entity: Entity
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveWell:
    """The gate passed: every entity that the wave touched is well."""

    wave: int
    entities: tuple[Entity, ...]


Report = Callable[[WaveBegun | StepTold | WaveWell], None]
Gate = Callable[[Sequence[Entity], bool], Awaitable[None]]  # (what the wave started, whether it is the last wave)


async def apply(plan: Plan, items: Mapping[str, Desired], drivers: Mapping[str, Driver], gate: Gate, report: Report, apply_id: str) -> int:
    """Make the plan's changes and return how many were made.

    items: key -> what each change is about (deletes included). drivers: place -> driver. gate: returns when the entities given are well,
    raises GateClosed when they are not in time; asked once with nothing, as after a last wave, when there is no change. Raises StepFailed
    (PortTaken where that is the reason) after the first failed step.
    """
    made = 0
    if not plan.changes:
        await gate((), True)
    for wave, group in groupby(plan.changes, key=lambda change: change.wave):
        changes = tuple(group)
        report(WaveBegun(wave=wave, changes=changes))
        by_place: dict[str, list[Change]] = {}
        for change in changes:
            by_place.setdefault(change.target, []).append(change)
        counts = await asyncio.gather(
            *(_apply_place(drivers[place], steps, items, report, apply_id) for place, steps in by_place.items()), return_exceptions=True
        )
        for failure in counts:
            if isinstance(failure, BaseException):
                raise failure
        made += sum(count for count in counts if isinstance(count, int))
        started = _started(changes, items)
        await gate(started, wave == plan.changes[-1].wave)
        report(WaveWell(wave=wave, entities=started))
    return made


def _started(changes: Iterable[Change], items: Mapping[str, Desired]) -> tuple[Entity, ...]:
    resources = [items[key_of(change)].resource for change in changes if change.action is not Action.DELETE]
    return tuple(dict.fromkeys(resource.entity for resource in resources if isinstance(resource, Service)))


def key_of(change: Change) -> str:
    """The key of the resource that a change is about."""
    return f"{change.target} {change.resource}"


async def _apply_place(driver: Driver, changes: Sequence[Change], items: Mapping[str, Desired], report: Report, apply_id: str) -> int:
    steps = await _concrete(driver, changes, items)
    by_key = {step.desired.resource.key: step.desired.resource for step in steps}
    done = 0
    async with aclosing(driver.apply(steps, apply_id)) as told:
        async for progress in told:
            resource = by_key[progress.key]
            report(StepTold(place=resource.place, entity=resource.entity, progress=progress))
            if progress.event == "failed":
                raise _failure(resource.id, resource.because, driver.place, progress)
            done += progress.event == "done"
    if done != len(steps):
        left = ", ".join(step.desired.resource.id for step in steps[done : done + 3])
        raise StepFailed(f"{driver.place} stopped answering before {left} was done", where=driver.place, why="its outcome is unknown")
    return done


def _failure(what: str, because: str, place: str, progress: Progress) -> StepFailed | PortTaken:
    text = progress.text
    if text.startswith("port ") and " taken" in text:
        return PortTaken(text, where=f"{what} on {place} ({because})")
    kind = ProgramFailed if progress.blames_program else StepFailed
    return kind(f"{what} could not be made on {place}: {text}", where=because)


async def _concrete(driver: Driver, changes: Sequence[Change], items: Mapping[str, Desired]) -> list[Step]:
    """Changes -> steps; what could only be `ensured` is looked at now and left out if it is already as it should be."""
    later = [items[key_of(change)] for change in changes if change.action is Action.ENSURE]
    seen = await driver.observe(later) if later else {}
    steps: list[Step] = []
    for change in changes:
        item = items[key_of(change)]
        action = _ensured(item, seen[item.resource.key]) if change.action is Action.ENSURE else change.action
        if action is not None:
            steps.append(Step(action=action, desired=item))
    return steps


def _ensured(item: Desired, seen: Observed) -> Action | None:
    match seen:
        case Unseen(why):
            raise StepFailed(f"{item.resource.id} cannot be looked at: {why}", where=item.resource.because)
        case Absent():
            return Action.CREATE
        case Present(attributes):
            same = all(attributes.get(name) == value for name, value in item.attributes.items())
            return None if same else Action.UPDATE
