"""A place of its own for a local environment: data folder, ports and the command line, all gone afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cortops.deploy.journal import Entry, entries
from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.local.here import host_here
from cortops.protocol.usage import UsageRow, open_usage, rows_since
from cortops.surfaces.services.facts import read
from cortops.targets.supervisord import Supervisord
from cortops.testing.secret_grep import strays_here

EXAMPLE = Path(__file__).parents[3] / "examples" / "local.yaml"  # the whole environment
SMALL = EXAMPLE.with_name("small.yaml")  # one of each
RUN_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 120.0
USAGE_TIMEOUT_S = 20.0
WELL_TIMEOUT_S = 120.0
ORPHANS_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.1
STRIDE = 37  # so that processes that begin one after the other search far apart
BASE_FIRST, BASE_LAST, BASE_STEP = 300, 21_300, 100  # every port stays below the kernel's own range, which begins at 32768
QUESTION = {"model": "smollm2", "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}

APPLYING = ("up", "apply", "rollback", "plan")

T = TypeVar("T")


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
        if words[0] in APPLYING and process.returncode == 0:
            self.assert_no_stray_secret(out, err)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def assert_no_stray_secret(self, *texts: str) -> None:
        """No secret's value stands where it should not: in plan, journal, manifests, logs, argument lists, other files, or `texts`."""
        strays = strays_here(self.root, self.env.name, *texts)
        assert not strays, f"secrets where they should not be: {strays}"

    def read(self, *words: str, status: int = 0) -> Any:
        """A verb's `--json`, decoded; AssertionError unless it exits with `status`."""
        done = self.run(*words, "--json")
        assert done.returncode == status, f"{' '.join(words)} exits {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def status(self, *words: str) -> Any:
        """`status --json`, decoded, whether or not all is well."""
        done = self.run("status", "--json", *words)
        assert done.returncode in (0, 3), f"status exits {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def until_well(self, *words: str) -> Any:
        """`status --json` once it says that all is well; AssertionError when it does not in time."""
        return until(lambda: found if (found := self.status(*words))["state"] == "ok" else None, "all is well", WELL_TIMEOUT_S)

    def journal(self) -> list[Entry]:
        """What was intended and what came of it, oldest first; empty before the first apply."""
        path = self.root / "journal.jsonl"
        return entries(path.read_text("utf-8", "replace").splitlines()) if path.exists() else []

    def processes(self) -> dict[int, str]:
        """Pid -> command line of every process that works in the data folder or names it."""
        found: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                if line and (str(self.data) in line or (entry / "cwd").readlink().is_relative_to(self.data)):
                    found[int(entry.name)] = line
        return found

    def services(self) -> dict[str, int]:
        """Service -> pid of what runs, as the service manager has it; empty where that does not run."""
        script = host_here("here", self.root, Supervisord(str(self.root), sys.executable)).services_script
        done = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
        return {name: state.pid for name, state in read(done.stdout).items() if state.state == "RUNNING"}

    def manager(self) -> int | None:
        """The pid of the service manager that runs here, None where it left none."""
        try:
            pid = int((self.root / "run" / "supervisord.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if pid in self.processes() else None

    def orphans(self) -> dict[int, str]:
        """Processes of this place that do not descend from its service manager."""
        manager = self.manager()
        return {pid: line for pid, line in self.processes().items() if manager not in _ancestry(pid)}

    def assert_no_orphan(self) -> None:
        """Every process of this place descends from its service manager; what an apply that was cut off still does may take a moment."""
        end = time.monotonic() + ORPHANS_TIMEOUT_S
        while (left := self.orphans()) and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        assert not left, f"orphans: {left}"

    def assert_quiet(self) -> None:
        """Nothing runs here, and no port is listened on."""
        assert not (left := self.processes()), f"left running: {left}"
        assert not (taken := [port for port in self.ports if not _free(port)]), f"still listened on: {taken}"

    def usage(self, since: float = 0.0) -> list[UsageRow]:
        """The usage rows, oldest first."""
        path = self.root / "data" / "gateway" / "usage.db"
        with closing(open_usage(path, create=False)) as database:
            return rows_since(database, since)

    def usage_of(self, request_id: str) -> UsageRow:
        """The row of one request, by the id of its answer: ours, or the one that nginx gave it. It comes soon after the answer."""
        until = time.monotonic() + USAGE_TIMEOUT_S
        while True:
            found = [row for row in self.usage() if request_id in (row.request_id, row.client_request_id)]
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
        names = {name.upper(): url for name, url in self.endpoints.items()}
        return {**self.place.environ, **names, "KEY": self.key, "TASK": self.task}

    @property
    def url(self) -> str:
        """The gateway by its address, for clients that know no *.localhost."""
        return f"https://127.0.0.1:{self.endpoints['gateway'].rpartition(':')[2]}"

    def until_let_in(self) -> None:
        """Wait until every process of the gateway knows a key that was just issued; each reads its store once a second."""
        assert self.place.env.gateway is not None
        for name, port in self.place.env.gateway.ports().items():
            until(partial(self._is_let_in, port), f"{name} knows the key")

    def _is_let_in(self, port: int) -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models", headers={"authorization": f"Bearer {self.key}"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as reply:
                return bool(reply.status == 200)
        except urllib.error.HTTPError:
            return False

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As Place.run."""
        return self.place.run(*words)


@contextmanager
def place(environ: Mapping[str, str] | None = None, file: Path = EXAMPLE) -> Iterator[Place]:
    """A free place for an environment file, `environ` added to ours.

    On leaving it is purged; AssertionError names what `down` left running, which is ended.
    """
    data = Path(tempfile.mkdtemp(prefix="ct-"))  # short: the path of a socket has a limit
    env, base = _on_free_ports(file)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours = {**os.environ, "PATH": path, "CORTOPS_DATA": str(data), "CORTOPS_PORT_BASE": str(base), **(environ or {})}
    made = Place(env=env, data=data, port_base=base, environ=ours)
    try:
        yield made
        made.assert_no_stray_secret()
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


def ask(up: LocalEnvironment, question: Mapping[str, Any] = QUESTION) -> Any:
    """One chat completion, a short one by default, decoded."""
    headers = {"authorization": f"Bearer {up.key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{up.url}/v1/chat/completions", json.dumps(question).encode(), headers)
    context = ssl.create_default_context(cafile=up.endpoints["ca"])
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S, context=context) as reply:
        return json.load(reply)


def until(look: Callable[[], T | None], what: str, within_s: float = WELL_TIMEOUT_S) -> T:
    """What `look` finds, the first time that it is something; AssertionError names `what` was not found in time."""
    end = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < end, f"after {within_s:.0f} s still not: {what}"
        time.sleep(LOOK_EVERY_S)
    return found


def printed_commands(printed: str) -> dict[str, str]:
    """What `up` printed -> {hostname: the shell command to try it}, each as it stands there, folds included."""
    found = re.findall(r"^ *# (\S+): .*\n((?:.*\\\n)*.*)\n", printed, re.MULTILINE)
    return dict(found)


def _ancestry(pid: int) -> Iterator[int | None]:
    """The process and those above it, nearest first."""
    while pid > 1:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            return


def _on_free_ports(file: Path) -> tuple[Environment, int]:
    """The environment on ports that nobody listens on now; the search begins elsewhere in each process."""
    declared = load_file(file)
    if isinstance(declared, Invalid):
        raise declared.error()
    count = (BASE_LAST - BASE_FIRST) // BASE_STEP
    for step in range(count):
        base = BASE_FIRST + (os.getpid() * STRIDE + step) % count * BASE_STEP
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
