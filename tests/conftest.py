"""What every test shares: nothing of a run may be left behind.

Each process started by a test inherits a mark in its environment. When the run ends none with the mark may live, no socket of ours may
listen and, in CI, where nobody else edits the tree, no file of the project may have changed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cortops.testing.hosts import Fleet
    from cortops.testing.local import LocalEnvironment
    from cortops.testing.postgresql import Postgresql

ROOT = Path(__file__).resolve().parents[1]
MARK = "CORTOPS_TEST_RUN"
RECURSION_LIMIT = sys.getrecursionlimit()
GRACE_S = 10.0  # a program may take that long to stop gracefully


def pytest_sessionstart() -> None:
    """A shell makes what it starts in its background deaf to Ctrl-C; the programs of the tests would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup() -> None:
    """py_ecc, which comes with eth_account and x402's EVM part, raises the limit of the process: nested JSON would overflow the stack."""
    if sys.getrecursionlimit() != RECURSION_LIMIT:
        sys.setrecursionlimit(RECURSION_LIMIT)


# Folders and files whose tests share what they bring up, which two cores bear once only: hosts, and an environment.
STREAMS = {
    "tests/hosts/": "hosts",
    "tests/targets/test_systemd_hosts.py": "hosts",
    "tests/targets/test_ssh_hosts.py": "hosts",
    "tests/e2e/": "environment",
    "tests/house/test_coverage_page.py": "environment",
}


def _stream(nodeid: str) -> str:
    """Of a test: what one process of a parallel run takes as a whole, in its order; its file, where it shares nothing."""
    return next((name for place, name in STREAMS.items() if nodeid.startswith(place)), nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By stream. The scheduler that goes by marks does not see them in this version of pytest."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler: Any = LoadScopeScheduling(config, log)
    scheduler._split_scope = _stream
    return scheduler


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is shared comes first, since it takes the longest."""
    items.sort(key=lambda item: _stream(item.nodeid) not in STREAMS.values())


def _left(run: str, scratch: Path) -> dict[int, str]:
    """pid -> command line of every other live process that carries the mark, or names our scratch folder (its environment was replaced)."""
    mark, place = f"{MARK}={run}".encode(), str(scratch).encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to read
            command = (folder / "cmdline").read_bytes()
            if int(folder.name) != os.getpid() and (place in command or mark in (folder / "environ").read_bytes().split(b"\0")):
                found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def _listening() -> list[str]:
    """`address:port` (as the kernel writes it) of every TCP socket on which this process listens."""
    inodes = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(entry.readlink()))
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]]
    return [fields[1] for fields in lines if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes]


def _tree() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set up first, torn down last: fails the run when it left a process, a listening socket or a changed file."""
    run = uuid.uuid4().hex
    os.environ[MARK] = run
    before = _tree() if os.environ.get("CI") else ""
    yield
    until = time.monotonic() + GRACE_S
    while (left := _left(run, tmp_path_factory.getbasetemp())) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left, f"processes left behind: {left}"
    assert not _listening(), f"sockets left listening: {_listening()}"
    if os.environ.get("CI"):
        assert _tree() == before, "the run changed files of the project"


@pytest.fixture(scope="session")
def local_environment(nothing_left_behind: None) -> Iterator[LocalEnvironment]:
    """The example environment, up for the whole run and with one request answered: for tests that only ask of it."""
    from cortops.testing.local import bring_up, place

    with place() as where:
        yield bring_up(where)


@pytest.fixture(scope="session")
def test_hosts(nothing_left_behind: None) -> Iterator[Fleet]:
    """Three bare Debian hosts, h1 to h3, for the whole run: real systemd and sshd. A test leaves them as it found them."""
    from cortops.testing.hosts import here_for_ci, hosts, why_not

    if why := why_not():
        assert not here_for_ci(), why
        pytest.skip(why)
    with hosts(3) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def postgresql(nothing_left_behind: None) -> Iterator[Postgresql]:
    """A real PostgreSQL for the whole run: a test makes databases of its own in it. Who stops it, starts it again."""
    from cortops.testing import postgresql as servers

    if servers.MISSING:
        pytest.skip(servers.MISSING)
    with servers.postgresql() as server:
        yield server
