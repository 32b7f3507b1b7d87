"""Everything that the first page shows of one picture. Pure: equal pictures give equal overviews."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cortops.console.flow import Flow, flow
from cortops.console.rows import HostnameRow, NodeRow, PoolRow, hostname_rows, node_rows, parts, pool_rows
from cortops.console.sentence import NOT_YET, Sentence, sentence
from cortops.console.wording import WORST_FIRST
from cortops.environment.declared import Environment
from cortops.environment.graph import depends_on, entities
from cortops.monitor.picture import Picture
from cortops.surfaces.states import EntityState
from cortops.surfaces.status_page import STALE_AFTER_ROUNDS
from cortops.words.state import State

WORST_MAX = 20
EVERY_S = 3.0  # where no monitor is declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One picture, read for people. worst: at most 20 that are not ok, of `ill`. layout: changes when other things are declared."""

    picture: Picture
    sentence: Sentence
    flow: Flow
    worst: tuple[EntityState, ...]
    ill: int
    nodes: tuple[NodeRow, ...]
    pools: tuple[PoolRow, ...]
    hostnames: tuple[HostnameRow, ...]
    layout: str

    @property
    def asked(self) -> bool:
        """Whether a round of questions has ended."""
        return self.picture.at > 0


def overview(env: Environment, picture: Picture | None) -> Overview:
    """Of the picture, or of nothing asked yet."""
    shown = picture or blank(env)
    ill = [item for item in shown.entities if item.state is not State.OK]
    order = sorted(ill, key=lambda item: (WORST_FIRST.index(item.state), item.since or 0))
    return Overview(
        picture=shown,
        sentence=sentence(shown.entities, shown.at) if picture else NOT_YET,
        flow=flow(shown.entities, parts(env, shown)),
        worst=tuple(order[:WORST_MAX]),
        ill=len(ill),
        nodes=node_rows(env, shown),
        pools=pool_rows(env, shown),
        hostnames=hostname_rows(env, shown),
        layout=hashlib.sha256("\n".join(str(item.entity) for item in shown.entities).encode()).hexdigest()[:16],
    )


def blank(env: Environment) -> Picture:
    """What is known before the first round: nothing. Its `at` is 0."""
    edges = depends_on(env)
    unknown = tuple(
        EntityState(entity=entity, state=State.UNKNOWN, reason="not asked yet", evidence=(), depends_on=edges[entity])
        for entity in entities(env)
    )
    every_s = env.monitor.every_s if env.monitor else EVERY_S
    return Picture(environment=env.name, begun_at=0.0, at=0.0, every_s=every_s, entities=unknown, evidence=(), replies={})


def is_stale(picture: Picture, now: float) -> bool:
    """Whether a picture is too old to be taken for the present."""
    return now - picture.at > STALE_AFTER_ROUNDS * picture.every_s
