"""One booted host, seen from outside: its processes, its link, and programs run in it as root."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cortops.testing.hosts.scripts import INSIDE, KEEPER

RUN_TIMEOUT_S = 60.0
BOOT_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.02
DISK_SIZE = "2g"
CONSOLE_SHOWN_BYTES = 2000
_STARTED = 'until state=$(systemctl is-system-running --wait 2>/dev/null); [ -n "$state" ] && [ "$state" != offline ]; do sleep 0.02; done'
_FAILED = "systemctl --failed --no-legend --plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What keeps one host: its keeper's process, its folder, its control groups (that of version 2 first) and its link on the bridge."""

    name: str
    place: Path
    groups: tuple[Path, ...]
    link: str
    keeper: subprocess.Popen[bytes] = field(repr=False)

    def leader(self) -> int | None:
        """The host's PID 1 as a pid of this machine; None while it does not run."""
        for pid in self.processes():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if (inside := re.search(r"^NSpid:(?:\t\d+)+\t1$", status, re.MULTILINE)) and inside:
                return pid
        return None

    def processes(self) -> list[int]:
        """Every process of the host, systemd-nspawn's own included; the keeper is none of them."""
        found: list[int] = []
        for folder, _, _ in sorted(os.walk(self.groups[0] / "machine")):  # which goes on when a group ends meanwhile; rglob does not
            try:
                found += [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
            except (FileNotFoundError, OSError):  # a group that ended meanwhile
                continue
        return found

    def wait_started(self, before: int | None = None) -> None:
        """Until PID 1 (another than `before`) says that everything was started; AssertionError with the console, or with what failed."""
        leader = self._until(lambda: pid if (pid := self.leader()) != before else None, "boots")
        state = self.run(f"{_STARTED}; echo $state", leader=leader, timeout_s=BOOT_TIMEOUT_S).stdout.strip()
        assert state == "running", f"{self.name} is {state}: {self.run(_FAILED).stdout}{self.console()}"

    def run(
        self, script: str, *, data: bytes = b"", leader: int | None = None, timeout_s: float = RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """A sh script as root, in the host, without a network between; `data` is its stdin."""
        leader = leader or self.leader()
        assert leader, f"{self.name} does not run: {self.console()}"
        environ = {**os.environ, "GROUPS": " ".join(map(str, self.groups)), "LEADER": str(leader), "SCRIPT": script}
        done = subprocess.run(["sh", "-c", INSIDE], env=environ, input=data, capture_output=True, timeout=timeout_s, check=False)
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(script, done.returncode, out, err)

    def reboot(self) -> None:
        """Reboot from inside and wait until it has started again; files stay."""
        before = self.leader()
        self.run("systemctl reboot --no-block")
        self.wait_started(before)

    def kill(self) -> None:
        """A power cut: every process of the host ends at once; files stay. `start` boots it again."""
        (self.groups[0] / "machine" / "cgroup.kill").write_text("1")
        self._until(lambda: not self.processes(), "ends")

    def start(self) -> None:
        """Boot a host that is off, and wait until it has started."""
        assert self.keeper.stdin
        self.keeper.stdin.write(b"boot\n")
        self.keeper.stdin.flush()
        self.wait_started()

    def set_link(self, word: str) -> None:
        """`up` or `down`: what is sent while it is down is lost."""
        subprocess.run(["ip", "link", "set", self.link, word], check=True)

    def console(self) -> str:
        """The end of what systemd and systemd-nspawn said while booting."""
        path = self.place / "console"
        return path.read_bytes()[-CONSOLE_SHOWN_BYTES:].decode("utf-8", "replace") if path.exists() else ""

    def _until(self, look: Callable[[], object], what: str) -> int | None:
        end = time.monotonic() + BOOT_TIMEOUT_S
        while not (found := look()):
            assert self.keeper.poll() is None, f"the keeper of {self.name} ended: {self.console()}"
            assert time.monotonic() < end, f"after {BOOT_TIMEOUT_S:.0f} s still not: {self.name} {what}. {self.console()}"
            time.sleep(LOOK_EVERY_S)
        return found if isinstance(found, int) else None


def keep(environ: Mapping[str, str], place: Path) -> subprocess.Popen[bytes]:
    """Start the keeper of one host (scripts.KEEPER) in a mount and a network namespace of its own; it ends with its stdin."""
    (place / "disk").mkdir(parents=True)
    with (place / "console").open("wb") as console:
        return subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", KEEPER],
            env={**os.environ, **environ, "PLACE": str(place), "DISK_SIZE": DISK_SIZE},
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
