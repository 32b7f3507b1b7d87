"""State: how an entity is. Unknown is not down."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class State(StrEnum):
    """The five states."""

    OK = "ok"
    DEGRADED = "degraded"  # it works, with less redundancy, speed or margin than declared
    DOWN = "down"
    UNKNOWN = "unknown"  # our eyes failed, or nobody looked
    MAINTENANCE = "maintenance"  # declared by a person, with an end


_RANK = {State.OK: 0, State.MAINTENANCE: 1, State.UNKNOWN: 2, State.DEGRADED: 3, State.DOWN: 4}


def worst(states: Iterable[State]) -> State:
    """The state that a group shows: the worst of its members, `ok` for an empty group."""
    return max(states, key=_RANK.__getitem__, default=State.OK)
