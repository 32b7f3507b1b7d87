"""What every benchmark shares: interleaved rounds, medians, one table for people, and last one JSON line per figure."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORTOPS = ROOT / ".venv" / "bin" / "cortops"
_MAX, _MIN = "<=", ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. goal: `<= 25` or `>= .95`, empty where there is none; beside: peer -> the same figure of that peer."""

    bench: str
    figure: str
    value: float
    unit: str
    goal: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if not self.goal:
            return None
        sign, _, limit = self.goal.partition(" ")
        if sign not in {_MAX, _MIN}:
            raise ValueError(f"{self.goal!r} is not of the form '<= 25' or '>= .95'")
        return self.value <= float(limit) if sign == _MAX else self.value >= float(limit)


def interleaved(cases: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, float]:
    """Each case once per round, so that a slow minute of the machine touches all alike; case -> median of its rounds (>= 1)."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(case())
    return {name: statistics.median(values) for name, values in found.items()}


def elapsed_s(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, statuses: Iterable[int] = (0,)) -> float:
    """Seconds that a whole process takes, from start to exit; RuntimeError with its output when it ends with another status."""
    begun = time.perf_counter()
    run(argv, env=env, timeout_s=timeout_s, statuses=statuses)
    return time.perf_counter() - begun


def run(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, statuses: Iterable[int] = (0,)) -> str:
    """The standard output of a whole process; RuntimeError with all of its output when it ends with another status."""
    done = subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode not in statuses:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def pss_mib(pid: int) -> float:
    """Proportional set size of a process and all below it: shared pages counted once. What ends meanwhile counts nothing."""
    kib = 0
    for each in _tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib / 1024


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all below it so far, those that ended and were waited for included."""
    ticks = 0
    for each in _tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime: proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def tree_cpu_ns(pid: int) -> int:
    """CPU nanoseconds of every thread that lives now of a process and of all below it: exact where `tree_cpu_s` counts clock ticks."""
    total = 0
    for each in _tree(pid):
        for task in Path(f"/proc/{each}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except OSError:
                continue
    return total


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    tree = [pid]
    for each in tree:  # grows while it is read
        tree += children.get(each, [])
    return tree


def machine() -> str:
    """One line: what the figures were measured on."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return f"{os.cpu_count()} cores {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def report(figures: Sequence[Figure], *, configuration: str) -> None:
    """Table, configuration, and the JSON lines last."""
    rows = [("FIGURE", "VALUE", "UNIT", "GOAL", "", "BESIDE")]
    for one in figures:
        verdict = {None: "", True: "met", False: "MISSED"}[one.met]
        beside = ", ".join(f"{peer} {value:.4g}" for peer, value in one.beside.items())
        rows.append((one.figure, f"{one.value:.4g}", one.unit, one.goal, verdict, beside))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{configuration}; {machine()}")
    for one in figures:
        print(json.dumps(asdict(one) | {"value": round(one.value, 4)}))
    sys.stdout.flush()
