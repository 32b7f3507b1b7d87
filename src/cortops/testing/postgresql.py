"""A real PostgreSQL for tests: a server of the test's own on a port of its own, with a password made at run time; from `pgserver`."""

from __future__ import annotations

import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from cortops.words.errors import StepFailed

USER = "cortops"
LOOPBACK = "127.0.0.1"
_START_S, _STOP_S = 30.0, 20.0
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_QUICK = ("fsync=off", "shared_buffers=16MB", "max_connections=60", "unix_socket_directories=", "timezone=UTC", "log_timezone=UTC")
_NO_DATABASE = "no PostgreSQL here: pip install pgserver"
MISSING = "" if importlib.util.find_spec("pgserver") is not None else _NO_DATABASE


def programs() -> Path:
    """The folder of `initdb` and `postgres`. Raises StepFailed."""
    spec = importlib.util.find_spec("pgserver")
    if spec is None or spec.origin is None:
        raise StepFailed(_NO_DATABASE)
    return Path(spec.origin).parent / "pginstall" / "bin"


class Postgresql:
    """One server, stopped and started at will. `url(name)` is the address of a database, `password` what nobody may see of it.

    ip: where it listens; elsewhere than on loopback it lets in whoever is on that network and knows the password.
    """

    def __init__(self, folder: Path, port: int, ip: str = LOOPBACK) -> None:
        self.port = port
        self._ip = ip
        self.password = f"p-{secrets.token_hex(12)}"
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._init(folder)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://{USER}:{self.password}@{self._ip}:{self.port}/{name}"

    def create(self, name: str) -> str:
        """A place for tables of its own, a schema; its address. Quicker than a database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"')
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers. Raises StepFailed."""
        if self._process is not None:
            return
        options = [part for setting in (*_QUICK, f"listen_addresses={self._ip}", f"port={self.port}") for part in ("-c", setting)]
        with self._log.open("ab") as log:
            argv = [str(programs() / "postgres"), "-D", str(self._data), *options]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_nobody())  # type: ignore[call-overload]
        deadline = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise StepFailed(f"PostgreSQL did not start: {self._log.read_text(errors='replace')[-500:]}") from None
                time.sleep(0.05)

    def stop(self, *, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, as a crash; the next start recovers. SIGINT: connections are ended, everything is put away."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill_one(self, chance: random.Random) -> bool:
        """SIGKILL to one of its processes, after which it starts all others anew; False while it does not run."""
        if self._process is None or self._process.poll() is not None:
            return False
        with suppress(OSError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            os.kill(int(chance.choice(children)), signal.SIGKILL)
            return True
        return False

    def _init(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._data.mkdir(mode=0o700)
        password = folder / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._data, password):
                shutil.chown(path, _UNPRIVILEGED)
        argv = [str(programs() / "initdb"), "-D", str(self._data), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256"]
        done = subprocess.run([*argv, "--no-sync", "--locale=C", "--encoding=UTF8"], capture_output=True, text=True, **_as_nobody())  # type: ignore[call-overload]
        password.unlink()
        if done.returncode != 0:
            raise StepFailed(f"initdb: {done.stderr[-500:]}")
        if self._ip != LOOPBACK:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")


@contextmanager
def postgresql(ip: str = LOOPBACK) -> Iterator[Postgresql]:
    """A server that runs while inside; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="cortops-postgresql-") as name:
        server = Postgresql(Path(name), _free_port(ip), ip)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _as_nobody() -> dict[str, str]:
    return {"user": _UNPRIVILEGED} if os.geteuid() == 0 else {}


def _free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        return int(probe.getsockname()[1])
