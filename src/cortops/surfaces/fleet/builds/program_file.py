"""What a file is that somebody calls cortensord: a program, a pointer to one, or what else, and how to come to the right one. Pure.

ELF: System V ABI, chapter 4. Pointer: git-lfs specification. Traps: operators 2.6, facts I.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024  # so much of a file's begin is looked at
POINTER_MAX_BYTES = 1024  # as the git-lfs specification has it
SHA_SHOWN = 12

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[a-z0-9.-]+ [^\n]*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?"
)
_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "arm", 243: "riscv64", 21: "ppc64le", 22: "s390x", 258: "loongarch64"}
_FITS = ("x86_64", "aarch64")
_KINDS = {1: "an object file", 4: "a core dump"}
_EXEC, _DYN, _LITTLE, _64_BIT = 2, 3, 1, 2
_LOAD, _INTERP = 1, 3
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")

_MAGIC: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
        "is a program for macOS",
        "Nodes run on Linux: take dist/cortensord, not dist/cortensord-darwin.",
    ),
    ((b"MZ",), "is a program for Windows", "Nodes run on Linux: take dist/cortensord, not dist/cortensord.exe."),
    ((b"\x1f\x8b",), "is a gzip archive", "Unpack it, then name the program in it."),
    ((b"\xfd7zXZ\0",), "is an xz archive", "Unpack it, then name the program in it."),
    ((b"\x28\xb5\x2f\xfd",), "is a zstd archive", "Unpack it, then name the program in it."),
    ((b"BZh",), "is a bzip2 archive", "Unpack it, then name the program in it."),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program for a kind of machine, as `uname -m` names it."""

    machine: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a checkout without git-lfs has in place of a program: the program's sha256 and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive: our wheel is one."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something else: what it is, as the rest of a sentence, and the cure."""

    what: str
    cure: str


def recognise(head: bytes, size: int) -> Program | Pointer | Archive | Wrong:
    """`head`: the first HEAD_BYTES of a file of `size` bytes, or all of it."""
    if size == 0:
        return Wrong("is empty", "Download or copy it again.")
    if head.startswith(b"\x7fELF"):
        return _elf(head, size)
    if head.startswith(b"version https://git-lfs"):
        return pointer(head, size) or Wrong("is a Git LFS pointer that is damaged", "In the installer's folder: git lfs pull")
    if head.startswith(b"PK\x03\x04"):
        return Archive()
    for begins, what, cure in _MAGIC:
        if head.startswith(begins):
            return Wrong(what, cure)
    if head[257:262] == b"ustar":
        return Wrong("is a tar archive", "Unpack it, then name the program in it.")
    return _text(head) or Wrong(f"is no program that is known here: it begins with {head[:4].hex(' ')}", _NAME_IT)


def pointer(content: bytes, size: int) -> Pointer | None:
    """The pointer that a whole small file is; None where it is none."""
    found = _POINTER.fullmatch(content) if size == len(content) <= POINTER_MAX_BYTES else None
    return Pointer(found[1].decode(), int(found[2])) if found else None


def pointer_refused(found: Pointer) -> Wrong:
    """Why a pointer is not taken for the program, and the two ways on."""
    return Wrong(
        f"is a Git LFS pointer to {found.sha256[:SHA_SHOWN]}, not the program",
        "In the installer's folder: git lfs pull, then the same command. "
        "Or take the hash alone: cortops releases add NAME installer@COMMIT --clone FOLDER",
    )


_NAME_IT = "Name the program itself, in the installer dist/cortensord."
_AGAIN = "Download or copy it again."


def _text(head: bytes) -> Wrong | None:
    begin = head.lstrip()[:200].lower()
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        return Wrong("is a web page, not the program", "Download the file itself, not the page about it.")
    if head.startswith(b"#!"):
        return Wrong("is a script, not the program", _NAME_IT)
    if b"\0" not in head and head.isascii():
        return Wrong("is text, not a program", _NAME_IT)
    return None


def _elf(head: bytes, size: int) -> Program | Wrong:
    """A whole 64-bit little-endian executable, or what is wrong with it."""
    if len(head) < 20:
        return _cut(size, _EHDR.size)
    kind, machine = struct.unpack_from(">HH" if head[5] == 2 else "<HH", head, 16)
    name = _MACHINES.get(machine, f"machine type {machine}")
    if head[4] != _64_BIT or head[5] != _LITTLE or name not in _FITS:
        odd = ("" if head[4] == _64_BIT else "32-bit ") + ("" if head[5] == _LITTLE else "big-endian ")
        return Wrong(f"is a program for {odd}{name}", f"Take a build for {' or '.join(_FITS)}: `uname -m` on the host tells which.")
    if len(head) < _EHDR.size:
        return _cut(size, _EHDR.size)
    _, _, _, _, entry, programs_at, sections_at, _, _, program_size, programs, section_size, sections, _ = _EHDR.unpack_from(head)
    if kind not in (_EXEC, _DYN):
        return Wrong(f"is {_KINDS.get(kind, 'no executable')}, not a program", _NAME_IT)
    needs = max(programs_at + programs * program_size, sections_at + sections * section_size)
    segments = [*_segments(head, programs_at, program_size, programs)]
    needs = max([needs, *(offset + length for _, offset, length in segments)])
    if needs > size:
        return _cut(size, needs)
    if kind == _DYN and entry == 0 and not any(segment == _INTERP for segment, _, _ in segments):
        return Wrong("is a library, not a program", _NAME_IT)
    if not any(segment == _LOAD for segment, _, _ in segments):
        return Wrong("is damaged: nothing of it would be loaded", _AGAIN)
    return Program(name)


def _segments(head: bytes, at: int, size: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Kind, offset and length in the file of every segment whose header is in `head`."""
    for index in range(count if size == _PHDR.size else 0):
        place = at + index * size
        if place + size > len(head):
            return
        kind, _, offset, _, _, length, _, _ = _PHDR.unpack_from(head, place)
        yield kind, offset, length


def _cut(size: int, needs: int) -> Wrong:
    return Wrong(f"is cut off: it has {size:,} of at least {needs:,} bytes", _AGAIN)
