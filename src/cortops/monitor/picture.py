"""Picture: all that `watch` knows at one moment. What the console, `status`, /health and /metrics show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cortops.surfaces.states import EntityState
from cortops.words.evidence import Evidence
from cortops.words.question import Reply
from cortops.words.state import State, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Every entity's state after a round of questions, secrets taken out of the texts.

    begun_at: when this watch began. at: when the last round ended; both seconds since 1970. every_s: a picture that is older than a few
    of these is stale. entities: each with its `since`. evidence: the newest of each question. replies: the newest of each question, whole
    and as it came: not to be shown, for it may hold what redaction takes out.
    """

    environment: str
    begun_at: float
    at: float
    every_s: float
    entities: tuple[EntityState, ...]
    evidence: tuple[Evidence, ...]
    replies: Mapping[str, Reply]

    @property
    def state(self) -> State:
        return worst(item.state for item in self.entities)
