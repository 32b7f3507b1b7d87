"""What is wrong and since when, in one sentence: the first thing on the page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortops.console.wording import WORST_FIRST, listed, utc
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.state import State, worst

REASON_MAX_CHARS = 160

_ILL = (State.DOWN, State.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """The words, and the worst state that they speak of. It changes only when a state does: times in it are absolute."""

    state: State
    text: str


NOT_YET = Sentence(state=State.UNKNOWN, text="Nothing has been asked yet: the first round of questions is under way.")


def sentence(entities: Sequence[EntityState], now: float) -> Sentence:
    """`now`: seconds since 1970, to know whether a time needs its day."""
    state = worst(item.state for item in entities)
    ill = [item for item in entities if item.state in _ILL]
    unseen = [item for item in entities if item.state is State.UNKNOWN]
    if ill:
        return Sentence(state=state, text=_of_ill(ill, entities, len(unseen), now))
    if unseen:
        return Sentence(state=state, text=_of_unseen(unseen, len(entities), now))
    paused = sum(item.state is State.MAINTENANCE for item in entities)
    who = f"All {len(entities)}" if not paused else f"{len(entities) - paused} of {len(entities)}"
    rest = f"; {paused} in maintenance" if paused else ""
    return Sentence(state=state, text=f"{who} are ok{_since(max((item.since or 0 for item in entities), default=0), now)}{rest}.")


def roots(ill: Sequence[EntityState]) -> tuple[EntityState, ...]:
    """Those of the ill that stand on nothing ill, worst first, then the one that fell first."""
    by_entity = {item.entity: item for item in ill}
    found = [item for item in ill if not any(need in by_entity for need in item.depends_on)]
    return tuple(sorted(found, key=lambda item: (WORST_FIRST.index(item.state), item.since or 0)))


def _of_ill(ill: Sequence[EntityState], entities: Sequence[EntityState], unseen: int, now: float) -> str:
    first, *others = roots(ill)
    above = _standing_on(first.entity, entities)
    symptoms = sum(item.entity in above for item in ill)
    parts = [f"{first.entity} is {first.state}{_since(first.since or 0, now)}: {_short(first.reason)}."]
    if symptoms:
        parts.append("1 that stands on it is not ok either." if symptoms == 1 else f"{symptoms} that stand on it are not ok either.")
    if others:
        parts.append(f"Also {listed(f'{item.entity} is {item.state}' for item in others)}.")
    if unseen:
        parts.append(f"{unseen} cannot be seen.")
    return " ".join(parts)


def _of_unseen(unseen: Sequence[EntityState], count: int, now: float) -> str:
    first = min(unseen, key=lambda item: item.since or 0)
    told = f"{_since(first.since or 0, now)}: {_short(first.reason)}."
    if len(unseen) == count:
        return f"Nothing can be seen{told}"
    if len(unseen) == 1:
        return f"{first.entity} cannot be seen{told} {count - 1} others can."
    return f"{len(unseen)} of {count} cannot be seen, first {first.entity}{told}"


def _standing_on(root: Entity, entities: Sequence[EntityState]) -> frozenset[Entity]:
    """Everything that needs `root`, directly or not."""
    needed_by: dict[Entity, list[Entity]] = {}
    for item in entities:
        for need in item.depends_on:
            needed_by.setdefault(need, []).append(item.entity)
    found: set[Entity] = set()
    waiting = [root]
    while waiting:
        new = [entity for entity in needed_by.get(waiting.pop(), ()) if entity not in found]
        found.update(new)
        waiting.extend(new)
    return frozenset(found)


def _since(at: float, now: float) -> str:
    return f" since {utc(at, now)}" if at else ""


def _short(reason: str) -> str:
    text = " ".join(reason.split()).rstrip(".")
    return text if len(text) <= REASON_MAX_CHARS else text[: REASON_MAX_CHARS - 1].rstrip() + "…"
