"""The file of a program that a node runs: from the cache, else read back from the host, where adopting has kept a copy of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import tempfile
from contextlib import aclosing
from pathlib import Path

from cortops.deploy.archive import sha256_of
from cortops.deploy.host_state import HostState
from cortops.surfaces.fleet.adopted import blob_path
from cortops.targets.ask import once
from cortops.targets.quoting import quote
from cortops.targets.target import Exited, Line
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable

READ_TIMEOUT_S = 900.0
LINE_CHARS = 32_768  # of base64 in a line; a target cuts lines at 64 KiB
SIZE_MAX_BYTES = 4 << 30


async def at_hand(sha256: str, cache: Path) -> Path | None:
    """The verified file of a program in the cache; None where it is not there, or damaged."""
    path = cache / "artifacts" / sha256
    good = await asyncio.to_thread(lambda: path.is_file() and sha256_of(path) == sha256)
    return path if good else None


async def read_back(sha256: str, state: HostState, cache: Path) -> Path:
    """The program from the copy that a host keeps of it, into the cache. Nothing is written on the host.

    Raises ArtifactUnavailable where the host has none, or is silent; ArtifactDamaged when what came is not that program.
    """
    path = blob_path(state.environment, sha256)
    script = f'[ -r {quote(path)} ] || {{ echo "there is no {path}" >&2; exit 1; }}; base64 -w {LINE_CHARS} <{quote(path)}'
    folder = cache / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".read-back-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            why, digest, size = "it gave no ending", hashlib.sha256(), 0
            async with aclosing(state.target.run(script, once(b""), READ_TIMEOUT_S)) as events:
                async for event in events:
                    match event:
                        case Line(stream="out", text=text):
                            chunk = base64.b64decode(text, validate=True)
                            size += len(chunk)
                            if size > SIZE_MAX_BYTES:
                                raise ArtifactDamaged(f"{path} on {state.host} is longer than a program can be", where=state.host)
                            digest.update(chunk)
                            file.write(chunk)
                        case Line(text=text):
                            why = text
                        case Exited(status=0):
                            why = ""
                        case ending:
                            why = why if isinstance(ending, Exited) else str(ending)
        if why:
            raise _unavailable(sha256, state.host, why)
        if digest.hexdigest() != sha256:
            raise ArtifactDamaged(f"{path} on {state.host} has the hash {digest.hexdigest()[:12]}, not {sha256[:12]}", where=state.host)
        Path(name).replace(folder / sha256)
    except ValueError as error:
        raise ArtifactDamaged(f"what {state.host} sent of {path} is no base64: {error}", where=state.host) from error
    finally:
        Path(name).unlink(missing_ok=True)
    return folder / sha256


def _unavailable(sha256: str, host: str, why: str) -> ArtifactUnavailable:
    return ArtifactUnavailable(
        f"the program {sha256[:6]} is not in the cache, and {host} did not send its copy: {why}",
        where=host,
        next="Add its file: cortops releases add NAME FILE",
    )
