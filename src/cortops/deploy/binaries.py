"""Programs on this machine: a file read and recognised, a folder or list of known hashes, and the cache by hash.

The traps of cortensord's file: operators 2.6.
"""

from __future__ import annotations

import asyncio
import email
import os
import re
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from cortops.deploy.archive import CHUNK_BYTES, Artifact, sha256_of
from cortops.deploy.fetch import Bring, Report, cached_path, fetch_file, in_thread
from cortops.environment.cortensord import CORTENSORD
from cortops.environment.release import ProgramRelease
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.surfaces.fleet.builds.hash_list import date_in, read_list
from cortops.surfaces.fleet.builds.program_file import HEAD_BYTES, Archive, Pointer, Program, Wrong, pointer_refused, recognise
from cortops.words.clock import Clock
from cortops.words.errors import ArtifactUnavailable, BadInput

SIZE_MAX_BYTES = 4 * 1024**3
LIST_MAX_BYTES = 1 << 20
FILES_MAX = 500  # of one folder
METADATA_MAX_BYTES = 64 * 1024
DOWNLOAD_MAX_S = 3600.0
SILENCE_MAX_S = 60.0
CORTOPS = "cortops"

_CALLED_SO = re.compile(r"cortensord([-_.][0-9].*)?")
_LISTS = re.compile(r"(?i)(sha256sums?|checksums?)(\.txt)?|.*\.sha256(sums?)?(\.txt)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One build as its source tells of it. size: bytes, None where only the hash is known. date: `YYYY-MM-DD`, "" where it tells none.

    source: as `from` in the environment file. machine, version: "" where that is not told. file: where it lies on this machine, if it does.
    notes: what the reader should know besides.
    """

    program: str
    sha256: str
    size: int | None = None
    date: str = ""
    source: str = ""
    machine: str = ""
    version: str = ""
    file: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def body(self) -> dict[str, str]:
        """What the environment file says of it: `releases.NAME`."""
        told = {
            "program": self.program,
            "sha256": self.sha256,
            "size": "" if self.size is None else str(self.size),
            "date": self.date,
            "from": self.source,
            "machine": self.machine,
            "version": self.version,
        }
        return {key: value for key, value in told.items() if value}


def look_at(path: Path, *, beside: Path) -> Taken:
    """A program's file; BadInput, with the cure, for anything else. beside: the environment file's folder, from which it is named."""
    head, size = _head(path)
    found: Program | Pointer | Archive | Wrong | str = recognise(head, size)
    if isinstance(found, Archive):
        found = _wheel(path)
    if isinstance(found, Pointer):
        found = pointer_refused(found)
    if isinstance(found, Wrong):
        raise BadInput(f"{path} {found.what}", where=str(path), next=found.cure)
    version = found if isinstance(found, str) else ""
    return Taken(
        program=CORTOPS if version else CORTENSORD,
        sha256=sha256_of(path),
        size=size,
        date=date_in(path.name),
        source=_source("file", path, beside),
        machine=found.machine if isinstance(found, Program) else "",
        version=version,
        file=path,
    )


def look_into(folder: Path, *, beside: Path) -> tuple[Taken, ...]:
    """Every build that a folder of known hashes holds: programs, and lists as sha256sum writes them; or one such list.

    A program whose list has another hash for its name is refused (BadInput), and so is a line that cannot be read, a pointer and a file cut
    off. Other files (notes, signatures) say nothing.
    """
    if folder.is_file():
        builds = _listed(folder, beside, {})
        return tuple({build.sha256: build for build in builds}.values())
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise BadInput(
            f"cannot look into {folder}: {error.strerror}", where=str(folder), next="Name a folder that you may read."
        ) from error
    if len(files) > FILES_MAX:
        raise BadInput(f"{folder} holds {len(files)} files", next=f"Name a folder with at most {FILES_MAX}.")
    programs = {path.name: look_at(path, beside=beside) for path in files if not is_list(path) and _is_meant(path)}
    found: dict[str, Taken] = {}
    for path in filter(is_list, files):
        for build in _listed(path, beside, programs):
            found[build.sha256] = build
    for build in programs.values():
        listed = found.get(build.sha256)
        found[build.sha256] = build if listed is None else replace(build, date=build.date or listed.date)
    if not found:
        raise BadInput(f"{folder} holds no program and no list of hashes", next=_NEXT_FOLDER)
    return tuple(sorted(found.values(), key=lambda build: (build.date, build.sha256)))


_NEXT_FOLDER = "Name a folder with cortensord in it, or with SHA256SUMS: lines of HEX  DATE  NAME."


def is_list(path: Path) -> bool:
    """Whether a file is a list of hashes by its name: `SHA256SUMS`, `cortensord.sha256`."""
    return _LISTS.fullmatch(path.name) is not None


def _is_meant(path: Path) -> bool:
    """Whether a file of a folder is meant to be a program: it is one, a pointer to one, or is called so."""
    head, size = _head(path)
    return isinstance(recognise(head, size), Program | Pointer) or _CALLED_SO.fullmatch(path.name) is not None


def _listed(path: Path, beside: Path, programs: Mapping[str, Taken]) -> Sequence[Taken]:
    """The builds of a list; those whose files lie beside it must have the hashes that it says."""
    with _regular(path) as file:
        data = file.read(LIST_MAX_BYTES + 1)
    if len(data) > LIST_MAX_BYTES:
        raise BadInput(f"{path} is longer than {LIST_MAX_BYTES >> 20} MiB", next=_NEXT_FOLDER)
    lines, wrong = read_list(data.decode("utf-8", "replace"))
    if wrong is not None:
        raise BadInput(f"a line of {path} {wrong.why}", where=f"{path}:{wrong.line}", next="Write it as sha256sum does: HEX  DATE  NAME")
    if not lines:
        raise BadInput(f"{path} lists no hash", where=str(path), next="Write it as sha256sum does: HEX  DATE  NAME")
    source = _source("list", path, beside)
    for line in lines:
        there = programs.get(Path(line.name).name) if line.name else None
        if there is not None and there.sha256 != line.sha256:
            what = f"{there.file} has the hash {there.sha256[:12]}, and its list says {line.sha256[:12]}"
            raise BadInput(what, where=f"{path}:{line.line}", next="Download the file again, or correct the list.")
    return [Taken(program=CORTENSORD, sha256=line.sha256, date=line.date, source=source) for line in lines]


def _head(path: Path) -> tuple[bytes, int]:
    """The begin of a file, and its size."""
    with _regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        return file.read(HEAD_BYTES), size


def _regular(path: Path) -> IO[bytes]:
    """A plain file of a size that a program can have, open for reading; BadInput for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer for ever
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(f"cannot read {path}: {why}", where=str(path), next="Name a file that is there, and that you may read.") from error
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_size <= SIZE_MAX_BYTES:
        return os.fdopen(handle, "rb")
    os.close(handle)
    what = f"is larger than {SIZE_MAX_BYTES >> 30} GiB" if stat.S_ISREG(status.st_mode) else "is no plain file"
    raise BadInput(f"{path} {what}", where=str(path), next="Name the program's file.")


def _wheel(path: Path) -> str | Wrong:
    """The version of our wheel, or what the archive is instead."""
    wrong = Wrong("is a zip archive, and not our wheel", "Unpack it, then name the program in it.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"cortops-[^/]{1,40}\.dist-info/METADATA", name)]
            if len(names) != 1 or archive.getinfo(names[0]).file_size > METADATA_MAX_BYTES:
                return wrong
            metadata = email.message_from_bytes(archive.read(names[0]))
            if (damaged := archive.testzip()) is not None:
                return Wrong(f"is a damaged wheel: {damaged} has another checksum", "Build or download it again.")
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError) as error:
        return Wrong(f"is a damaged archive ({error})", "Build or download it again.")
    version = metadata["Version"] or ""
    return version if metadata["Name"] == CORTOPS and re.fullmatch(r"[0-9][0-9A-Za-z.+!-]{0,31}", version) else wrong


def _source(kind: str, path: Path, beside: Path) -> str:
    """`file:dist/cortensord`: from the environment file's folder where it lies in there, else its name alone."""
    whole, root = path.resolve(), beside.resolve()
    told = whole.relative_to(root) if whole.is_relative_to(root) else Path(path.name)
    parts = [re.sub(r"[^A-Za-z0-9_@.+-]", "-", part) for part in told.parts]
    if any(not re.match(r"[A-Za-z0-9_]", part) for part in parts):
        parts = [re.sub(r"^[^A-Za-z0-9_]+", "", parts[-1]) or "program"]
    return f"{kind}:{'/'.join(parts)}"


async def keep(name: str, taken: Taken, cache: Path, report: Report, clock: Clock) -> Path:
    """A build's file into the cache, where an apply finds it by its hash. Raises as fetch_file."""
    assert taken.file is not None and taken.size is not None
    artifact = Artifact(name=name, source=str(taken.file), archive_sha256="", file="", sha256=taken.sha256, size=taken.size)
    return await fetch_file(artifact, _copy_of(taken.file), cache, report, clock)


async def bring(
    name: str, release: ProgramRelease, cache: Path, report: Report, clock: Clock, *, beside: Path, http: HttpClient | None = None
) -> Path:
    """The verified file of a declared build: from the cache, else from `file:PATH` beside the environment file, else from its url.

    Raises ArtifactUnavailable with the command that brings it, and what fetch_file raises.
    """
    again = f"cortops releases add {name} {_again(release)}"
    if release.size is None:
        kept = cache / "artifacts" / release.sha256
        if await asyncio.to_thread(lambda: kept.is_file() and sha256_of(kept) == release.sha256):
            return kept
        raise ArtifactUnavailable(f"of {name} only the hash is known, {release.sha256[:12]}", next=f"add its file: {again}")
    source = release.source or release.url or ""
    artifact = Artifact(name=name, source=source, archive_sha256="", file="", sha256=release.sha256, size=release.size)
    file = beside / source.removeprefix("file:") if source.startswith("file:") else None

    async def from_somewhere(to: Path, told: Callable[[int], None]) -> None:
        if file is not None and file.is_file():
            await _copy_of(file)(to, told)
        elif release.url and http is not None:
            await _download(release.url.replace("{sha256}", release.sha256), to, told, http, release.size or 0)
        else:
            why = f"{name} is not in the cache ({cached_path(artifact, cache)})" + (f", nor is {file}" if file else "")
            raise ArtifactUnavailable(why, where=source, next=f"add its file again: {again}")

    return await fetch_file(artifact, from_somewhere, cache, report, clock)


def _again(release: ProgramRelease) -> str:
    """What to name as the source of a build, so that its file comes into the cache."""
    source = release.source or ""
    if source.startswith("installer@"):
        return f"{source} --clone FOLDER"
    return source.removeprefix("file:") if source.startswith("file:") else f"./{release.program}"


def _copy_of(file: Path) -> Bring:
    """What writes a copy of a local file to a path."""

    def copy(to: Path) -> int:
        written = 0
        with _regular(file) as source, to.open("xb") as target:
            while chunk := source.read(CHUNK_BYTES):
                written += target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return written

    async def bring_copy(to: Path, told: Callable[[int], None]) -> None:
        told(await in_thread(copy, to))

    return bring_copy


async def _download(url: str, to: Path, told: Callable[[int], None], http: HttpClient, size: int) -> None:
    """A file by HTTP, no byte more than `size`. Redirects are not followed: only addresses of the environment file are called."""
    where = url.partition("?")[0]
    received = 0
    try:
        async with http.stream("GET", url, timeout_s=DOWNLOAD_MAX_S, idle_timeout_s=SILENCE_MAX_S) as reply:
            if reply.status != 200:
                moved = f", and leads to another address ({reply.header('location')[:200]})" if 300 <= reply.status < 400 else ""
                raise ArtifactUnavailable(f"{where} answers {reply.status}{moved}", where=where, next=_NEXT_URL)
            with to.open("xb") as target:
                async for chunk in reply.chunks():
                    received += len(chunk)
                    if received > size:
                        what = f"{where} sends more than the declared {size:,} bytes"
                        raise ArtifactUnavailable(what, where=where, next=_NEXT_URL)
                    target.write(chunk)
                    told(received)
                target.flush()
                os.fsync(target.fileno())
    except HttpFailure as error:
        raise ArtifactUnavailable(error.what, where=where) from error


_NEXT_URL = "Correct its url or its size in the environment file."
