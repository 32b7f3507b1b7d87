"""A host for tests: this machine as a target with a root folder and a supervisord of its own, and proof at the end that nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cortops.deploy.target_driver import TargetDriver
from cortops.targets.local import LocalTarget
from cortops.targets.supervisord import Supervisord
from cortops.words.resource import Blob

# What an apply may leave for the next one; the lock, temporary names and half blobs are not among it.
_MAY_STAY = ("journal.jsonl", "manifests/*", "run/apply.flock", "run/lock.flock")
GONE_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Host:
    """A target `name` whose state lies under `root`; blobs are taken from `cache` by their sha256."""

    name: str
    root: Path
    cache: Path
    target: LocalTarget
    manager: Supervisord

    def driver(self) -> TargetDriver:
        return TargetDriver(self.target, self.manager, self.blob)

    def blob(self, blob: Blob) -> Path:
        return self.cache / blob.sha256

    def processes(self) -> dict[int, str]:
        """Pid -> command line of every process that works in the root or names it, our own excepted."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if line and (str(self.root) in line or str((entry / "cwd").readlink()).startswith(str(self.root))):
                        found[int(entry.name)] = line
        return found

    def files(self) -> list[str]:
        """What lies under the root, the state that stays for the next apply excepted."""
        paths = (path.relative_to(self.root) for path in self.root.rglob("*") if not path.is_dir())
        return sorted(str(path) for path in paths if not any(path.match(pattern) for pattern in _MAY_STAY))


@contextmanager
def host(name: str = "h1") -> Iterator[Host]:
    """A fresh host. On leaving, AssertionError names what the test left there, processes and files; all is removed either way."""
    with tempfile.TemporaryDirectory(prefix="cortops-host-", ignore_cleanup_errors=True) as folder:
        root, cache = Path(folder) / "r", Path(folder) / "cache"
        root.mkdir()
        cache.mkdir()
        made = Host(name, root, cache, LocalTarget(name), Supervisord(str(root), sys.executable))
        try:
            yield made
            processes, files = _left(made), made.files()
        finally:
            _end(made)
        shutil.rmtree(root)
    assert not processes, f"left running: {processes}"
    assert not files, f"left under the root: {files}"


def _left(made: Host) -> dict[int, str]:
    """The processes that do not end by themselves: one that was killed while it waits for the disk takes a moment."""
    until = time.monotonic() + GONE_TIMEOUT_S
    while (found := made.processes()) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    return found


def _end(made: Host) -> None:
    for _ in range(3):  # a supervisord may start another child between the look and the kill
        for pid in made.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
