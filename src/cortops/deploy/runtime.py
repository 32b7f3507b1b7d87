"""Our own programs with the libraries they need, as one archive for hosts that have nothing but Python: packed offline from what runs here.

The archive is a virtual environment without its interpreter: `pyvenv.cfg`, `lib/pythonX.Y/site-packages/`. The host's own Python is linked
into it when it is unpacked (deploy.kinds.tree), and must have the minor version and the processor that the libraries here were built for.
The same versions give the same bytes: sorted, without times, owners, caches, or anything of the machine that packed it. Packed by another
build of zlib the bytes may differ; then the archive is sent once more.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cortops
from cortops.deploy.archive import sha256_of
from cortops.words.errors import ArtifactUnavailable

RELEASE = "runtime"  # what a Blob of it names as its release
OWN = "cortops"

_FORMAT = 1  # part of the key: another way of packing is another archive
_LEVEL = 6
_OF_THIS_INSTALL = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})  # of a .dist-info folder
_NOT_TO_RUN = frozenset({"__pycache__", "tests", "SelfTest"})  # folders; `testing` of ours beside
_SOURCES = (".pyc", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h")  # what runs from compiled files needs none of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One archive: its hash, its size in bytes, where it lies here, and what a host must have to run it."""

    sha256: str
    size: int
    path: Path
    python: str = "3.11"
    machine: str = "x86_64"


def runtime(cache: Path, extras: frozenset[str] = frozenset()) -> Runtime:
    """The archive of what runs here, at cache/artifacts/SHA256 as any other; packed in seconds when anything changed, else known at once.

    extras: of cortops' own, `local` for example. ArtifactUnavailable when a library is not installed here, or the cache cannot be written.
    """
    known = cache / "runtimes" / f"{_key(extras)}.json"
    if (found := _known(known, cache)) is not None:
        return found
    try:
        return _packed(cache, known, extras)
    except OSError as error:
        why = error.strerror or str(error)
        raise ArtifactUnavailable(f"our own programs cannot be packed: {why}", where=str(error.filename or cache)) from None


def _known(known: Path, cache: Path) -> Runtime | None:
    try:
        said = json.loads(known.read_text("utf-8"))
        found = _runtime(cache, str(said["sha256"]), int(said["size"]))
        return found if found.path.stat().st_size == found.size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _packed(cache: Path, known: Path, extras: frozenset[str]) -> Runtime:
    """Pack, name the archive by its hash, and note it under its key; each by a rename, so that a killed run leaves nothing half."""
    for folder in (cache / "artifacts", cache / "partial", known.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache / "partial", prefix="runtime-") as work:
        archive = Path(work) / "archive"
        with archive.open("xb") as file:
            pack(_members(extras), file)
            file.flush()
            os.fsync(file.fileno())
        made = _runtime(cache, sha256_of(archive), archive.stat().st_size)
        archive.replace(made.path)
        note = Path(work) / "note"
        note.write_text(json.dumps({"sha256": made.sha256, "size": made.size}), "utf-8")
        note.replace(known)
    return made


def _runtime(cache: Path, sha256: str, size: int) -> Runtime:
    return Runtime(sha256=sha256, size=size, path=cache / "artifacts" / sha256, python=_python(), machine=platform.machine())


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def pack(members: Mapping[str, Path | bytes], file: io.BufferedIOBase) -> None:
    """Name -> file or bytes, as one .tar.gz: in the order of names, owned by root, without times."""
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in sorted(members.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755 if isinstance(content, Path) and _runs(content) else 0o644
            tar.addfile(info, io.BytesIO(data))


def _runs(path: Path) -> bool:
    return ".so" in path.suffixes or bool(path.stat().st_mode & 0o111)


def _members(extras: frozenset[str]) -> dict[str, Path | bytes]:
    """Path in the archive -> what lies there."""
    packages = f"lib/python{_python()}/site-packages"
    found: dict[str, Path | bytes] = {"pyvenv.cfg": b"home = /usr/bin\ninclude-system-site-packages = false\n"}
    for distribution in _needed(extras):
        files = dict(_own_files()) if distribution.name.lower() == OWN else {}
        files |= dict(_files_of(distribution))
        record = "".join(f"{name},,\n" for name in sorted(files))
        info = next((name.partition("/")[0] for name in files if name.endswith(".dist-info/METADATA")), "")
        found |= {f"{packages}/{name}": path for name, path in files.items()}
        if info:
            found[f"{packages}/{info}/RECORD"] = record.encode()
    return found


def _needed(extras: frozenset[str]) -> list[importlib.metadata.Distribution]:
    """cortops and all that it requires here, each once. ArtifactUnavailable for one that is not installed."""
    from packaging.requirements import Requirement  # only to pack: most plans know the archive already
    from packaging.utils import canonicalize_name

    done: dict[str, frozenset[str]] = {}
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = [(OWN, extras)]
    while todo:
        name, wanted = todo.pop()
        if wanted <= done.get(name, frozenset()) and name in done:
            continue
        done[name] = wanted | done.get(name, frozenset())
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            why = f"{name} is required and not installed here"
            raise ArtifactUnavailable(
                f"our own programs cannot be packed: {why}", next=f"Install it beside cortops: pip install {name}"
            ) from None
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *done[name])):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return [found[name] for name in sorted(found)]


def _files_of(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Name below site-packages -> where it lies here; without what belongs to this installation or is not needed to run."""
    for file in distribution.files or ():
        parts = file.parts
        if ".." in parts or file.is_absolute() or _NOT_TO_RUN & set(parts) or file.suffix in (*_SOURCES, ".pth"):
            continue
        if parts[0].endswith(".dist-info") and parts[-1] in _OF_THIS_INSTALL:
            continue
        path = Path(str(file.locate()))
        if path.is_file() and parts[0] != OWN:
            yield file.as_posix(), path


def _own_files() -> Iterator[tuple[str, Path]]:
    """Our package as it runs, from an editable checkout too, with its examples, which such a checkout has beside it."""
    package = Path(cortops.__file__).parent
    yield from _below(package, OWN, leave=_NOT_TO_RUN | {"testing"})
    beside = package.parent.parent / "examples"
    if not (package / "examples").exists() and beside.is_dir():
        yield from _below(beside, f"{OWN}/examples", leave=_NOT_TO_RUN)


def _below(folder: Path, name: str, *, leave: frozenset[str]) -> Iterator[tuple[str, Path]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in leave:
                yield from _below(Path(entry.path), f"{name}/{entry.name}", leave=leave)
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            yield f"{name}/{entry.name}", Path(entry.path)


def _key(extras: frozenset[str]) -> str:
    """Changes with anything that could change the archive, and costs milliseconds: versions by folder names, our files by size and time."""
    digest = hashlib.sha256(json.dumps([_FORMAT, cortops.__version__, sys.version, platform.machine(), sorted(extras)]).encode())
    for folder in map(Path, sys.path):
        if folder.is_dir():
            digest.update("\n".join(sorted(path.name for path in folder.glob("*.dist-info"))).encode())
    for name, path in sorted(_own_files()):
        found = path.stat()
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
