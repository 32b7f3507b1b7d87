"""The whole environment: its size, from `up` to the first token, what of that is our own time, and what watching costs.

An environment of its own, brought up once so that downloads are cached, then measured; as in spine. Our own time of a request is what is
left of the time to its first token without the waits for blocks and without the engine, from the programs' own logs, which read one clock.
A wait begins when the node has taken the transaction (signing is our own time) and ends when the block is there: when the chain says so, or
when somebody has seen it, which may come first. A new TLS connection through nginx is our own time too.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.harness import ROOT, Figure, interleaved, pss_mib, report, run, tree_cpu_s
from benchmarks.spine import FILE, WARM_STARTS, Bench, environment, first_token_s, supervisor_pid, surroundings, warm_up_s

REQUESTS = 60
WARM_REQUESTS = 6
WATCH_S = 60.0
LOGS = ("chain-1", "oracle-1", "router-1", "router-2", "miner-1", "miner-2", "miner-3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One streamed request: seconds to its first token, and what of it was waited for. blocks: made until its task was assigned."""

    total_s: float
    submit_block_s: float
    assign_block_s: float
    engine_s: float
    blocks: int

    @property
    def own_s(self) -> float:
        return self.total_s - self.submit_block_s - self.assign_block_s - self.engine_s


def log_of(bench: Bench, name: str) -> list[dict[str, object]]:
    """The structured lines of one service's log, oldest first."""
    text = bench.cortops("logs", name, FILE, "--lines", "100000")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def at_s(line: Mapping[str, object]) -> float:
    """When a line was written, seconds since 1970, to a millisecond."""
    return datetime.fromisoformat(str(line["at"])).timestamp()


def requests_of(bench: Bench, spans: Sequence[tuple[float, float]]) -> Iterator[Request]:
    """(begun, first token) of requests that did not overlap -> their parts, by the logs of chain, oracle, routers and miners."""
    lines = [line for name in LOGS for line in log_of(bench, name)]
    lines.sort(key=at_s)
    for (begun, ended), until in zip(spans, [*(begun for begun, _ in spans[1:]), float("inf")], strict=True):
        mine = [line for line in lines if begun <= at_s(line) < until]
        submitting, assigning = (_first(mine, event="sending", step=step) for step in ("submit", "assign"))
        submitted, assigned = (_first(mine, event="sent", tx=line["tx"]) for line in (submitting, assigning))
        submitted_s = _block_at_s(mine, submitted["block"], seen=("task_open", "task_assigning"))
        assigned_s = _block_at_s(mine, assigned["block"], seen=("task_assigned",))
        yield Request(
            total_s=ended - begun,
            submit_block_s=submitted_s - at_s(submitting),
            assign_block_s=assigned_s - at_s(assigning),
            engine_s=float(str(_first(mine, event="engine_began")["after_ms"])) / 1000,
            blocks=int(str(assigned["block"])) - int(str(submitted["block"])) + 1,
        )


def _first(lines: Sequence[Mapping[str, object]], **fields: object) -> Mapping[str, object]:
    """The first line with these fields. RuntimeError when there is none: then the log is not what we think."""
    for line in lines:
        if all(line.get(name) == value for name, value in fields.items()):
            return line
    raise RuntimeError(f"a request left no line with {fields}")


def _block_at_s(lines: Sequence[Mapping[str, object]], number: object, seen: Sequence[str]) -> float:
    """When a block was there: said by the chain, or `seen` by who waited for it."""
    said_s = at_s(_first(lines, event="block", number=number))
    return min([said_s, *(at_s(line) for line in lines if line["event"] in seen)])


def ask(bench: Bench, endpoints: Mapping[str, str], key: str, count: int) -> list[tuple[float, float]]:
    """So many streamed requests, one after the other, each ended before the next begins: (begun, first token)."""
    spans = []
    for _ in range(count):
        begun = time.time()
        took_s = first_token_s(endpoints["gateway"], endpoints["ca"], key)
        spans.append((begun, begun + took_s))
        time.sleep(2.0)  # its task ends, and so do its verdicts
    return spans


def watch_core(data: Path) -> float:
    """The part of one core that `watch` takes, the questions it runs as processes included."""
    pid = next(
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if (line := _command(folder)).find(b"cortops.cli\0watch") >= 0 and str(data).encode() in line
    )
    before, begun = tree_cpu_s(pid), time.monotonic()
    time.sleep(WATCH_S)
    return (tree_cpu_s(pid) - before) / (time.monotonic() - begun)


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def main() -> None:
    """Measure, print, leave nothing running."""
    with environment() as bench:
        key = json.loads(bench.cortops("keys", "issue", FILE, "--name", "bench", "--json"))["key"]
        warm_s = interleaved({"warm": lambda: warm_up_s(bench, key)}, rounds=WARM_STARTS)["warm"]
        endpoints: Mapping[str, str] = bench.status()["endpoints"]
        ask(bench, endpoints, key, WARM_REQUESTS)
        found = list(requests_of(bench, ask(bench, endpoints, key, REQUESTS)))
        mib = pss_mib(supervisor_pid(bench.data))
        core = watch_core(bench.data)
    blocks = statistics.median(one.blocks for one in found)
    own = sorted(one.own_s * 1000 for one in found)
    waits = statistics.median((one.submit_block_s + one.assign_block_s) * 1000 for one in found)
    engine = statistics.median(one.engine_s * 1000 for one in found)
    figures = [
        Figure(bench="local", figure="environment_pss_mib", value=mib, unit="MiB", goal="<= 2048"),
        Figure(bench="local", figure="warm_up_first_token_s", value=warm_s, unit="s", goal="<= 25"),
        Figure(bench="local", figure="blocks_to_first_token", value=blocks, unit="blocks", goal="<= 3"),
        Figure(
            bench="local",
            figure="overhead_first_token_p50_ms",
            value=statistics.median(own),
            unit="ms",
            goal="<= 15",
            beside={"p95": own[int(len(own) * 0.95)], "block waits": waits, "engine": engine},
        ),
        Figure(bench="local", figure="watch_core", value=core, unit="cores", goal="<= 0.05"),
    ]
    commit = run(["git", "describe", "--always", "--dirty"], env=surroundings(), timeout_s=10).strip()
    report(figures, configuration=f"{ROOT.name} {commit}, {FILE}, {WARM_STARTS} starts, {REQUESTS} requests, watched {WATCH_S:g} s")


if __name__ == "__main__":
    main()
