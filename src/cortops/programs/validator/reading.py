"""What the chain's words mean for the validator, pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cortops.contracts.abi import Event
from cortops.contracts.records import TASKS_KEPT
from cortops.programs.common.progress import Key, key_of, progress_of
from cortops.programs.validator.judge import Replica

RECORDED = "TaskVerdictsRecorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One task as far as it is to be judged.

    kept: the queue still has it in storage, without which no verdict is taken. absent: assigned, and no commit. recorded: by us.
    """

    kept: bool
    ended: bool
    recorded: bool
    replicas: tuple[Replica, ...]
    absent: tuple[str, ...]


def story_of(events: Iterable[Event], validator: str, *, kept: bool) -> Story:
    """Events of one task, in order; validator: our address; kept: whether the queue still has it in storage."""
    ordered = tuple(events)
    progress = progress_of(ordered)
    texts = {event.args["miner"]: event.args["data"] for event in ordered if event.name == "TaskCommitted"}
    return Story(
        kept=kept,
        ended=progress.ended,
        recorded=any(is_ours(event, validator) for event in ordered),
        replicas=tuple(Replica(miner=miner, text=texts[miner]) for miner in progress.miners if miner in texts),
        absent=tuple(miner for miner in progress.miners if miner not in texts),
    )


def is_ours(event: Event, validator: str) -> bool:
    """Whether the event says that this validator has recorded its verdicts."""
    return event.name == RECORDED and event.args["validator"].lower() == validator.lower()


def with_results(event: Event) -> bool:
    """Whether the event ends a task in which somebody committed."""
    return event.name == "TaskEnded" and bool(event.args["miners"])


def unjudged(ended: Iterable[Event], recorded: Iterable[Event], count: int) -> tuple[Key, ...]:
    """Tasks that ended with results, that storage may still have, without a record among `recorded`: the newest `count`, oldest first."""
    done = {key_of(event) for event in recorded}
    keys = tuple(dict.fromkeys(key for event in ended if with_results(event) and (key := key_of(event)) is not None))
    newest: dict[int, int] = {}
    for session, task in keys:
        newest[session] = max(task, newest.get(session, 0))
    return tuple(key for key in keys if key not in done and key[1] > newest[key[0]] - TASKS_KEPT)[-count:]
