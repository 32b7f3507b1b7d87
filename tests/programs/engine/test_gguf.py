"""What is said about a model file before and after it fails to load."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cortops.programs.engine.gguf import check, failure_reason, fault
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable


def head(version: int = 3, tensors: int = 272, magic: bytes = b"GGUF") -> bytes:
    return struct.pack("<4sIQQ", magic, version, tensors, 40)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (head(), ""),
        (head(version=2), ""),
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>...", "is not a GGUF model: it does not begin with the bytes GGUF"),
        (head(magic=b"GGML"), "is not a GGUF model: it does not begin with the bytes GGUF"),
        (head()[:12], "is a truncated GGUF model"),
        (head(version=9), "is a GGUF model of version 9, which this engine does not read"),
        (head(tensors=0), "is a GGUF file without a model in it"),
    ],
)
def test_fault(data: bytes, why: str) -> None:
    assert fault(data) == why


def test_a_missing_or_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnavailable, match=r"none\.gguf cannot be read: No such file"):
        check(tmp_path / "none.gguf")
    with pytest.raises(ArtifactUnavailable, match="Is a directory"):
        check(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"junk")
    with pytest.raises(ArtifactDamaged, match="is not a GGUF model"):
        check(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").write_bytes(head() + b"...")
    check(tmp_path / "m.gguf")


LOADING = """0.00.027.175 E llama_model_load: error loading model: tensor 'blk.16' data is not within the file bounds
0.00.027.206 E llama_model_load_from_file_impl: failed to load model
"""
BINDING = "0.00.448.358 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18700\n"


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (LOADING, "tensor 'blk.16' data is not within the file bounds"),
        (BINDING, "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18700"),
        ("", ""),
        ("something else\n", ""),
    ],
)
def test_failure_reason(output: str, why: str) -> None:
    assert failure_reason(output) == why
