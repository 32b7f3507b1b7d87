"""What of a watch's states is news: one message a trouble, once, and one when it is over. Pure.

What is ill only because what it stands on is ill is a symptom, and not told. What nobody can see accuses nobody: of it only hosts are told,
after a while. Many at once are one message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cortops.incidents.notify import Message
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.state import State

SETTLE_S = 20.0  # a trouble that is over sooner is none: a restart, an upgrade
UNSEEN_S = 180.0  # until it is told that a host cannot be seen
AT_ONCE_MAX = 4  # more troubles of one moment are one message
NAMED_MAX = 10

_ILL = (State.DOWN, State.DEGRADED)
_WORSE = {State.OK: 0, State.UNKNOWN: 1, State.DEGRADED: 2, State.DOWN: 3}


@dataclass(frozen=True, slots=True)
class Told:
    """Entity, as text -> the state that people were told last and have not heard the end of."""

    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What to send now, and what is told then."""

    messages: tuple[Message, ...]
    told: Told


def news(environment: str, told: Told, entities: Sequence[EntityState], now: float) -> News:
    """told: what people know. entities: how everything is at `now`, seconds since 1970."""
    by_entity = {item.entity: item for item in entities}
    begun = [item for item in entities if _is_new(item, told, now) and not _is_symptom(item, by_entity)]
    ended = [item for item in entities if item.state is State.OK and str(item.entity) in told.states]
    states = {name: state for name, state in told.states.items() if any(str(item.entity) == name for item in entities)}
    for item in ended:
        del states[str(item.entity)]
    states |= {str(item.entity): item.state.value for item in begun}
    messages = [_message(environment, item, now) for item in begun] if len(begun) <= AT_ONCE_MAX else [_many(environment, begun, now)]
    if len(ended) <= AT_ONCE_MAX:
        messages += [_message(environment, item, now) for item in ended]
    else:
        messages.append(_many(environment, ended, now))
    return News(messages=tuple(messages), told=Told(states))


def _is_new(item: EntityState, told: Told, now: float) -> bool:
    lasts_s = now - (item.since if item.since is not None else now)
    unseen = item.state is State.UNKNOWN and item.entity.kind == "host" and lasts_s >= UNSEEN_S
    due = unseen or (item.state in _ILL and lasts_s >= SETTLE_S)
    known = told.states.get(str(item.entity))
    return due and (known is None or _WORSE[item.state] > _WORSE[State(known)])


def _is_symptom(item: EntityState, by_entity: Mapping[Entity, EntityState]) -> bool:
    """Whether something that it stands on, however far, is ill or cannot be seen."""
    todo, seen = list(item.depends_on), set[Entity]()
    while todo:
        entity = todo.pop()
        if entity in seen or entity not in by_entity:
            continue
        seen.add(entity)
        if by_entity[entity].state in (State.DOWN, State.UNKNOWN):
            return True
        todo += by_entity[entity].depends_on
    return False


def _message(environment: str, item: EntityState, now: float) -> Message:
    name = item.entity.name
    if item.state is State.OK:
        title = f"{environment}: {name} recovered"
    elif item.state is State.UNKNOWN:
        title = f"{environment}: {name} cannot be seen"
    else:
        title = f"{environment}: {name} is {item.state.value}"
    return Message(
        title=title,
        text=item.reason,
        entity=str(item.entity),
        state=item.state.value,
        at=now,
        trouble=f"cortops-{environment}-{item.entity}",
    )


def _many(environment: str, items: Sequence[EntityState], now: float) -> Message:
    recovered = items[0].state is State.OK
    names = [item.entity.name for item in items]
    named = ", ".join(names[:NAMED_MAX]) + (f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")
    reasons = list(dict.fromkeys(item.reason for item in items))[:3]
    worst = max(items, key=lambda item: _WORSE[item.state]).state
    return Message(
        title=f"{environment}: {len(items)} {'recovered' if recovered else 'are ill'} at once",
        text="\n".join([named, *reasons]),
        entity=f"environment/{environment}",
        state=worst.value,
        at=now,
        trouble=f"cortops-{environment}-many",
    )
