"""An operator at a keyboard: cortops installed and run as a program of its own, from a home with an ssh config and nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.test_discover import Run

from cortops.testing.cortensord import Build, compiled, sha256
from cortops.testing.hosts import Fleet, SystemHost

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 300
INSTALL_WITHIN_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """python: of the installation. home: where files are; every run begins there. machine: words that make it look like another one."""

    python: str
    home: Path
    fleet: Fleet
    machine: tuple[str, ...] = ()

    def __call__(self, verb: str, *words: str) -> Run:
        """One command to its end."""
        begun = time.monotonic()
        done = subprocess.run(
            self._argv(verb, words), cwd=self.home, env=self._environ, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    @contextmanager
    def running(self, verb: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command that the test ends; killed when the block is left before it has ended."""
        process = subprocess.Popen(
            self._argv(verb, words), cwd=self.home, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def knows(self, name: str, build: Build, programs: Path, file: str) -> str:
        """A build of the stand-in becomes a release of the file; its sha256."""
        program = compiled(build, programs)
        added = self("releases", "add", name, str(program), "--write", file)
        assert added.status == 0, added.err
        return sha256(program)

    def _argv(self, verb: str, words: Sequence[str]) -> list[str]:
        return [*self.machine, self.python, "-m", "cortops.cli", verb, *words]

    @property
    def _environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "CORTOPS_DATA": str(self.home / "data"),
            "CORTOPS_HOME": str(self.home / "cache"),
        }


def operator(fleet: Fleet, home: Path, python: str = sys.executable) -> Operator:
    """Somebody who reaches the hosts of a fleet by their names."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "config").write_text(fleet.ssh_config)
    shutil.copy(fleet.known_hosts, folder / "known_hosts")
    return Operator(python=python, home=home, fleet=fleet)


def stop_at_once(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ask a run to end until it has, as somebody does who presses Ctrl-C again and again; what it said."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=0.5)
    raise AssertionError(f"it did not end within {WITHIN_S} s")


def installed(folder: Path) -> str:
    """The built wheel in a venv of its own; its python, or "" where there is no package index."""
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    steps = (
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")],
    )
    for argv in steps:
        if subprocess.run(argv, capture_output=True, timeout=INSTALL_WITHIN_S, check=False, env=dict(os.environ)).returncode != 0:
            return ""
    (wheel,) = folder.glob("cortops-*.whl")
    done = subprocess.run(
        [*pip, "--python", str(python), "install", str(wheel)], capture_output=True, timeout=INSTALL_WITHIN_S, check=False
    )
    return str(python) if done.returncode == 0 else ""


def running(host: SystemHost) -> frozenset[str]:
    """`PID SHA256` of every cortensord on a host."""
    script = "for pid in $(pgrep --full 'cortensord[^ ]* [^ ]*env[^ ]* (miner|tool)'); do echo $pid $(sha256sum </proc/$pid/exe); done"
    return frozenset(" ".join(line.split()[:2]) for line in host.do(script).splitlines() if len(line.split()) > 1)


def everywhere(fleet: Fleet) -> dict[str, frozenset[str]]:
    """The same of all hosts."""
    return {host.name: running(host) for host in fleet}
