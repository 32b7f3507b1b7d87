"""A check of one part of a chain, where that part is there."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.chain_parts import has
from cortops.environment.declared import Environment
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge


def of(
    env: Environment, part: str, name: str, asks: tuple[str, ...], judge: Judge, *, severity: str = "page", makes: str = "down"
) -> Iterator[Check]:
    """One check of `chain/PART`, or none."""
    if has(env.network, part):
        entity = Entity("chain", part)
        yield Check(entity=entity, name=name, asks=asks, judge=judge, owner=env.owner_of(entity), severity=severity, makes=makes)
