"""Evidence, Check and Verdict: what was observed, and whether that is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cortops.words.entity import Entity
from cortops.words.question import Outcome, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observed answer: what, of whom, when, and how it was got."""

    id: str
    entity: Entity
    value: str
    at: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgement with its reason; `inconclusive` when the answers cannot tell.

    certain: a bad one that no second look is needed for: the connection was refused, or the service manager says that it does not run.
    """

    outcome: Outcome
    text: str
    certain: bool = False


Judge = Callable[[Mapping[str, Reply], float], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold of an entity. `asks` names the questions whose answers the judge reads; the judge gets (answers, now).

    service: of a check that looks at a process, the service as its manager names it (the answer to `asks` has its pid).
    """

    entity: Entity
    name: str
    asks: tuple[str, ...]
    judge: Judge = field(repr=False)
    owner: str
    severity: str = "page"  # page, ticket
    runbook: str = ""
    makes: str = "down"  # the state a bad verdict leads to: down, degraded, maintenance
    service: str = ""
