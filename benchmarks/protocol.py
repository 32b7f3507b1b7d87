"""Simulated networks in storms of every kind, seed after seed: how many steps, and how often something happened that must not.

Real routers, oracles and miners run on a virtual clock over the model of the queue, which agrees with the compiled contract
(tests/testing/simulation). A step is a call that the chain tried, an event or a batch that a program was told, or a word to a client.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from benchmarks.harness import Figure, report
from cortops.testing.simulation.ledger import Weather
from cortops.testing.simulation.world import Result, World, storm

STEPS_MIN = 500_000
REQUESTS = 40
WORST = Weather(unread=0.1, unsure=0.2, lost=0.1, back=0.1, crash=0.15, double=0.3, engine_fails=0.2)


def run(seed: int) -> Result:
    """One network."""
    return World(seed, storm(WORST, random.Random(seed))).run(REQUESTS)


def main() -> None:
    """Run seeds until there are enough steps; print what was seen."""
    found: list[Result] = []
    first = int(os.environ.get("CORTOPS_BENCH_SEED", "1"))
    wanted = int(STEPS_MIN * float(os.environ.get("CORTOPS_BENCH_SCALE", "1")))
    with ProcessPoolExecutor() as pool:
        while sum(one.steps for one in found) < wanted:
            begin = first + len(found)
            found += pool.map(run, range(begin, begin + 8))
    failed = sum((one.failed for one in found), Counter[str]())
    violations = [violation for one in found for violation in one.violations]
    beside = {
        "seeds": float(len(found)),
        "tasks": float(sum(one.tasks for one in found)),
        "answered": float(sum(one.answered for one in found)),
        "crashes": float(sum(one.crashes for one in found)),
        "rewinds": float(sum(one.rewinds for one in found)),
        "refusals": float(failed.total()),
    }
    figures = [
        Figure(
            bench="protocol", figure="steps", value=sum(one.steps for one in found), unit="steps", goal=f">= {STEPS_MIN}", beside=beside
        ),
        Figure(bench="protocol", figure="violations", value=len(violations), unit="violations", goal="<= 0"),
    ]
    report(figures, configuration=f"seeds {first} to {first + len(found) - 1}, {REQUESTS} requests each; {violations[:5]}")


if __name__ == "__main__":
    main()
