"""The answers to a network task -> who passed, pure. Source: facts D (validatorv1 regulates network tasks and levels); the rule is ours."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.contracts.network_tasks import NetworkTask
from cortops.programs.validator.judge import Decision, Replica, Verdict


def replicas_of(task: NetworkTask, completions: Mapping[str, str]) -> tuple[Replica, ...]:
    """What was committed, in the order of the task's miners."""
    return tuple(Replica(miner=miner, text=completions[miner]) for miner in task.miners if miner in completions)


def results(task: NetworkTask, decision: Decision | None) -> Mapping[str, bool]:
    """Miner -> whether it passed; those of whom nothing is certain are left out.

    A miner that was selected and committed nothing has failed. Without a majority nobody is accused of a wrong answer, as in `judge`; an
    answer that stands alone was at least given: it passes. decision: None where nobody committed: then the network is the suspect, and
    nobody is reported at all.
    """
    if decision is None:
        return {}
    found: dict[str, bool] = {miner: False for miner in task.miners if miner not in task.committed}
    alone = len(decision.verdicts) == 1
    for one in decision.verdicts:
        if one.verdict in (Verdict.VALID, Verdict.INVALID):
            found[one.miner] = one.verdict is Verdict.VALID
        elif alone and one.verdict is Verdict.RETRY:
            found[one.miner] = True
    return found
