"""What the chain has said of one task so far: the fold of its events, pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cortops.contracts.abi import Event

Key = tuple[int, int]  # session, task


def key_of(event: Event) -> Key | None:
    """Which task an event speaks of, None when of none."""
    args = event.args
    return (args["sessionId"], args["taskId"]) if "taskId" in args else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """identity: the transaction that submitted it, which tells tasks apart that bear the same number on both sides of a rewind.

    Miners' sets speak of the last assignment. Source: session_queue.vy, whose rules `all_acked`, `may_commit`, `all_committed` repeat.
    """

    identity: str = ""
    block: int = 0
    text: str = field(default="", repr=False)
    reference: str = ""
    prompt_type: int = 0
    template: str = field(default="", repr=False)
    llm_params: tuple[int, ...] = ()
    request_params: tuple[int, ...] = ()
    miners: tuple[str, ...] = ()
    acked: frozenset[str] = frozenset()
    promised: Mapping[str, str] = field(default_factory=dict)  # miner -> precommitted hash
    committed: frozenset[str] = frozenset()
    ack_closed: bool = False
    precommit_closed: bool = False
    commit_closed: bool = False
    ended: bool = False

    @property
    def all_acked(self) -> bool:
        return self.ack_closed or (bool(self.miners) and len(self.acked) == len(self.miners))

    @property
    def may_commit(self) -> bool:
        return self.precommit_closed or (self.all_acked and len(self.promised) == len(self.acked))

    @property
    def all_committed(self) -> bool:
        return self.commit_closed or (bool(self.committed) and len(self.committed) == len(self.promised))

    def add(self, event: Event) -> Progress:
        """Told twice, an event changes nothing."""
        args = event.args
        match event.name:
            case "TaskSubmitted":
                return replace(self, identity=event.tx, block=event.block, text=args["taskData"], reference=args["clientReference"])
            case "TaskParameters":
                return replace(
                    self,
                    prompt_type=args["promptType"],
                    template=args["promptTemplate"],
                    llm_params=args["llmParams"],
                    request_params=args["requestParams"],
                )
            case "TaskAssigned" if not self.acked:
                return replace(self, miners=args["miners"], promised={}, committed=frozenset())
            case "TaskAcked":
                return replace(self, acked=self.acked | {args["miner"]})
            case "TaskPrecommitted":
                return replace(self, promised={**self.promised, args["miner"]: args["hash"]})
            case "TaskCommitted":
                return replace(self, committed=self.committed | {args["miner"]})
            case "TaskAckEnded":
                return replace(self, ack_closed=True)
            case "TaskPrecommitEnded" | "TaskAllPrecommitted":
                return replace(self, ack_closed=True, precommit_closed=True)
            case "TaskCommitEnded" | "TaskAllCommitted":
                return replace(self, commit_closed=True)
            case "TaskEnded":
                return replace(self, ended=True)
        return self


def progress_of(events: Iterable[Event]) -> Progress:
    """Events of one task, in order."""
    progress = Progress()
    for event in events:
        progress = progress.add(event)
    return progress
