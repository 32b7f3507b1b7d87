"""What the chain's words mean for one miner, pure."""

from __future__ import annotations

from cortops.contracts.abi import Event
from cortops.programs.common.progress import Progress
from cortops.programs.miner.task import Gone, Mined, Reached, Synced


def reading(progress: Progress, miner: str) -> Synced | Gone:
    """All that is known of a task -> how far this miner's part is."""
    if miner not in progress.miners or not progress.identity:
        return Gone()
    return Synced(reached=_reached(progress, miner), identity=progress.identity, promised_hash=progress.promised.get(miner, ""))


def _reached(progress: Progress, miner: str) -> Reached:
    if progress.ended or progress.commit_closed:
        return Reached.ENDED
    if miner in progress.committed:
        return Reached.COMMITTED
    if miner in progress.promised:
        return Reached.MAY_COMMIT if progress.may_commit else Reached.PRECOMMITTED
    if progress.precommit_closed:
        return Reached.ENDED
    if miner in progress.acked:
        return Reached.ACKED
    return Reached.ENDED if progress.ack_closed else Reached.ASSIGNED


def mined(event: Event, miner: str) -> Mined | None:
    """One event of a task -> what it means for this miner, None for nothing."""
    args = event.args
    match event.name:
        case "TaskAcked" if args["miner"] == miner:
            return Mined(reached=Reached.ACKED)
        case "TaskPrecommitted" if args["miner"] == miner:
            return Mined(reached=Reached.PRECOMMITTED, promised_hash=args["hash"])
        case "TaskAllPrecommitted" | "TaskPrecommitEnded":
            return Mined(reached=Reached.MAY_COMMIT)
        case "TaskCommitted" if args["miner"] == miner:
            return Mined(reached=Reached.COMMITTED)
        case "TaskEnded":
            return Mined(reached=Reached.ENDED)
    return None


def time_for(progress: Progress, own_s: float) -> float:
    """How long the engine may take, seconds: what the task allows until the precommit (requestParams[0]), within our own limit."""
    asked = progress.request_params[0] if progress.request_params else 0
    return min(own_s, asked) if asked else own_s
