"""What was recorded moves along when an edit of the file moves its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cortops.deploy.manifest import Manifest, Manifests
from cortops.deploy.moved_manifests import MovedManifests
from cortops.targets.local import LocalTarget


def manifest(generation: int, at: float) -> Manifest:
    return Manifest(generation=generation, apply="a-1", at=at, by="ops", environment="lab", digest="d", tool_version="0", resources=())


def test_the_newest_of_other_places_counts_until_one_is_written_here(tmp_path: Path) -> None:
    async def main() -> None:
        places = [Manifests(LocalTarget(name), str(tmp_path / name)) for name in ("h1", "h2", "h3")]
        await places[0].write(manifest(3, 30))
        await places[1].write(manifest(5, 50))
        here = MovedManifests(LocalTarget("here"), str(tmp_path / "here"), places)
        found = await here.latest()
        assert found is not None and found.generation == 5
        assert not (tmp_path / "here").exists(), "a look writes nothing"
        await here.write(manifest(6, 60))
        found = await here.latest()
        assert found is not None and found.generation == 6
        assert (tmp_path / "h2" / "manifests.moved" / "0005.json").exists() and await places[1].latest() is None
        back = MovedManifests(LocalTarget("h2"), str(tmp_path / "h2"), [here, places[0]])
        found = await back.latest()
        assert found is not None and found.generation == 6, "and it moves back the same way"

    asyncio.run(main())


def test_without_any_there_was_no_apply(tmp_path: Path) -> None:
    here = MovedManifests(LocalTarget("here"), str(tmp_path / "a"), [Manifests(LocalTarget("h1"), str(tmp_path / "b"))])
    assert asyncio.run(here.latest()) is None
