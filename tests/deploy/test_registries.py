from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cortops.deploy.registries import Finished, Source, run_child, why_not
from cortops.words.errors import BadInput


def gone(pid: int) -> bool:
    """Whether the process ends within five seconds; a zombie that nobody collects counts as ended."""
    for _ in range(500):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.01)
                continue
        return True
    return False


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            "ERROR: Could not find a version\nERROR: No matching distribution found for x==9",
            "ERROR: No matching distribution found for x==9 (exit",
        ),
        (
            "npm error code E404\nnpm error 404 Not Found - GET https://me:pw@registry.example/x - Not found",
            "npm error 404 Not Found - GET its address - Not",
        ),
        ("npm error code ENOSPC", "no space left on the disk"),
        ("OSError: [Errno 28] No space left on device", "no space left on the disk"),
        ("python: No module named pip", "this Python has no pip"),
        ("npm error code ENOTFOUND", "no network"),
        ("  ProxyError('Cannot connect to proxy.')", "no network"),
        ("", "it said nothing (exit status 3)"),
    ],
)
def test_a_clients_last_words_become_a_reason(output: str, why: str) -> None:
    told = why_not(Finished(3, output))
    assert told.startswith(why)
    assert "pw" not in told


@pytest.mark.parametrize(
    "text", ["pip:--index-url=x==1", "pip:thing", "pip:thing>=1", "npm:-g@1", "npm:thing", "npm:a/b@1", "git:x@1", "", "pip:a==1 b==2"]
)
def test_a_source_can_never_become_an_option(text: str) -> None:
    with pytest.raises(BadInput, match=r"pip:NAME==VERSION or npm:NAME@VERSION"):
        Source.parse(text)


def test_run_child_gives_status_output_and_its_env() -> None:
    finished = asyncio.run(run_child(["sh", "-c", 'echo "$WORD"; echo oops >&2; exit 7'], {"WORD": "hello"}))
    assert finished == Finished(7, "hello\noops\n")


def test_run_child_of_a_missing_program_is_a_status() -> None:
    assert asyncio.run(run_child(["/nowhere/program"], {})).status != 0


def test_run_child_ends_its_children_when_cancelled(tmp_path: Path) -> None:
    async def cut_short() -> None:
        async with asyncio.timeout(5):
            task = asyncio.ensure_future(
                run_child(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"], {})
            )
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cut_short())
    assert gone(int((tmp_path / "pid").read_text()))


FETCHER = """
    import asyncio, sys
    from pathlib import Path
    from cortops.deploy.fetch import Artifact, fetch
    from cortops.deploy.registries import run_child
    from cortops.words.clock import SystemClock
    async def slow(argv, env):
        return await run_child(["sh", "-c", 'echo half > "$TMPDIR/half"; echo $$ > "$TMPDIR/pid"; exec sleep 60'], env)
    made = Artifact(name="thing", source="pip:thing==1.0", archive_sha256="0" * 64, file="f", sha256=sys.argv[2], size=1)
    asyncio.run(fetch(made, Path(sys.argv[1]), lambda _: None, SystemClock(), run=slow))
"""


@pytest.mark.real
def test_a_fetch_killed_half_way_leaves_only_partial_files_a_free_lock_and_no_child(tmp_path: Path) -> None:
    sha256 = "1" * 64
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(FETCHER), str(tmp_path), sha256]) as fetcher:
        pid_file = tmp_path / "partial" / sha256 / "download" / "pid"
        for _ in range(1000):
            if pid_file.exists() and pid_file.read_text().strip():
                break
            time.sleep(0.01)
        pid = int(pid_file.read_text())
        fetcher.send_signal(signal.SIGKILL)
    assert gone(pid)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [f"locks/{sha256}", f"partial/{sha256}/download/half", f"partial/{sha256}/download/pid"]
    with (tmp_path / "locks" / sha256).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
