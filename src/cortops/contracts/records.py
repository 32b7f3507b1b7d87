"""What the contracts hold, as frozen values, and the numbers and limits that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ORACLE_ROLE = "0x68e79a7bf1e0bc45d0a330c573bc367f9cf464fd326078812f301165fbda4ef1"  # keccak256 of its name; of session_queue
VALIDATOR_ROLE = "0x21702c8af46127c7fa207f89d0b0a8441bb32959a0ac7df790e9ab1a25c98926"  # keccak256 of its name; of session_queue_validation
POOL_ROLE = "0xb8179c2726c8d8961ef054875ab3f4c1c3d34e1cb429c3d5e0bc97958e4cab9d"  # keccak256 of its name; of node_pool
ADMIN_ROLE = "0x" + "00" * 32
NOBODY = "0x" + "00" * 20

# Status of a task, and how far one miner has come in it. A queued task with miners is assigned. Source: facts C.3 (numbers: ours).
QUEUED, ACKED, PRECOMMITTED, COMMITTED, COMPLETED = range(5)
STATUS_NAMES = ("queued", "acked", "precommitted", "committed", "completed")
SESSION_ACTIVE, SESSION_INACTIVE = 1, 2

# Verdicts. Source: facts E (the words), our contract (the numbers).
NO_VERDICT, VALID, INVALID, RETRY, NEEDS_SPEC = range(5)
VERDICT_NAMES = ("none", "VALID", "INVALID", "RETRY", "NEEDS_SPEC")
SCORE_MAX = 1000

TASKS_KEPT = 64  # of each session in the queue's storage; older ones only in events
MINERS_MAX = 8  # of one task
TASK_BYTES_MAX = 32_768  # of taskData and of a commit
REFERENCE_BYTES_MAX = 128
NOTE_BYTES_MAX = 1024  # of recorded verdicts
TASKS_PAGE_MAX = 16
NODES_PAGE_MAX = 100
SESSIONS_COUNTED_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the contracts are, each under its artifact's name; all but `runtime` can be found through it (discover)."""

    runtime: str
    node_registry: str
    node_pool: str
    node_stats: str
    session: str
    session_queue: str
    session_queue_validation: str


class Call(NamedTuple):
    """A write: `await sender.send(*call)`."""

    to: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """As on chain; times in seconds since 1970. Source: facts C.2."""

    id: int
    sid: str
    name: str
    metadata: str
    state: int
    created_at: int
    updated_at: int
    owner: str
    ephemeral_nodes: tuple[str, ...]
    dedicated_nodes: tuple[str, ...]
    mode: int
    redundant: int
    min_nodes: int
    max_nodes: int
    validator_nodes: int
    router_metadatas: tuple[str, ...]
    routers: tuple[str, ...]
    sla: int
    model: int
    reserve_period_s: int
    max_task_executions: int

    @property
    def active(self) -> bool:
        return self.state == SESSION_ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """As in the queue's storage; times in seconds since 1970, 0 = not yet. Text is in events only. Source: facts C.3."""

    id: int
    gid: int
    session: int
    miners: tuple[str, ...]
    ended: bool
    status: int
    created_at: int
    last_precommit_at: int
    last_commit_at: int
    finished_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One miner's part in a task; hash is "" and times are 0 until they are there. step: as Task.status, up to COMMITTED."""

    miner: str
    step: int
    hash: str
    acked_at: int
    precommitted_at: int
    committed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOnChain:
    """The last verdict on one miner's part in a task. verdict: VALID .. NEEDS_SPEC; score: 0 .. SCORE_MAX."""

    miner: str
    verdict: int
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A registered node; times in seconds since 1970, last_ping_at 0 = never."""

    address: str
    registered_at: int
    last_ping_at: int
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """How often, since the contract exists.

    assigned: each time the oracle chose it. ended: tasks of its that ended, committed or not. valid, invalid: verdicts, of each validator.
    """

    address: str
    assigned: int
    acked: int
    precommitted: int
    committed: int
    ended: int
    valid: int
    invalid: int
