"""Programs that are made to be bad, each a few system calls in an ELF file of some hundred bytes: they need nothing of the machine. Pure.

They run as cortensord does, with its argument line, and are told apart by their hash like any build.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cortops.words.errors import Refused

MACHINE = "x86_64"
DIES_AFTER_S = 4  # later than a switch watches it, sooner than its gate passes
LINGERS_S = 3
_LOADED_AT, _HEADERS_BYTES = 0x400000, 64 + 56
_WRITE, _SIGPROCMASK, _NANOSLEEP, _SIGTIMEDWAIT, _EXIT_GROUP = 1, 14, 35, 128, 231  # Source: Linux, arch/x86/entry/syscalls
_MOV_EAX, _MOVES = (
    b"\xb8",
    (b"\xbf", b"\xbe", b"\xba", b"\x41\xba"),
)  # to edi, esi, edx, r10d: the arguments of a call. Source: x86-64 psABI
_SYSCALL = b"\x0f\x05"
_SIGINT, _SIGTERM, _SET_BYTES = 2, 15, 8
_ET_EXEC, _EM_X86_64, _PT_LOAD, _READ_EXECUTE = 2, 62, 1, 5  # Source: System V ABI, ELF


@dataclass(frozen=True, slots=True)
class Say:
    """A line in its log."""

    text: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """It does nothing for so many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """It runs until it is asked to end, by SIGINT or SIGTERM, and holds those back."""


@dataclass(frozen=True, slots=True)
class Exit:
    """It ends."""

    status: int


Act = Say | Sleep | AwaitEnd | Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One made program. does: in words, after "it"."""

    name: str
    does: str
    acts: tuple[Act, ...]

    @property
    def data(self) -> bytes:
        """Its file."""
        return elf(self.acts)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


STEADY = Made(name="made-steady", does="runs until it is asked to end", acts=(Say("made-steady runs"), AwaitEnd(), Exit(0)))
CRASHES = Made(name="made-crashes", does="ends at its start", acts=(Say("made-crashes ends at once, as it was made to"), Exit(1)))
DIES = Made(
    name="made-dies",
    does=f"ends {DIES_AFTER_S} s after its start",
    acts=(Say("made-dies runs"), Sleep(DIES_AFTER_S), Say("made-dies ends, as it was made to"), Exit(1)),
)
LINGERS = Made(
    name="made-lingers",
    does=f"takes {LINGERS_S} s to end",
    acts=(Say("made-lingers runs"), AwaitEnd(), Say("made-lingers takes its time"), Sleep(LINGERS_S), Exit(0)),
)


def demand_machine(machine: str) -> None:
    """Refused where they cannot run. machine: as `uname -m` says."""
    if machine != MACHINE:
        raise Refused(
            f"the programs that a drill makes run on {MACHINE}, and this machine is {machine}",
            next="Run the drill on such a machine, or name a release: cortops drill deploy RELEASE",
        )


def elf(acts: Sequence[Act]) -> bytes:
    """A static program of these acts: headers, code, then what the code points at."""
    sizes = sum(len(_call(number, *([0] * len(arguments)))) for number, arguments, _ in map(_as_call, _whole(acts)))
    code, data = b"", b""
    for number, arguments, pointed in map(_as_call, _whole(acts)):
        at = _LOADED_AT + _HEADERS_BYTES + sizes + len(data)
        data += pointed
        code += _call(number, *(at if argument is None else argument for argument in arguments))
    body = code + data
    size = _HEADERS_BYTES + len(body)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, _ET_EXEC, _EM_X86_64, 1, _LOADED_AT + _HEADERS_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", _PT_LOAD, _READ_EXECUTE, 0, _LOADED_AT, _LOADED_AT, size, size, 0x1000)
    return header + segment + body


def _whole(acts: Sequence[Act]) -> tuple[Act | None, ...]:
    """With None before all others, which stands for holding signals back where some act awaits them."""
    return (None, *acts) if any(isinstance(act, AwaitEnd) for act in acts) else tuple(acts)


def _as_call(act: Act | None) -> tuple[int, tuple[int | None, ...], bytes]:
    """The system call of an act: its number, its arguments with None for the address of what it points at, and that."""
    ends = struct.pack("<Q", (1 << (_SIGINT - 1)) | (1 << (_SIGTERM - 1)))
    match act:
        case None:
            return _SIGPROCMASK, (0, None, 0, _SET_BYTES), ends
        case Say(text):
            line = f"{text}\n".encode()
            return _WRITE, (1, None, len(line)), line
        case Sleep(seconds):
            return _NANOSLEEP, (None, 0), struct.pack("<qq", seconds, 0)
        case AwaitEnd():
            return _SIGTIMEDWAIT, (None, 0, 0, _SET_BYTES), ends
        case Exit(status):
            return _EXIT_GROUP, (status,), b""


def _call(number: int, *arguments: int) -> bytes:
    moves = (move + struct.pack("<I", value) for move, value in zip(_MOVES, arguments, strict=False))
    return _MOV_EAX + struct.pack("<I", number) + b"".join(moves) + _SYSCALL
