"""The spine: from `up` to the first token, the size of everything that runs, and how long people wait for the command line.

An environment of its own (examples/local.yaml, own data folder, ports shifted) is brought up once, so that downloads are cached and there
is data to keep, then stopped; what is measured are the starts after that. CORTOPS_BENCH_PORT_BASE chooses another shift.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.harness import CORTOPS, ROOT, Figure, elapsed_s, interleaved, pss_mib, report, run

FILE = "examples/local.yaml"
WARM_STARTS = 3
COMMAND_ROUNDS = 9
START_TIMEOUT_S = 600.0  # the first one downloads
REPLY_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The measured environment: its data folder and what every command of ours gets."""

    data: Path
    port_base: int

    @property
    def env(self) -> Mapping[str, str]:
        return {**surroundings(), "CORTOPS_DATA": str(self.data)}

    def cortops(self, *words: str, timeout_s: float = 60.0) -> str:
        """Standard output of one command on this environment."""
        return run([str(CORTOPS), *words, "--port-base", str(self.port_base)], env=self.env, timeout_s=timeout_s)

    def up(self) -> None:
        self.cortops("up", FILE, "--detach", timeout_s=START_TIMEOUT_S)

    def status(self) -> dict[str, dict[str, str]]:
        """The endpoints that `status --json` names."""
        found: dict[str, dict[str, str]] = json.loads(self.cortops("status", FILE, "--json"))
        return found


def surroundings() -> dict[str, str]:
    """Ours, but compiled modules are kept as they are by default: else every command would compile our own code anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def environment() -> Iterator[Bench]:
    """One with data from an earlier run, stopped; afterwards nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="cortops-bench-") as folder:
        bench = Bench(data=Path(folder), port_base=int(os.environ.get("CORTOPS_BENCH_PORT_BASE", "20000")))
        try:
            bench.up()
            yield bench
        finally:
            bench.cortops("down", FILE, "--purge")


def first_token_s(gateway: str, ca: str, key: str) -> float:
    """Seconds from the request, a new TLS connection through nginx included, to the first token of a streamed answer."""
    url = urlsplit(gateway)
    body = {"model": "smollm2", "stream": True, "max_tokens": 16, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    headers = {"Host": url.netloc, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    trusted = ssl.create_default_context(cafile=ca)
    begun = time.perf_counter()
    raw = socket.create_connection(("127.0.0.1", url.port or 443), timeout=REPLY_TIMEOUT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as every HTTP client does; else its body waits 40 ms for an acknowledgement
    connection = http.client.HTTPConnection(url.hostname or "")
    connection.sock = trusted.wrap_socket(raw, server_hostname=url.hostname)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"the gateway answered {reply.status}: {reply.read(500)!r}")
        while line := reply.readline():
            if line.startswith(b"data: {") and _content(json.loads(line[6:])):
                return time.perf_counter() - begun
    finally:
        connection.close()
    raise RuntimeError("the stream ended without a token")


def _content(chunk: Mapping[str, list[dict[str, dict[str, str]]]]) -> str:
    return "".join(choice.get("delta", {}).get("content") or "" for choice in chunk.get("choices", []))


def warm_up_s(bench: Bench, key: str) -> float:
    """Seconds from `up --detach` to the first token, with caches warm and data kept; then stopped."""
    bench.cortops("down", FILE)
    begun = time.perf_counter()
    bench.up()
    found = bench.status()["endpoints"]
    first_token_s(found["gateway"], found["ca"], key)
    return time.perf_counter() - begun


def supervisor_pid(data: Path) -> int:
    """The service manager that keeps the environment in `data`; RuntimeError where none or several run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"supervisord" in command and str(data).encode() in command:
            found.append(int(folder.name))
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} service managers run for {data}")
    return found[0]


def main() -> None:
    """Measure, print, leave nothing running."""
    plain = surroundings()
    fast_s = elapsed_s(["make", "--no-print-directory", "fast"], env=plain, timeout_s=600)  # first: a tree whose tests fail is not measured
    with environment() as bench:
        key = json.loads(bench.cortops("keys", "issue", FILE, "--name", "bench", "--json"))["key"]
        warm_s = interleaved({"warm": lambda: warm_up_s(bench, key)}, rounds=WARM_STARTS)["warm"]
        mib = pss_mib(supervisor_pid(bench.data))
        status = [str(CORTOPS), "status", FILE, "--json", "--port-base", str(bench.port_base)]
        waits = interleaved(
            {
                "help": lambda: elapsed_s([str(CORTOPS), "--help"], env=plain, timeout_s=60),
                "status": lambda: elapsed_s(status, env=bench.env, timeout_s=60),
            },
            rounds=COMMAND_ROUNDS,
        )
    figures = [
        Figure(bench="spine", figure="warm_up_first_token_s", value=warm_s, unit="s", goal="<= 25"),
        Figure(bench="spine", figure="environment_pss_mib", value=mib, unit="MiB", goal="<= 1500"),
        Figure(bench="spine", figure="help_ms", value=waits["help"] * 1000, unit="ms", goal="<= 200"),
        Figure(bench="spine", figure="status_ms", value=waits["status"] * 1000, unit="ms", goal="<= 500"),
        Figure(bench="spine", figure="make_fast_s", value=fast_s, unit="s", goal="<= 40"),
    ]
    commit = run(["git", "describe", "--always", "--dirty"], env=plain, timeout_s=10).strip()
    report(figures, configuration=f"{ROOT.name} {commit}, {FILE}, {WARM_STARTS} warm starts, {COMMAND_ROUNDS} rounds of commands")


if __name__ == "__main__":
    main()
