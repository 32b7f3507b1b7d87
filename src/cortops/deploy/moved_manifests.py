"""Manifests whose place follows from the environment file: an edit may move it, and what was recorded moves along.

Without that a program that was moved to another host would be forgotten where it was, and run twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cortops.deploy.manifest import Manifest, Manifests
from cortops.targets.target import Target


class MovedManifests(Manifests):
    """As Manifests; where none is kept yet, the newest of `others` counts, and is laid aside there once a new one is written here."""

    def __init__(self, target: Target, root: str, others: Sequence[Manifests]) -> None:
        super().__init__(target, root)
        self._others = tuple(others)
        self._before: Manifests | None = None

    async def latest(self) -> Manifest | None:
        """As Manifests.latest. StoreUnavailable also when one of the other places gives no answer: it may be the one."""
        if (here := await super().latest()) is not None or not self._others:
            return here
        found = await asyncio.gather(*(other.latest() for other in self._others))
        kept = [(manifest.at, number, manifest) for number, manifest in enumerate(found) if manifest is not None]
        if not kept:
            return None
        _, number, manifest = max(kept, key=lambda one: one[:2])
        self._before = self._others[number]
        return manifest

    async def write(self, manifest: Manifest) -> None:
        """As Manifests.write."""
        await super().write(manifest)
        if self._before is not None:
            await self._before.lay_aside()
            self._before = None
