"""How every entity is now, from one round of judged checks: no history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cortops.surfaces.judging import Judged
from cortops.words.entity import Entity
from cortops.words.evidence import Evidence
from cortops.words.question import NoAnswer, Reply
from cortops.words.state import State, worst

VALUE_MAX_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityState:
    """One entity's state with its reason: what the bad checks say, or the unsure ones, or all of them.

    evidence: ids of questions. since: when this state began, seconds since 1970; None where nobody keeps history.
    """

    entity: Entity
    state: State
    reason: str
    evidence: tuple[str, ...]
    depends_on: tuple[Entity, ...]
    since: float | None = None


def states(
    entities: Sequence[Entity], depends_on: Mapping[Entity, tuple[Entity, ...]], judged: Sequence[Judged]
) -> tuple[EntityState, ...]:
    """A state per entity. One bad check makes it what that check says; all inconclusive, or no check at all, is unknown."""
    return tuple(
        _state(entity, depends_on.get(entity, ()), [item for item in judged if item.check.entity == entity]) for entity in entities
    )


def _state(entity: Entity, depends_on: tuple[Entity, ...], judged: Sequence[Judged]) -> EntityState:
    bad = [item for item in judged if item.verdict.outcome == "bad"]
    unsure = [item for item in judged if item.verdict.outcome == "inconclusive"]
    if bad:
        state, told = worst(State(item.check.makes) for item in bad), bad
    elif unsure or not judged:
        state, told = State.UNKNOWN, unsure
    else:
        state, told = State.OK, list(judged)
    reason = "; ".join(dict.fromkeys(item.verdict.text for item in told)) if told else "nothing was asked about it"
    asked = dict.fromkeys(name for item in judged for name in item.check.asks)
    return EntityState(entity=entity, state=state, reason=reason, evidence=tuple(asked), depends_on=depends_on)


def evidence_of(judged: Sequence[Judged], replies: Mapping[str, Reply]) -> tuple[Evidence, ...]:
    """What was observed, by question: the ids that states name."""
    found: dict[str, Evidence] = {}
    for item in judged:
        for name in item.check.asks:
            if name not in found and (reply := replies.get(name)) is not None:
                found[name] = Evidence(id=name, entity=item.check.entity, value=_value(reply), at=reply.at, how=name.partition(":")[0])
    return tuple(found.values())


def _value(reply: Reply) -> str:
    return f"{reply.silence}: {reply.why}" if isinstance(reply, NoAnswer) else f"{reply.status} {reply.text[:VALUE_MAX_CHARS]}"
