"""A small service on four systemd hosts: cortops beside the floor and tools of others, whole processes, interleaved; and large fleets.

The floor is one asyncssh batch for each host over a new connection; it checks what it changes and plans nothing. cortops gets our own
programs to the hosts once, before anything is measured, as the others find Python there. Each apply begins with the service, its unit and
its files gone. Needs root and what test hosts need; without a package index the other tools are left out, and that is said.
CORTOPS_BENCH_ROUNDS chooses fewer rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import ROOT, Figure, elapsed_s, report, run
from benchmarks.hosts import plan_1000
from benchmarks.hosts.lab import FILE, RESET, TIMEOUT_S, Lab, lab
from benchmarks.peers import workload
from benchmarks.peers.tools import Peer, install, peers
from cortops.deploy.fetch import cache_root
from cortops.testing.simulated_hosts import simulated_hosts

HOSTS = 4
ROUNDS = int(os.environ.get("CORTOPS_BENCH_ROUNDS", "5"))
LARGE_ROUNDS = min(ROUNDS, 3)
SIMULATED = 200
PENDING = 3  # of `plan`, where there are changes


def measured(bench: Lab, others: list[Peer], *, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Tool -> seconds of each apply, and of each no-op after it; interleaved, so that a slow minute touches all alike."""
    apply_s: dict[str, list[float]] = {}
    noop_s: dict[str, list[float]] = {}
    floor = [sys.executable, "-m", "benchmarks.peers.floor", str(bench.fleet.config), *(host.name for host in bench.fleet)]
    cases: dict[str, tuple[str, Callable[[], float]]] = {
        "floor": (workload.RESET, lambda: elapsed_s(floor, env=os.environ, timeout_s=TIMEOUT_S)),
        "cortops": (RESET, lambda: elapsed_s(bench.argv("apply"), env=bench.env, timeout_s=TIMEOUT_S)),
    }
    for peer in others:
        cases[peer.name] = (workload.RESET, lambda peer=peer: elapsed_s(peer.argv, env=peer.env, timeout_s=TIMEOUT_S))  # type: ignore[misc]
    for _ in range(rounds):
        for name, (reset, case) in cases.items():
            bench.everywhere(reset)
            apply_s.setdefault(name, []).append(case())
            noop_s.setdefault(name, []).append(case())
    return apply_s, noop_s


def over_floor(found: dict[str, list[float]]) -> dict[str, float]:
    """Tool -> median of its rounds, each beside the floor of the same round."""
    floors = found["floor"]
    return {
        name: statistics.median(value / floor for value, floor in zip(values, floors, strict=True))
        for name, values in found.items()
        if name != "floor"
    }


def rollback_s(bench: Lab) -> float:
    """Seconds to take another configuration back on all hosts, its gate included."""
    earlier = max(_generations(bench))
    bench.write("changed = yes\n")
    bench.cortops("apply")
    words = ["rollback", str(bench.home / FILE), "--ours", "--to", str(earlier), "--yes"]
    return elapsed_s([sys.executable, "-m", "cortops.cli", *words], env=bench.env, timeout_s=TIMEOUT_S)


def _generations(bench: Lab) -> list[int]:
    """Of our own programs: those of no host."""
    places = json.loads(bench.cortops("generations", "--json"))
    return [one["generation"] for place in places if not place["host"] for one in place["generations"]]


def observe_200_s() -> float:
    """Seconds of a whole `plan` of as many hosts, all of which answer."""
    with tempfile.TemporaryDirectory(prefix="cortops-bench-") as folder:
        home = Path(folder)
        with simulated_hosts(SIMULATED, home) as many:
            file = home / "large.yaml"
            file.write_text(plan_1000.text(many.first_port, many.count, "ops@127.0.0.1:{n}"))
            env = {"HOME": folder, "PATH": os.environ["PATH"], "CORTOPS_DATA": f"{folder}/data", "CORTOPS_HOME": f"{folder}/cache"}
            argv = [sys.executable, "-m", "cortops.cli", "plan", str(file)]
            run(argv, env=env, timeout_s=TIMEOUT_S, statuses=[PENDING])  # the first one packs our programs
            return statistics.median(elapsed_s(argv, env=env, timeout_s=TIMEOUT_S, statuses=[PENDING]) for _ in range(LARGE_ROUNDS))


def planned_1000() -> tuple[float, float]:
    """Seconds and MiB of a plan for 1,000 hosts in a fresh process: medians."""
    with tempfile.TemporaryDirectory(prefix="cortops-bench-") as folder:
        file = Path(folder) / "large.yaml"
        file.write_text(plan_1000.text())
        argv = [sys.executable, "-m", "benchmarks.hosts.plan_1000", str(file)]
        rounds = [json.loads(run(argv, env=os.environ, timeout_s=TIMEOUT_S)) for _ in range(LARGE_ROUNDS)]
    return statistics.median(one["s"] for one in rounds), statistics.median(one["rss_mib"] for one in rounds)


@contextmanager
def prepared() -> Iterator[tuple[Lab, list[Peer]]]:
    """The hosts with our programs on them, and the other tools, if they can be had."""
    with lab(HOSTS) as bench:
        bench.cortops("apply")
        try:
            programs = install(cache_root(os.environ) / "peers")
        except subprocess.CalledProcessError:
            print("ansible and pyinfra are left out: they cannot be installed here")
            yield bench, []
            return
        known_hosts, names = bench.home / ".ssh" / "known_hosts", [host.name for host in bench.fleet]
        yield bench, peers(programs, bench.home, bench.fleet.config, known_hosts, names)


def main() -> None:
    """Measure, print, leave nothing running."""
    large_s = observe_200_s()
    plan_s, plan_mib = planned_1000()
    with prepared() as (bench, others):
        apply_s, noop_s = measured(bench, others, rounds=ROUNDS)
        back_s = rollback_s(bench)
        bench.cortops("down", "--purge")
    for name in apply_s:
        times = (statistics.median(apply_s[name]), min(apply_s[name]), max(apply_s[name]), statistics.median(noop_s[name]))
        print("{:20} apply {:6.2f} s ({:.2f} to {:.2f})   no-op {:6.2f} s".format(name, *times))
    noop, made = over_floor(noop_s), over_floor(apply_s)
    figures = [
        Figure(bench="deploy", figure="noop_over_floor", value=noop.pop("cortops"), unit="", goal="<= 1.5", beside=noop),
        Figure(bench="deploy", figure="apply_over_floor", value=made.pop("cortops"), unit="", goal="<= 1.5", beside=made),
        Figure(bench="deploy", figure="observe_200_s", value=large_s, unit="s", goal="<= 10"),
        Figure(bench="deploy", figure="rollback_s", value=back_s, unit="s", goal="<= 60"),
        Figure(bench="deploy", figure="plan_1000_hosts_s", value=plan_s, unit="s", goal="<= 2"),
        Figure(bench="deploy", figure="plan_1000_hosts_rss_mib", value=plan_mib, unit="MiB", goal="<= 400"),
    ]
    commit = run(["git", "describe", "--always", "--dirty"], env=os.environ, timeout_s=10).strip()
    report(figures, configuration=f"{ROOT.name} {commit}, {HOSTS} hosts, {ROUNDS} rounds, {SIMULATED} simulated hosts")


if __name__ == "__main__":
    main()
