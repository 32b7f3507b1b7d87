"""The shape of `status --json`, which the console serves too: one page of states with their evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.evidence import Evidence
from cortops.words.state import State, worst

STALE_AFTER_ROUNDS = 3  # an older page tells how things were, not how they are


class EntityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One entity. since: when this state began, seconds since 1970; null where nobody keeps history.

    needed_by: whose depends_on names it.
    """

    entity: str
    kind: str
    state: State
    since: float | None
    reason: str
    evidence: tuple[str, ...]
    depends_on: tuple[str, ...]
    needed_by: tuple[str, ...]


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was observed, when (seconds since 1970) and how."""

    id: str
    entity: str
    value: str
    at: float
    how: str


class StatusPage(msgspec.Struct, frozen=True, kw_only=True):
    """All states at one moment. asked: by `watch` on its schedule, or `now` by whoever shows it. at: when the last answer came.

    every_s: how often watch asks, 0 when asked now. endpoints: name -> what people may call. note: why states are unknown that are asked
    of nobody else; empty when all is as it should be.
    """

    environment: str
    state: State
    asked: Literal["watch", "now"]
    at: float
    every_s: float
    entities: tuple[EntityRow, ...]
    endpoints: Mapping[str, str]
    evidence: tuple[EvidenceRow, ...]
    note: str = ""

    def is_stale(self, now: float) -> bool:
        """Whether watch has missed rounds since; never so of a page asked now."""
        return self.asked == "watch" and now - self.at > STALE_AFTER_ROUNDS * self.every_s


def page(
    environment: str,
    entities: Sequence[EntityState],
    evidence: Sequence[Evidence],
    endpoints: Mapping[str, str],
    *,
    asked: Literal["watch", "now"],
    at: float,
    every_s: float = 0.0,
) -> StatusPage:
    """States as a page; its own state is the worst of them."""
    needed_by: dict[Entity, list[str]] = {}
    for item in entities:
        for entity in item.depends_on:
            needed_by.setdefault(entity, []).append(str(item.entity))
    return StatusPage(
        environment=environment,
        state=worst(item.state for item in entities),
        asked=asked,
        at=at,
        every_s=every_s,
        entities=tuple(_row(item, needed_by.get(item.entity, ())) for item in entities),
        endpoints=endpoints,
        evidence=tuple(EvidenceRow(id=item.id, entity=str(item.entity), value=item.value, at=item.at, how=item.how) for item in evidence),
    )


def blind(asked_now: StatusPage, why: str) -> StatusPage:
    """A page on which nothing is known: whoever should watch does not. Each row still tells what a question just now brought."""
    entities = tuple(
        row
        if row.kind == "monitor"
        else msgspec.structs.replace(row, state=State.UNKNOWN, reason=f"not watched; asked now: {row.state}, {row.reason}")
        for row in asked_now.entities
    )
    return msgspec.structs.replace(asked_now, state=State.UNKNOWN, entities=entities, note=why)


def _row(item: EntityState, needed_by: Sequence[str]) -> EntityRow:
    return EntityRow(
        entity=str(item.entity),
        kind=item.entity.kind,
        state=item.state,
        since=item.since,
        reason=item.reason,
        evidence=item.evidence,
        depends_on=tuple(str(entity) for entity in item.depends_on),
        needed_by=tuple(needed_by),
    )
