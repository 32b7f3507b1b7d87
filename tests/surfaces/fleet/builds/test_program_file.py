"""A file's first bytes -> a program for a machine, a pointer, or what else it is and the cure."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.fleet.builds.program_file import (
    HEAD_BYTES,
    POINTER_MAX_BYTES,
    Archive,
    Pointer,
    Program,
    Wrong,
    pointer,
    pointer_refused,
    recognise,
)

SHA = "3f2a1b" + "0" * 58
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize 127004624\n".encode()


def elf(
    *,
    machine: int = 62,
    kind: int = 2,
    bits: int = 2,
    order: int = 1,
    entry: int = 0x401000,
    segments: tuple[tuple[int, int, int], ...] = ((1, 0, 4096),),
    body: int = 4096,
) -> bytes:
    """A program of so many bytes, with segments of (kind, offset, length)."""
    ident = bytes([0x7F, *b"ELF", bits, order, 1]) + bytes(9)
    head = struct.pack(
        f"{'<' if order == 1 else '>'}16sHHIQQQIHHHHHH", ident, kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 64, 0, 0
    )
    table = b"".join(struct.pack("<IIQQQQQQ", one, 5, offset, 0, 0, length, length, 4096) for one, offset, length in segments)
    return (head + table).ljust(body, b"\0")


def judged(data: bytes) -> object:
    return recognise(data[:HEAD_BYTES], len(data))


@pytest.mark.parametrize(
    ("data", "machine"),
    [
        (elf(), "x86_64"),
        (elf(machine=183), "aarch64"),
        (elf(kind=3, segments=((3, 64, 28), (1, 0, 4096))), "x86_64"),
        (elf(kind=3, entry=0x1000), "x86_64"),
        (elf() + b"what a packed Python program has behind its segments" * 10_000, "x86_64"),
    ],
    ids=["static", "aarch64", "pie", "static-pie", "with more behind it"],
)
def test_a_whole_program_is_told_with_its_machine(data: bytes, machine: str) -> None:
    assert judged(data) == Program(machine)


@pytest.mark.parametrize(
    ("data", "what", "cure"),
    [
        (b"", "is empty", "again"),
        (elf()[:-1], "is cut off: it has 4,095 of at least 4,096 bytes", "again"),
        (elf()[:70], "is cut off", "again"),
        (elf()[:20], "is cut off", "again"),
        (b"\x7fELF", "is cut off", "again"),
        (elf(segments=((1, 0, 127_004_624),)), "is cut off: it has 4,096 of at least 127,004,624 bytes", "again"),
        (elf(machine=40, bits=1), "is a program for 32-bit arm", "uname -m"),
        (elf(machine=62, bits=1), "is a program for 32-bit x86_64", "x86_64 or aarch64"),
        (elf(machine=183, order=2), "is a program for big-endian aarch64", "uname -m"),
        (elf(machine=243), "is a program for riscv64", "x86_64 or aarch64"),
        (elf(machine=9999), "is a program for machine type 9999", "uname -m"),
        (elf(kind=1), "is an object file, not a program", "dist/cortensord"),
        (elf(kind=4), "is a core dump, not a program", "dist/cortensord"),
        (elf(kind=3, entry=0), "is a library, not a program", "dist/cortensord"),
        (elf(segments=()), "is damaged: nothing of it would be loaded", "again"),
        (b"\xcf\xfa\xed\xfe" + bytes(100), "is a program for macOS", "not dist/cortensord-darwin"),
        (b"MZ" + bytes(100), "is a program for Windows", "not dist/cortensord.exe"),
        (b"\x1f\x8b\x08" + bytes(100), "is a gzip archive", "Unpack"),
        (b"\xfd7zXZ\0" + bytes(100), "is an xz archive", "Unpack"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "is a zstd archive", "Unpack"),
        (bytes(257) + b"ustar" + bytes(100), "is a tar archive", "Unpack"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page, not the program", "itself"),
        (b"#!/bin/sh\nexec cortensord\n", "is a script, not the program", "dist/cortensord"),
        (b"Not Found", "is text, not a program", "dist/cortensord"),
        (b"\x00\x01\x02\x03", "is no program that is known here: it begins with 00 01 02 03", "dist/cortensord"),
        (POINTER.replace(b"oid", b"iod"), "is a Git LFS pointer that is damaged", "git lfs pull"),
        (POINTER + b"more", "is a Git LFS pointer that is damaged", "git lfs pull"),
    ],
)
def test_what_is_no_program_is_told_by_name_with_the_cure(data: bytes, what: str, cure: str) -> None:
    wrong = judged(data)
    assert isinstance(wrong, Wrong)
    assert wrong.what.startswith(what)
    assert cure in wrong.cure


def test_a_pointer_tells_the_hash_and_size_of_its_program() -> None:
    assert judged(POINTER) == Pointer(SHA, 127_004_624)
    extended = POINTER.replace(b"oid", b"ext-0-thing sha256:aa\noid")
    assert pointer(extended, len(extended)) == Pointer(SHA, 127_004_624)
    refused = pointer_refused(Pointer(SHA, 1))
    assert refused.what == "is a Git LFS pointer to 3f2a1b000000, not the program"
    assert "git lfs pull" in refused.cure and "installer@COMMIT" in refused.cure


def test_a_pointer_is_small() -> None:
    padded = POINTER.replace(b"oid", b"x " + b"y" * POINTER_MAX_BYTES + b"\noid")
    assert pointer(padded, len(padded)) is None
    assert pointer(POINTER, len(POINTER) + 1) is None


def test_a_zip_is_looked_into_elsewhere() -> None:
    assert judged(b"PK\x03\x04" + bytes(30)) == Archive()


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x7fELF\x02\x01", b"version https://git-lfs", elf()[:64]]))
def test_any_bytes_are_something(data: bytes, begin: bytes) -> None:
    found = judged(begin + data)
    assert isinstance(found, Program | Pointer | Archive | Wrong)
    assert not isinstance(found, Wrong) or (found.what.isprintable() and found.cure)


@given(st.integers(0, 4095))
def test_no_cut_program_is_taken_for_a_whole_one(size: int) -> None:
    assert isinstance(judged(elf()[:size]), Wrong)
