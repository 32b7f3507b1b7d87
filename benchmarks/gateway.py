"""The gateway beside nginx, LiteLLM and Portkey: CPU a request, added time, size; one configuration, keys, limits, spool and metrics on.

Load and upstream are pinned to the first core, what is measured to the last one. Rounds are interleaved, figures are medians of rounds.
CPU is that of the whole process tree in nanoseconds, from before the first request until the last usage row has arrived in the database;
a run in which rows and requests differ ends the benchmark. CORTOPS_BENCH_ROUNDS chooses fewer rounds, CORTOPS_BENCH_PEERS=no leaves the
other gateways out, and CORTOPS_BENCH_SCALE makes the loads smaller.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from benchmarks.harness import ROOT, Figure, report, run
from benchmarks.traffic import fronts
from benchmarks.traffic.fronts import LOAD_CORE, MODEL, Front
from benchmarks.traffic.load import Load, Outcome
from benchmarks.traffic.peers import peers

ROUNDS = int(os.environ.get("CORTOPS_BENCH_ROUNDS", "5"))
SCALE = float(os.environ.get("CORTOPS_BENCH_SCALE", "1"))
WITH_PEERS = os.environ.get("CORTOPS_BENCH_PEERS", "yes") != "no"
EVENTS = 50
PACED, PACE_MS = 500, 40
SLOW, SLOW_EVENTS, SLOW_PAUSE_MS = 2000, 15, 1000
STALLED_MS = 5 * SLOW_PAUSE_MS  # a silence that long is no slow stream
CONNECTIONS = 32
LOAD_TIMEOUT_S = 300.0
PEERS_SHARE = {"litellm": 0.02, "portkey": 0.1}  # of the loads: they take as long as the others with all
NO_STREAMS = frozenset({"portkey"})  # its streams fail in this set-up, as they did when the prototypes were measured


def body(*, stream: bool, pause_ms: float = 0, events: int = EVENTS) -> str:
    """A short conversation; what the upstream does with it stands in `user`."""
    said = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "Why is the sky blue, and not violet?"}]
    shape = {"stream": True, "stream_options": {"include_usage": True}, "user": f"{events}-{pause_ms:g}"} if stream else {}
    return json.dumps({"model": MODEL, "messages": said, "max_tokens": 64, "temperature": 0.7, **shape}, separators=(",", ":"))


class Bench:
    """All fronts under the same loads; how many requests each has had."""

    def __init__(self) -> None:
        self._had: dict[str, int] = {}

    def load(self, front: Front, connections: int, requests: int, text: str, during: Callable[[], None] = lambda: None) -> Outcome:
        """One load to its end, usage rows counted. `during` is called when all connections have begun to be answered."""
        asked = Load(
            ports=front.ports,
            connections=connections,
            requests=requests,
            path=front.path,
            key=front.key,
            body=text,
            headers=dict(front.headers),
        )
        argv = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.traffic.load"]
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(msgspec.json.encode(asked))
            process.stdin.close()
            for line in process.stdout:
                if line.startswith(b"{"):
                    break
                during()
            else:
                raise RuntimeError(f"{front.name}: a load of {requests} requests failed")
        outcome = msgspec.json.decode(line, type=Outcome)
        self._had[front.name] = self._had.get(front.name, 0) + outcome.requests
        front.wait_for_rows(self._had[front.name])
        return outcome

    def cpu_us(self, front: Front, connections: int, requests: int, text: str) -> float:
        """CPU microseconds a request."""
        before = front.cpu_ns()
        outcome = self.load(front, connections, requests, text)
        return (front.cpu_ns() - before) / outcome.requests / 1000


def loads(front: Front) -> dict[str, tuple[int, int, str]]:
    """Case -> (connections, requests, body)."""
    share = SCALE * PEERS_SHARE.get(front.name, 1.0)
    paced = max(10, int(PACED * share))
    return {
        "json": (CONNECTIONS, max(64, int(6000 * share)), body(stream=False)),
        "stream": (CONNECTIONS, max(32, int(600 * share)), body(stream=True)),
        "paced": (paced, paced, body(stream=True, pause_ms=PACE_MS)),
    }


def measured(bench: Bench, found: Sequence[Front], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Case -> front -> a value each round: CPU us a request, and milliseconds at one connection."""
    values: dict[str, dict[str, list[float]]] = {}

    def keep(case: str, front: Front, value: float) -> None:
        values.setdefault(case, {}).setdefault(front.name, []).append(value)

    for front in found:
        bench.load(front, 8, 64, body(stream=False))  # connections to members, imports at first use
        if front.name not in NO_STREAMS:
            bench.load(front, 8, 32, body(stream=True))
    for number in range(rounds):
        for case in ("json", "stream", "paced"):
            for front in found:
                silent = front.name in NO_STREAMS and case != "json"
                if front.name == "direct" or silent or (front.name == "cortops x 2" and case != "json"):
                    continue
                keep(case, front, bench.cpu_us(front, *loads(front)[case]))
        for front in found:
            few = max(30, int(400 * SCALE * PEERS_SHARE.get(front.name, 1.0)))
            keep("p50_ms", front, bench.load(front, 1, few, body(stream=False)).p50_ms)
            if front.name in NO_STREAMS:
                continue
            keep("first_ms", front, bench.load(front, 1, few // 2, body(stream=True, events=2, pause_ms=2)).first_p50_ms)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return values


def slow_streams(bench: Bench, front: Front) -> float:
    """KiB of memory for each of many open slow streams. RuntimeError where one stalled."""
    count = max(50, int(SLOW * SCALE))
    before = front.rss_bytes()
    sizes: list[int] = []

    def look() -> None:
        time.sleep(2 * SLOW_PAUSE_MS / 1000)
        sizes.append(front.rss_bytes())

    outcome = bench.load(front, count, count, body(stream=True, pause_ms=SLOW_PAUSE_MS, events=SLOW_EVENTS), look)
    if outcome.gap_max_ms > STALLED_MS:
        raise RuntimeError(f"{front.name}: a stream was silent for {outcome.gap_max_ms:.0f} ms")
    return (sizes[0] - before) / count / 1024


@contextmanager
def prepared(folder: Path) -> Iterator[list[Front]]:
    """Everything started, in the order of the rounds."""
    with ExitStack() as stack:
        members = stack.enter_context(fronts.upstream(folder))
        found = [stack.enter_context(start(folder, members)) for start in (fronts.direct, fronts.nginx, fronts.gateway)]
        found.append(stack.enter_context(fronts.gateway(folder, members, processes=2)))
        if WITH_PEERS:
            found += stack.enter_context(peers(folder, members))
        yield found


def figures(values: Mapping[str, Mapping[str, Sequence[float]]], rss_mb: float, stream_kib: Mapping[str, float]) -> list[Figure]:
    """The named ones with their goals."""
    medians = {case: {name: statistics.median(each) for name, each in found.items()} for case, found in values.items()}
    # A ratio is taken within each round: a slow minute of the machine touches both.
    over = {
        case: {name: statistics.median(v / b for v, b in zip(each, found["nginx"], strict=True)) for name, each in found.items()}
        for case, found in values.items()
    }
    made = []
    for case, goal in (("json", "<= 3"), ("stream", "<= 1.5"), ("paced", "<= 1.8")):
        others = {name: ratio for name, ratio in over[case].items() if name not in {"cortops", "nginx"}}
        made.append(
            Figure(bench="gateway", figure=f"{case}_cpu_over_nginx", value=over[case]["cortops"], unit="", goal=goal, beside=others)
        )
    pairs = zip(values["json"]["cortops x 2"], values["json"]["cortops"], strict=True)
    two = statistics.median(both / one for both, one in pairs)
    made.append(Figure(bench="gateway", figure="cpu_per_1k_two_over_one", value=two, unit="", goal="<= 1.1"))
    for name, case, base, goal in (
        ("added_p50_ms", "p50_ms", "nginx", "<= 0.2"),
        ("added_first_chunk_ms", "first_ms", "direct", "<= 0.5"),
    ):
        added = {front: value - medians[case][base] for front, value in medians[case].items() if front != base}
        value = added.pop("cortops")
        made.append(Figure(bench="gateway", figure=name, value=value, unit="ms", goal=goal, beside=added))
    made.append(Figure(bench="gateway", figure="rss_mb", value=rss_mb, unit="MB", goal="<= 64"))
    kib = dict(stream_kib)
    made.append(Figure(bench="gateway", figure="stream_kib", value=kib.pop("cortops"), unit="KiB", goal="<= 20", beside=kib))
    return made


def configuration_text() -> str:
    """The gateway's, as every figure was measured with; sessions shortened to the first and the last one."""
    shown = json.loads(fronts.gateway_config(Path("DATA"), 1, 8080, [8081]).to_json())
    members = shown["pools"][fronts.POOL]["members"]
    for member in members:
        member["sessions"] = [member["sessions"][0], "...", member["sessions"][-1]]
    members.append(f"{fronts.MEMBERS} of them")
    return f"gateway configuration: {json.dumps(shown)}\nlimits of the key: {fronts.LIMITS}"


def table(values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """What was measured, for people: CPU seconds per 1,000 requests, or milliseconds."""
    for case, found in values.items():
        unit = "ms at one connection" if case.endswith("_ms") else "CPU s per 1,000 requests"
        for name, each in found.items():
            scale = 1.0 if case.endswith("_ms") else 1000.0
            middle, least, most = (value / scale for value in (statistics.median(each), min(each), max(each)))
            print(f"{case.removesuffix('_ms'):7} {name:12} {middle:9.4f} ({least:.4f} to {most:.4f})  {unit}")


def main() -> None:
    """Measure, print, leave nothing running."""
    bench = Bench()
    with tempfile.TemporaryDirectory(prefix="cortops-bench-") as folder, prepared(Path(folder)) as found:
        named = {front.name: front for front in found}
        print(configuration_text())
        values = measured(bench, found, ROUNDS)
        rss_mb = named["cortops"].rss_bytes() / 1e6
        stream_kib = {name: slow_streams(bench, named[name]) for name in ("nginx", "cortops")}
    table(values)
    commit = run(["git", "describe", "--always", "--dirty"], env=os.environ, timeout_s=10).strip()
    configuration = f"{ROOT.name} {commit}, {ROUNDS} rounds, loads x {SCALE:g}, {CONNECTIONS} connections, {PACED} paced streams"
    report(figures(values, rss_mb, stream_kib), configuration=configuration)


if __name__ == "__main__":
    main()
