"""Change and Plan: what an apply will do, why, and what takes it back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What is done to a resource."""

    CREATE = "create"
    UPDATE = "update"
    START = "start"
    RELOAD = "reload"  # it reads its files again, and is not restarted
    RESTART = "restart"
    DELETE = "delete"
    ENSURE = "ensure"  # cannot be observed before an earlier wave: looked at then, changed only if needed


class Reversal(StrEnum):
    """What takes a change back."""

    RESTORE = "restore"  # a recorded manifest brings it back
    FORWARD_ONLY = "forward-only"  # databases, contracts, chain state
    EXTERNAL = "external"  # seen by others already: DNS, certificates issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a plan; `wave` counts from 1, steps of one wave are applied together."""

    target: str
    resource: str
    action: Action
    reason: str
    reversal: Reversal
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """A resource that needs no change, and why. differs: it is not as declared, and no apply may change it (a node not adopted)."""

    target: str
    resource: str
    reason: str
    differs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPlace:
    """A place that could not be looked at; or, with `resource`, one thing there that is gone and that no apply may make."""

    target: str
    why: str
    resource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes of one environment with the digest that `apply --plan` must find again."""

    environment: str
    digest: str
    changes: tuple[Change, ...]
    unchanged: tuple[Unchanged, ...]
    unknown: tuple[UnknownPlace, ...]

    @property
    def differing(self) -> tuple[Unchanged, ...]:
        """What is not as declared, and stays so: nodes that are not adopted."""
        return tuple(item for item in self.unchanged if item.differs)

    @property
    def irreversible(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.reversal is not Reversal.RESTORE)
