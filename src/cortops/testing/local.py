"""A place of its own for a local environment: data folder, ports and the command line, all gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.protocol.usage import UsageRow, open_usage, rows_since

EXAMPLE = Path(__file__).parents[3] / "examples" / "local.yaml"
RUN_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0
USAGE_TIMEOUT_S = 10.0
BASE_FIRST, BASE_LAST, BASE_STEP = 300, 21_300, 100  # every port stays below the kernel's own range, which begins at 32768
QUESTION = {"model": "smollm2", "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a local environment may come up, and the command line to do it. `root` is made by `up`; `environ` is what every verb gets."""

    env: Environment
    data: Path
    port_base: int
    environ: Mapping[str, str]

    @property
    def root(self) -> Path:
        return self.data / f"{self.env.name}@{self.port_base}"

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(use.port for use in port_uses(self.env))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """One verb as a process of its own: verb and file first, output in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "cortops.cli", *words],
            env=self.environ,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, timeout_s: float = RUN_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """One verb to its end; the environment file is added, unless `words` name one (a word that ends in .yaml)."""
        file = () if any(word.endswith(".yaml") for word in words) else (self.env.file,)
        with self.start(*words, *file) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            finally:
                process.kill()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def read(self, *words: str, status: int = 0) -> Any:
        """A verb's `--json`, decoded; AssertionError unless it exits with `status`."""
        done = self.run(*words, "--json")
        assert done.returncode == status, f"{' '.join(words)} exits {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def processes(self) -> dict[int, str]:
        """Pid -> command line of every process that works in the data folder or names it."""
        found: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                if line and (str(self.data) in line or (entry / "cwd").readlink().is_relative_to(self.data)):
                    found[int(entry.name)] = line
        return found

    def assert_quiet(self) -> None:
        """Nothing runs here, and no port is listened on."""
        assert not (left := self.processes()), f"left running: {left}"
        assert not (taken := [port for port in self.ports if not _free(port)]), f"still listened on: {taken}"

    def usage(self, since: float = 0.0) -> list[UsageRow]:
        """The usage rows, oldest first."""
        path = self.root / "data" / "gateway" / "usage.db"
        with closing(open_usage(path, create=False)) as connection:
            return rows_since(connection, path, since)

    def usage_of(self, request_id: str) -> UsageRow:
        """The row of one request, which comes soon after its answer."""
        until = time.monotonic() + USAGE_TIMEOUT_S
        while True:
            found = [row for row in self.usage() if row.request_id == request_id]
            if found:
                return found[0]
            assert time.monotonic() < until, f"no usage row of {request_id}"
            time.sleep(0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEnvironment:
    """A local environment that is up. `task`: SESSION/TASK of a request that it has answered."""

    place: Place
    endpoints: Mapping[str, str]
    key: str
    task: str

    @property
    def environ(self) -> Mapping[str, str]:
        """What a shell needs to follow the documents: cortops on the path, and the names that they use."""
        names = {"GATEWAY": self.endpoints["gateway"], "CA": self.endpoints["ca"], "RPC": self.endpoints["rpc"]}
        return {**self.place.environ, **names, "KEY": self.key, "TASK": self.task}

    @property
    def url(self) -> str:
        """The gateway by its address, for clients that know no *.localhost."""
        return f"https://127.0.0.1:{self.endpoints['gateway'].rpartition(':')[2]}"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As Place.run."""
        return self.place.run(*words)


@contextmanager
def place(environ: Mapping[str, str] | None = None) -> Iterator[Place]:
    """A free place, `environ` added to ours. On leaving it is purged; AssertionError names what `down` left running, which is ended."""
    data = Path(tempfile.mkdtemp(prefix="ct-"))  # short: the path of a socket has a limit
    env, base = _on_free_ports()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours = {**os.environ, "PATH": path, "CORTOPS_DATA": str(data), "CORTOPS_PORT_BASE": str(base), **(environ or {})}
    made = Place(env=env, data=data, port_base=base, environ=ours)
    try:
        yield made
        done = made.run("down", "--purge")
        assert done.returncode == 0, done.stdout + done.stderr
        made.assert_quiet()
        assert not list(data.iterdir()), "down --purge left files"
    finally:
        _end(made)
        shutil.rmtree(data, ignore_errors=True)


def bring_up(where: Place) -> LocalEnvironment:
    """`cortops up --detach`, and one request through it."""
    shown = where.read("up", "--detach")
    up = LocalEnvironment(place=where, endpoints=shown["endpoints"], key=shown["key"], task="")
    row = where.usage_of(ask(up)["id"].removeprefix("chatcmpl-"))
    return LocalEnvironment(place=where, endpoints=up.endpoints, key=up.key, task=f"{row.session}/{row.task}")


def ask(up: LocalEnvironment, key: str = "") -> Any:
    """One short chat completion, decoded."""
    headers = {"authorization": f"Bearer {key or up.key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{up.url}/v1/chat/completions", json.dumps(QUESTION).encode(), headers)
    context = ssl.create_default_context(cafile=up.endpoints["ca"])
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S, context=context) as reply:
        return json.load(reply)


def _on_free_ports() -> tuple[Environment, int]:
    """The example on ports that nobody listens on now; the search begins elsewhere in each process."""
    declared = load_file(EXAMPLE)
    if isinstance(declared, Invalid):
        raise declared.error()
    count = (BASE_LAST - BASE_FIRST) // BASE_STEP
    for step in range(count):
        base = BASE_FIRST + (os.getpid() + step) % count * BASE_STEP
        env = shift_ports(declared, base)
        if all(_free(use.port) for use in port_uses(env)):
            return env, base
    raise AssertionError("no range of free ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _end(made: Place) -> None:
    for _ in range(3):  # a supervisord may start another child between the look and the kill
        for pid in made.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
