"""Steps of tasks, counted as the chain tells them."""

from __future__ import annotations

from typing import Any

from cortops.contracts.abi import Event
from cortops.contracts.follow import Batch
from cortops.programs.common.steps import TaskSteps

OURS, OTHER = "0x" + "aA" * 20, "0x" + "bB" * 20


def told(*events: tuple[str, dict[str, Any]]) -> Batch:
    found = [Event(name=name, address="", args=args, block=1, log_index=at, tx="0x") for at, (name, args) in enumerate(events)]
    return Batch(events=tuple(found), first=1, head=1, head_at=0, rewound=False)


BATCH = told(
    ("TaskSubmitted", {"taskData": "x"}),
    ("TaskAssigned", {"miners": (OURS, OTHER)}),
    ("TaskAcked", {"miner": OURS}),
    ("TaskAcked", {"miner": OTHER}),
    ("TaskPrecommitted", {"miner": OTHER}),
    ("TaskCommitted", {"miner": OURS}),
    ("TaskEnded", {"miners": (OTHER,)}),
    ("NodePinged", {"node": OURS}),
)


def test_all_steps_of_all() -> None:
    steps = TaskSteps()
    steps.tell(BATCH)
    assert steps.counts == {"submitted": 1, "assigned": 1, "acked": 2, "precommitted": 1, "committed": 1, "ended": 1}


def test_a_miner_counts_its_own() -> None:
    steps = TaskSteps(OURS)
    steps.tell(BATCH)
    steps.tell(BATCH)
    assert steps.counts == {"assigned": 2, "acked": 2, "precommitted": 0, "committed": 2, "ended": 0}
