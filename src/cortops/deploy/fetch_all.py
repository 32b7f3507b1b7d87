"""What a plan's blobs are made of, into the cache: each file once, and those of one archive with one download."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cortops.deploy.fetch import Artifact, FetchProgress, fetch
from cortops.environment.release import Release
from cortops.words.clock import Clock
from cortops.words.errors import ArtifactUnavailable
from cortops.words.resource import Blob


def to_fetch(
    blobs: Iterable[Blob], releases: Mapping[str, Release], machines: Mapping[str, str], cache: Path, packed_by: str
) -> tuple[Artifact, ...]:
    """Blobs -> the artifacts of declared releases. What is declared nowhere was packed here, and lies in the cache.

    machines: host -> its processor. packed_by: the version of cortops that packed it; ArtifactUnavailable where the cache has it no more.
    """
    once = {blob.sha256: blob for blob in blobs}.values()
    for blob in once:
        if blob.release not in releases and not (cache / "artifacts" / blob.sha256).exists():
            raise ArtifactUnavailable(
                f"{blob.release} {blob.sha256[:12]} is not in the cache any more",
                where=str(cache),
                next=f"Run this with cortops {packed_by}, which packs it anew, or write the environment file as you want it and apply.",
            )
    return tuple(_artifact(blob, releases[blob.release], machines[blob.place]) for blob in once if blob.release in releases)


def _artifact(blob: Blob, release: Release, machine: str) -> Artifact:
    declared = release.on(machine, blob.release)
    return Artifact(
        name=blob.release,
        source=declared.source,
        archive_sha256=declared.archive_sha256,
        file=declared.file,
        sha256=blob.sha256,
        size=blob.size,
    )


async def fetch_all(artifacts: Iterable[Artifact], cache: Path, report: Callable[[FetchProgress], None], clock: Clock) -> None:
    """Raises what fetching raises; the first failure ends the others."""
    by_archive: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        by_archive.setdefault(artifact.archive_sha256, []).append(artifact)

    async def of_one_archive(together: Sequence[Artifact]) -> None:
        for artifact in together:  # one after the other: the first brings the others along
            await fetch(artifact, cache, report, clock, beside=[other for other in together if other is not artifact])

    try:
        async with asyncio.TaskGroup() as group:
            for together in by_archive.values():
                group.create_task(of_one_archive(together))
    except ExceptionGroup as failed:  # the first is why the others were ended
        raise failed.exceptions[0] from None
