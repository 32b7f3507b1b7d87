"""The leash: becomes the program, and the program ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LEASH = [sys.executable, "-m", "cortops.programs.leash"]


def leashed(*line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LEASH, *line], capture_output=True, text=True, timeout=10, check=False)


def test_it_becomes_the_program() -> None:
    done = leashed("sh", "-c", 'echo "$@"; exit 7', "sh", "a b", "c")
    assert (done.returncode, done.stdout) == (7, "a b c\n")


@pytest.mark.parametrize(("line", "status"), [((), 2), (("/no/such/program",), 127), (("/dev/null",), 126)])
def test_what_cannot_be_run_is_said(line: tuple[str, ...], status: int) -> None:
    done = leashed(*line)
    assert done.returncode == status and len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_the_program_ends_with_its_parent() -> None:
    script = "\"$@\" sh -c 'echo $$; exec sleep 60' & wait"
    with subprocess.Popen(["sh", "-c", script, "sh", *LEASH], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert running(child)
        os.kill(parent.pid, signal.SIGKILL)
        ended(child)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_children_of_a_killed_predecessor_are_ended_before_the_next_begins(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ >{pid_file}; sleep 60 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, process_group=0) as master:
        assert master.stdout is not None
        orphan = int(master.stdout.readline())
        leashed("--pid-file", str(pid_file), "true")
        assert running(orphan), "while the master lives its children are its own"
        master.kill()
        master.wait()
        assert leashed("--pid-file", str(pid_file), "echo", "next").stdout == "next\n"
        ended(orphan)


@pytest.mark.parametrize("content", ["", "no number", "0", "1", "-5", "99999999999999999999"])
def test_what_is_no_pid_ends_nobody(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(content)
    assert leashed("--pid-file", str(pid_file), "echo", "next").stdout == "next\n"
    assert leashed("--pid-file", str(tmp_path / "none"), "echo", "next").stdout == "next\n"


def ended(pid: int) -> None:
    """A signal takes a moment."""
    deadline = time.monotonic() + 5
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.002)
    assert not running(pid)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
