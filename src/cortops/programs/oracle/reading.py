"""What the chain's words mean for the oracle, pure."""

from __future__ import annotations

from cortops.programs.common.progress import Progress
from cortops.programs.oracle.task import Limits, Seen, Stage
from cortops.protocol.settings import OracleSettings

PRECOMMIT_TIMEOUT_S_MAX = 3_600  # a task may ask for less or more than our default, not for ever
ASSIGN_TIMEOUT_S = 60.0  # without any registered node for so long, a task is ended unserved


def seen(progress: Progress, at: float, *, event: bool) -> Seen:
    """All that is known of a task -> its stage."""
    if progress.ended:
        return Seen(stage=Stage.ENDED, at=at, event=event)
    if progress.all_committed:
        return Seen(stage=Stage.COMMITTED, at=at, event=event)
    if progress.may_commit:
        return Seen(stage=Stage.PRECOMMITTED, at=at, some=bool(progress.committed), event=event)
    if progress.all_acked:
        return Seen(stage=Stage.ACKED, at=at, some=bool(progress.promised), event=event)
    if progress.miners:
        return Seen(stage=Stage.ASSIGNED, at=at, some=bool(progress.acked), event=event)
    return Seen(stage=Stage.QUEUED, at=at, event=event)


def limits_of(progress: Progress, settings: OracleSettings) -> Limits:
    """The deadlines of one task; its own requestParams[0] wins over our precommit timeout."""
    asked = progress.request_params[0] if progress.request_params else 0
    return Limits(
        assign_s=ASSIGN_TIMEOUT_S,
        ack_s=settings.ack_timeout_s,
        precommit_s=min(asked, PRECOMMIT_TIMEOUT_S_MAX) if asked else settings.precommit_timeout_s,
        commit_s=settings.commit_timeout_s,
    )


def late(progress: Progress, stage: Stage) -> tuple[str, ...]:
    """The miners that have not taken the step this stage waits for."""
    taken = {Stage.ASSIGNED: progress.acked, Stage.ACKED: set(progress.promised), Stage.PRECOMMITTED: progress.committed}
    return tuple(miner for miner in progress.miners if miner not in taken.get(stage, ()))
