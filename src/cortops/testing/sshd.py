"""A real sshd for tests: a process of the test's own on a loopback port, with host and user keys made at run time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from cortops.targets.ask import Said, ask
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import Confirm, HostKeys
from cortops.targets.target import Lost
from cortops.testing.hosts.needs import here_for_ci
from cortops.words.clock import SystemClock

T = TypeVar("T")

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin") or ""
MISSING = "" if SSHD or here_for_ci() else "no sshd here: apt-get install openssh-server"
NO_SUDO = ""
if not here_for_ci() and (os.getuid() != 0 or not shutil.which("sudo")):
    NO_SUDO = "sudo is tried as root, who needs no password: run as root, apt-get install sudo"
_START_S = 10.0
_STARTS_MAX = 5  # another program may take the port between our look and the start


@dataclass(frozen=True, slots=True)
class Sshd:
    """One that runs. `folder` holds `host_key`, `user_key`, `known_hosts` (which knows it) and `log`."""

    folder: Path
    port: int
    pid: int

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def fingerprint(self) -> str:
        return asyncssh.read_public_key(self.folder / "host_key.pub").get_fingerprint()

    def settings(self, *, sudo: bool = False, configs: tuple[Path, ...] = ()) -> SshSettings:
        """How it is reached with the user key."""
        return SshSettings(
            address=SshAddress("127.0.0.1", port=self.port), sudo=sudo, configs=configs, identities=(self.folder / "user_key",), agent=False
        )

    def dialer(self, *, known: Path | None = None, confirm: Confirm | None = None, accepted: frozenset[str] = frozenset()) -> SshDialer:
        """Trusts what `known` says; without it the right key."""
        return SshDialer(HostKeys(known or self.known_hosts, confirm=confirm, accepted=accepted))

    def target(self, *, dialer: SshDialer | None = None, sudo: bool = False, password: str = "", **settings: Any) -> SshTarget:
        """A target `h1` that it serves; `settings` replace what SshSettings would hold."""
        made = replace(self.settings(sudo=sudo), **settings)
        return SshTarget("h1", made, dialer or self.dialer(), SystemClock(), sudo_password=password)

    def sessions(self) -> list[int]:
        """Pids of the processes that serve connections."""
        return _children(self.pid)

    def processes(self) -> list[int]:
        """Pids of everything that it started and that has not left its tree, itself excepted."""
        found, todo = [], [self.pid]
        while todo:
            children = _children(todo.pop())
            found += children
            todo += children
        return found


def run(main: Callable[[SshTarget], Coroutine[None, None, T]], target: SshTarget, dialer: SshDialer | None = None) -> T:
    """`main` with the target, in a loop of its own that target and dialer leave at the end."""

    async def whole() -> T:
        try:
            return await main(target)
        finally:
            await target.close()
            if dialer is not None:
                await dialer.close()

    return asyncio.run(whole())


def said(target: SshTarget, program: str = "echo hello", dialer: SshDialer | None = None) -> Said:
    """What one short program says."""
    return run(lambda it: ask(it, program, 20), target, dialer)


def why(target: SshTarget, dialer: SshDialer | None = None) -> str:
    """Why a program is lost there; AssertionError when it is not."""
    ending = said(target, dialer=dialer).ending
    assert isinstance(ending, Lost), ending
    return ending.why


@contextmanager
def sshd(folder: Path, *lines: str, kinds: Sequence[str] = ("ssh-ed25519",)) -> Iterator[Sshd]:
    """Start one; `lines` go on top of its configuration, `kinds` are those of its host keys. It and all it started are ended on leaving."""
    folder.mkdir(exist_ok=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    if not (folder / "user_key").exists():
        _key(folder / "user_key", "ssh-ed25519")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    hosts = []
    for number, kind in enumerate(kinds):
        hosts.append(folder / ("host_key" if not number else f"host_key_{number}"))
        if not hosts[-1].exists():
            _key(hosts[-1], kind)
    process, port = _start(folder, hosts, lines)
    try:
        public = [path.with_name(f"{path.name}.pub").read_text().split() for path in hosts]
        (folder / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {kind} {data}\n" for kind, data, *_ in public))
        made = Sshd(folder, port, process.pid)
        yield made
    finally:
        _end(process)


def as_another_user(folder: Path, sudo: str = "") -> str:
    """A line of sshd_config: sessions find an `id` that denies to be root, and `sudo`, the text of an sh program, where it is given."""
    folder.mkdir()
    for name, text in (("id", "echo 1000"), ("sudo", sudo)):
        if text:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
    return f'ForceCommand PATH={folder}:$PATH; export PATH; exec sh -c "$SSH_ORIGINAL_COMMAND"'


def fake_sudo(password: str) -> str:
    """As sudo with a password: refuses -n, asks on standard error, three times at most, and reads no more than a line of standard input."""
    return f"""\
[ "$1" != -n ] || {{ echo "sudo: a password is required" >&2; exit 1; }}
[ "$1 $2" = "-S -p" ] || {{ echo "sudo: not asked as it should be: $*" >&2; exit 1; }}
prompt=$3
shift 3
for attempt in 1 2 3; do
  printf %s "$prompt" >&2
  read -r said || {{ echo "sudo: no password was provided" >&2; exit 1; }}
  [ "$said" != "{password}" ] || {{ unset said; exec "$@"; }}
  echo "Sorry, try again." >&2
done
exit 1"""


def _start(folder: Path, hosts: Sequence[Path], lines: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_STARTS_MAX):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = folder / "sshd_config"
        keys = "".join(f"HostKey {path}\n" for path in hosts)
        config.write_text(
            "".join(f"{line}\n" for line in lines) + f"Port {port}\n{keys}AuthorizedKeysFile {folder}/authorized_keys\n{_CONFIG}"
        )
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                if probe.recv(4) == b"SSH-":
                    return process, port
            time.sleep(0.01)
        _end(process)
    raise RuntimeError(f"sshd does not start: {(folder / 'log').read_text()[-2000:]}")


_CONFIG = """\
ListenAddress 127.0.0.1
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100:30:200
PrintMotd no
LogLevel VERBOSE
SetEnv SHLVL=1
"""  # SHLVL: bash then leaves out ~/.bashrc, which is whoever's


def _key(path: Path, kind: str) -> None:
    key = asyncssh.generate_private_key(kind)
    key.write_private_key(path)
    path.chmod(0o600)
    key.write_public_key(path.with_name(f"{path.name}.pub"))


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGSTOP)  # it accepts nobody any more
    todo, found = [process.pid], [process.pid]
    while todo:
        children = _children(todo.pop())
        todo += children
        found += children
    for pid in reversed(found):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
