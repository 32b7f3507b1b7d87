"""A test host as tests use it: its name, how SSH reaches it, and what can happen to it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cortops.testing.hosts.machine import RUN_TIMEOUT_S, Machine
from cortops.testing.hosts.recipe import PASSWORDLESS

_FILLER = "/var/tmp/filler"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHost:
    """Debian 12 with real systemd and sshd, at an address that only this machine reaches; it reaches nothing but this machine.

    key: the private key file of its users (`me`: sudo without a password; `asks`: sudo with one; `plain`: no sudo; root).
    known_hosts: its line for such a file, for its name and its address. config: an ssh_config file that names every host of the fleet.
    """

    name: str
    address: str
    key: Path
    known_hosts: str
    config: Path
    machine: Machine = field(repr=False)

    def run(self, script: str, *, data: bytes = b"", timeout_s: float = RUN_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """A sh script as root from outside, without SSH; `data` is its stdin. Whatever its exit status is."""
        return self.machine.run(script, data=data, timeout_s=timeout_s)

    def do(self, script: str, *, data: bytes = b"", timeout_s: float = RUN_TIMEOUT_S) -> str:
        """The same, and what it printed; AssertionError when it fails."""
        done = self.run(script, data=data, timeout_s=timeout_s)
        assert done.returncode == 0, f"{self.name}: exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def put(self, path: str, data: bytes, *, mode: int = 0o644, owner: str = "root") -> None:
        """Write a whole file, its folders made by root."""
        name = shlex.quote(path)
        self.do(f'mkdir -p "$(dirname {name})" && cat > {name} && chown {owner}: {name} && chmod {mode:o} {name}', data=data)

    def ssh(self, script: str, *, user: str = PASSWORDLESS, timeout_s: float = RUN_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """A command line through the machine's own ssh and the host's sshd."""
        argv = ["ssh", "-F", str(self.config), "-o", f"User={user}", self.name, script]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)

    def down(self) -> None:
        """Cut its link: packets are lost, connections hang."""
        self.machine.set_link("down")

    def up(self) -> None:
        """Its link again."""
        self.machine.set_link("up")

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Its link is down as long as the context lasts."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def reboot(self) -> None:
        """Reboot and wait until all is started."""
        self.machine.reboot()

    def kill(self) -> None:
        """A power cut; `start` brings it back with its files."""
        self.machine.kill()

    def start(self) -> None:
        """Boot it after a kill or a poweroff."""
        self.machine.start()

    def fill_disk(self) -> None:
        """No byte is left on its disk, for root neither, until `free_disk`."""
        self.run(f"cat /dev/zero > {_FILLER}")

    def free_disk(self) -> None:
        """Take back what `fill_disk` did."""
        self.do(f"rm -f {_FILLER}")

    def skew_clock(self, seconds: int) -> None:
        """`date`, and `stat` of when a file was written, tell the time `seconds` later (or earlier); 0 takes it back.

        The kernel's clock is the machine's and cannot differ: processes and their units have started when they did.
        """
        date = f'exec /usr/bin/date -d "@$(($(/usr/bin/date +%s) + {seconds}))" "$@"\n'
        stat = f'case " $* " in *" %Y "*) at=$(/usr/bin/stat "$@") && echo $((at + {seconds})) ;; *) exec /usr/bin/stat "$@" ;; esac\n'
        for name, script in (("date", date), ("stat", stat)):
            if seconds:
                self.put(f"/usr/local/bin/{name}", f"#!/bin/sh\n{script}".encode(), mode=0o755)
            else:
                self.do(f"rm -f /usr/local/bin/{name}")
