"""A stand-in for `cortensord`, built here at test time.

The real program is closed and is not available to tests. This one is ours: a small static C program that keeps cortensord's argument
line, its env file, the log forms that the community's parsers read, and a miner's duty on a development chain (see cortensord.c). What is
not public about the real one (genuine logs, other roles, exit statuses, its version line) it does not claim.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cortops.words.errors import StepFailed

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
COMPILE_TIMEOUT_S = 60.0

Mode = Literal["good", "crashes", "pings", "dies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One release of it. name: makes its hash its own. mode: earns; ends at its start; only pings; earns two rounds and ends.

    log_form: how it writes a session's state, 3 on one line, 2 on two, 1 the legacy form (operators 2.3).
    """

    name: str
    mode: Mode = "good"
    log_form: Literal[1, 2, 3] = 3


OLD = Build(name="2026-03-02", log_form=2)
GOOD = Build(name="2026-04-22")
CRASHES = Build(name="2026-04-29-a", mode="crashes")
PINGS = Build(name="2026-04-29-b", mode="pings")
DIES = Build(name="2026-04-29-c", mode="dies")


def why_not() -> str:
    """Why it cannot be compiled here; "" when it can."""
    return "" if shutil.which("cc") else "the stand-in for cortensord is compiled: apt-get install gcc libc6-dev"


def compiled(build: Build, folder: Path) -> Path:
    """The program of a build in `folder`, static, so that it runs in any host and container; half a second. StepFailed when cc refuses."""
    program = folder / f"cortensord-{build.name}"
    if program.exists():
        return program
    words = [f'-DBUILD="{build.name}"', f'-DMODE="{build.mode}"', f"-DLOG_FORM={build.log_form}"]
    argv = ["cc", "-std=gnu11", "-O1", "-static", "-s", *words, "-o", str(program), *map(str, SOURCES)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise StepFailed(f"cc refused the stand-in for cortensord: {done.stderr[-400:]}", where="cc")
    return program


def sha256(program: Path) -> str:
    """Of the program's file."""
    return hashlib.sha256(program.read_bytes()).hexdigest()


def lfs_pointer(program: Path) -> str:
    """The text that a checkout without git-lfs has instead of the program: its oid is the program's sha256 (facts I)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(program)}\nsize {program.stat().st_size}\n"
