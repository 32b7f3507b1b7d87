"""What can be said about a model file before it is loaded."""

from __future__ import annotations

import struct
from pathlib import Path

from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable, PermissionMissing

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_HEAD = struct.Struct("<4sIQQ")  # magic, version, tensors, metadata entries: the GGUF specification's header


def fault(head: bytes) -> str:
    """What is wrong with a file that begins with `head` (24 bytes), in words that follow its name; empty when it looks like a model."""
    if not head:
        return "is empty"
    if not head.startswith(MAGIC):
        return "is not a GGUF model: it does not begin with the bytes GGUF"
    if len(head) < _HEAD.size:
        return "is a truncated GGUF model"
    _, version, tensors, _ = _HEAD.unpack(head[: _HEAD.size])
    if version not in VERSIONS:
        return f"is a GGUF model of version {version}, which this engine does not read"
    return "" if tensors else "is a GGUF file without a model in it"


def check(path: Path) -> None:
    """Raises ArtifactUnavailable (no such file), PermissionMissing or ArtifactDamaged. Weights cut off are found by loading only."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except PermissionError as error:
        raise PermissionMissing(f"the model file {path} may not be read by this user", where=str(path)) from error
    except OSError as error:
        raise ArtifactUnavailable(f"the model file {path} cannot be read: {error.strerror}", where=str(path)) from error
    if why := fault(head):
        raise ArtifactDamaged(f"the model file {path} {why}", where=str(path))


def failure_reason(output: str) -> str:
    """llama.cpp's error lines -> the words of the first that names the cause; empty when none does."""
    for line in output.splitlines():
        for mark in ("error loading model: ", "start: "):
            if mark in line:
                return line.partition(mark)[2].strip()[:300]
    return ""
