"""How many steps of tasks the chain has told since this program began: what `/metrics` counts."""

from __future__ import annotations

from cortops.contracts.abi import Event
from cortops.contracts.follow import Batch

# Named as `cortops task show` names them.
STEPS = {
    "TaskSubmitted": "submitted",
    "TaskAssigned": "assigned",
    "TaskAcked": "acked",
    "TaskPrecommitted": "precommitted",
    "TaskCommitted": "committed",
    "TaskEnded": "ended",
}


class TaskSteps:
    """`counts` {step: how often}. With a miner's address only its own steps; the submission is nobody's, so a miner has none."""

    def __init__(self, miner: str = "") -> None:
        self._miner = miner
        self.counts = {step: 0 for name, step in STEPS.items() if not miner or name != "TaskSubmitted"}

    def tell(self, batch: Batch) -> None:
        """Count what the chain did."""
        for event in batch.events:
            step = STEPS.get(event.name)
            if step in self.counts and (not self._miner or self._concerns(event)):
                self.counts[step] += 1

    def _concerns(self, event: Event) -> bool:
        return event.args.get("miner") == self._miner or self._miner in event.args.get("miners", ())
