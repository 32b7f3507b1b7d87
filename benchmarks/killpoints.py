"""Kill points: adopt, upgrade, bad release, rollback and leave, in every install shape, killed in every state that a host passes through.

Needs root: each worker has namespaces of its own, in which it mounts over what our programs write. CORTOPS_BENCH_SEED chooses other points
among those that change nothing, and other moments inside of a command.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import ROOT, Figure, report, run
from cortops.testing.kills import why_not
from cortops.testing.kills.place import compile_programs
from cortops.testing.kills.worker import command

QUOTA = 45  # kills for each shape and scenario, at least
MOST = 10_000
TIMEOUT_S = 3_600.0
SHOWN_MAX = 20

Points = Sequence[Mapping[str, object]]


def points(*, workers: int, quota: int, most: int, seed: int, only: Sequence[str] = ()) -> list[dict[str, object]]:
    """Every kill of all workers. RuntimeError with what a worker said that failed."""
    with tempfile.TemporaryDirectory(prefix="cortops-kills-") as folder:
        programs = Path(folder)
        compile_programs(programs)
        running = []
        for share in range(workers):
            argv = command(programs, share=share, of=workers, quota=quota, most=most, seed=seed, only=only)
            worker = subprocess.Popen(argv, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            running.append(worker)
        try:
            said = [worker.communicate(timeout=TIMEOUT_S)[0] for worker in running]
        finally:
            for worker in running:
                worker.kill()  # and with it all of its namespace
    for worker, text in zip(running, said, strict=True):
        if worker.returncode != 0:
            raise RuntimeError(f"a worker ended with {worker.returncode}: {text[-2000:]}")
    return [json.loads(line) for text in said for line in text.splitlines()]


def counted(found: Points) -> dict[str, int]:
    """How many, and how many of each kind."""
    kinds = collections.Counter(str(one["left"]) for one in found)
    return {
        "points": len(found),
        "mixed": kinds["mixed"],
        "not_put_right": sum(1 for one in found if one["wrong"]),
        "whole": kinds["before"] + kinds["after"],
        "unfinished": kinds["unfinished"],
        "stopped": sum(1 for one in found if one["stopped"]),
    }


def table(found: Points) -> str:
    """A row for each shape and scenario."""
    rows: dict[tuple[str, str], list[Mapping[str, object]]] = {}
    for one in found:
        rows.setdefault((str(one["shape"]), str(one["scenario"])), []).append(one)
    lines = [f"{'SHAPE':9} {'SCENARIO':12} POINTS  WHOLE  UNFINISHED  MIXED  STOPPED  NOT PUT RIGHT"]
    for (shape, scenario), group in rows.items():
        has = counted(group)
        numbers = (has["points"], has["whole"], has["unfinished"], has["mixed"], has["stopped"], has["not_put_right"])
        lines.append("{:9} {:12} {:6} {:6} {:11} {:6} {:8} {:14}".format(shape, scenario, *numbers))
    return "\n".join(lines)


def complaints(found: Points) -> Iterable[str]:
    """One line for each point that is not as it must be."""
    for one in found:
        if one["left"] == "mixed" or one["wrong"]:
            where = f"{'in' if one['inside'] else 'before'} command {one['at']} ({one['command']})"
            yield f"{one['shape']}, {one['scenario']}, {where}: {one['left']}; {one['why']} {one['wrong']}"


def main() -> None:
    """Kill, judge, print."""
    if why := why_not():
        raise SystemExit(f"kill points cannot be run here: {why}")
    seed = int(os.environ.get("CORTOPS_BENCH_SEED", "1"))
    begun = time.perf_counter()
    found = points(workers=os.cpu_count() or 1, quota=QUOTA, most=MOST, seed=seed)
    elapsed_s = time.perf_counter() - begun
    print(table(found))
    for line in list(complaints(found))[:SHOWN_MAX]:
        print(line)
    has = counted(found)
    goals = {"points": ">= 1000", "mixed": "<= 0", "not_put_right": "<= 0"}
    figures = [Figure(bench="killpoints", figure=name, value=value, unit="points", goal=goals.get(name, "")) for name, value in has.items()]
    commit = run(["git", "describe", "--always", "--dirty"], env=os.environ, timeout_s=10).strip()
    report(figures, configuration=f"{ROOT.name} {commit}, seed {seed}, {elapsed_s:.0f} s")


if __name__ == "__main__":
    main()
