"""Network: the contracts of one network as typed reads, and the calls that write to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cortops.contracts import abi
from cortops.contracts.artifact import NAMES, Artifact, load
from cortops.contracts.calls import Calls
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.records import (
    ACKED,
    ADMIN_ROLE,
    COMMITTED,
    COMPLETED,
    INVALID,
    MINERS_MAX,
    NEEDS_SPEC,
    NO_VERDICT,
    NODES_PAGE_MAX,
    ORACLE_ROLE,
    POOL_ROLE,
    PRECOMMITTED,
    QUEUED,
    REFERENCE_BYTES_MAX,
    RETRY,
    SCORE_MAX,
    SESSIONS_COUNTED_MAX,
    STATUS_NAMES,
    TASK_BYTES_MAX,
    TASKS_KEPT,
    TASKS_PAGE_MAX,
    VALID,
    VALIDATOR_ROLE,
    VERDICT_NAMES,
    Addresses,
    Call,
    Node,
    NodeStats,
    Result,
    Session,
    Task,
    VerdictOnChain,
)
from cortops.contracts.rpc import RpcClient

__all__ = [  # the values of `records` are had from here too
    "ACKED",
    "ADMIN_ROLE",
    "COMMITTED",
    "COMPLETED",
    "INVALID",
    "MINERS_MAX",
    "NEEDS_SPEC",
    "NODES_PAGE_MAX",
    "NO_VERDICT",
    "ORACLE_ROLE",
    "POOL_ROLE",
    "PRECOMMITTED",
    "QUEUED",
    "REFERENCE_BYTES_MAX",
    "RETRY",
    "SCORE_MAX",
    "SESSIONS_COUNTED_MAX",
    "STATUS_NAMES",
    "TASKS_KEPT",
    "TASKS_PAGE_MAX",
    "TASK_BYTES_MAX",
    "VALID",
    "VALIDATOR_ROLE",
    "VERDICT_NAMES",
    "Addresses",
    "Call",
    "Network",
    "Node",
    "NodeStats",
    "Result",
    "Session",
    "Task",
    "VerdictOnChain",
    "result_hash",
]


class Network(Calls):
    """Typed reads over one RpcClient, and calldata for writes. Reads raise CallReverted with the contract's reason ("no such task")."""

    def __init__(self, rpc: RpcClient, addresses: Addresses) -> None:
        super().__init__(addresses)
        self.rpc = rpc

    @property
    def contracts(self) -> dict[str, Artifact]:
        """{address: artifact}, as a Follower takes it."""
        return {getattr(self.addresses, name): load(name) for name in NAMES}

    # --- sessions ---

    async def session(self, sid: int) -> Session:
        """CallReverted "no such session" when there is none."""
        (values,) = await self._read("session", "getSession", sid)
        return Session(**dict(zip(Session.__slots__, values, strict=True)))

    async def session_id(self, name: str) -> int | None:
        """The session of this name, None when there is none."""
        (found,) = await self._read("session", "getSessionIdByName", name)
        return found or None

    async def session_count(self) -> int:
        """Sessions have the ids 1 .. this."""
        return await self._number("session", "getSessionCount()")

    # --- tasks ---

    async def task(self, sid: int, tid: int) -> Task:
        """One of the last TASKS_KEPT tasks of the session; CallReverted "no such task" for others (read_path knows them all)."""
        (values,) = await self._read("session_queue", "getTask", sid, tid)
        return _task(values)

    async def tasks(self, sid: int, offset: int, amount: int) -> tuple[Task, ...]:
        """Tasks offset + 1 .. offset + amount (<= TASKS_PAGE_MAX), as far as storage has them."""
        (page,) = await self._read("session_queue", "getTasksBySessionId", sid, offset, amount)
        return tuple(_task(values) for values in page)

    async def open_tasks(self, sid: int) -> tuple[Task, ...]:
        """All tasks of the session that have not ended, oldest first: what a restarted program must pick up."""
        return tuple(task for task in await self.kept_tasks(sid) if not task.ended)

    async def kept_tasks(self, sid: int) -> tuple[Task, ...]:
        """All tasks of the session that storage has, at most TASKS_KEPT, oldest first."""
        count = (await self.task_counts([sid]))[0]
        first = max(0, count - TASKS_KEPT)
        pages = [await self.tasks(sid, offset, min(TASKS_PAGE_MAX, count - offset)) for offset in range(first, count, TASKS_PAGE_MAX)]
        return tuple(task for page in pages for task in page)

    async def task_counts(self, sids: Sequence[int]) -> list[int]:
        """How many tasks each session has had so far; at most SESSIONS_COUNTED_MAX sessions."""
        (counts,) = await self._read("session_queue", "getTaskCountBySessionIds", list(sids))
        return list(counts)

    async def task_results(self, sid: int, tid: int) -> tuple[Result, ...]:
        """One Result for each assigned miner, in the order of assignment."""
        (found,) = await self._read("session_queue", "getTaskResults", sid, tid)
        return tuple(_result(*values) for values in found)

    async def verdicts(self, sid: int, tid: int) -> tuple[VerdictOnChain, ...]:
        """The last verdict on each miner that has one, in the order of assignment; CallReverted "no such task" as `task`."""
        columns = await self._read("session_queue_validation", "getVerdicts", sid, tid)
        return tuple(VerdictOnChain(miner=m, verdict=v, score=s) for m, v, s in zip(*columns, strict=True) if v != NO_VERDICT)

    async def has_recorded(self, sid: int, tid: int, validator: str) -> bool:
        """Whether this validator has recorded verdicts on the task; False too for a task that storage no longer has."""
        return bool(await self._number("session_queue_validation", "hasRecorded(uint256,uint256,address)", sid, tid, validator))

    # --- nodes ---

    async def is_registered(self, address: str) -> bool:
        return bool(await self._number("node_registry", "isNodeRegistered(address)", address))

    async def registered(self, addresses: Sequence[str]) -> frozenset[str]:
        """Those of `addresses` that are registered; one batch."""
        calls = [self._static("node_registry", "isNodeRegistered(address)", address) for address in addresses]
        answers = await self.rpc.batch_results([("eth_call", ({"to": call.to, "data": call.data}, "latest")) for call in calls])
        return frozenset(address for address, answer in zip(addresses, answers, strict=True) if int(str(answer), 16))

    async def last_ping_at(self, address: str) -> int:
        """Seconds since 1970; 0 for a node that never pinged, or is none."""
        return await self._number("node_registry", "lastPingAt(address)", address)

    async def nodes(self) -> tuple[Node, ...]:
        """All registered nodes, by pages of NODES_PAGE_MAX."""
        found = await self._pages("node_registry", "getNodesByPage", await self._number("node_registry", "getNodeCount()"))
        return tuple(Node(address=a, registered_at=r, last_ping_at=p, verified=v) for a, r, p, v in found)

    async def node_stats(self, address: str) -> NodeStats:
        """All zero for a node that was never assigned."""
        (values,) = await self._read("node_stats", "getNodeStats", address)
        return NodeStats(**dict(zip(NodeStats.__slots__, values, strict=True)))

    async def all_node_stats(self) -> tuple[NodeStats, ...]:
        """Of all registered nodes, in the order of `nodes`."""
        found = await self._pages("node_stats", "getNodeStatsByPage", await self._number("node_registry", "getNodeCount()"))
        return tuple(NodeStats(**dict(zip(NodeStats.__slots__, values, strict=True))) for values in found)

    async def ephemeral_nodes(self) -> tuple[str, ...]:
        """Nodes that are free for any session."""
        return tuple(await self._pages("node_pool", "getEphemeralNodesByPage", await self._number("node_pool", "getEphemeralNodeCount()")))

    async def reserving_session(self, address: str) -> int | None:
        """The session that holds this node of the pool, None when none does."""
        return await self._number("node_pool", "getReservingSessionId(address)", address) or None

    async def has_role(self, contract: str, role: str, address: str) -> bool:
        """contract: one of the addresses; role: bytes32, ADMIN_ROLE, ORACLE_ROLE, VALIDATOR_ROLE or POOL_ROLE."""
        return bool(await self._word(Call(contract, abi.static_call(load("session_queue"), "hasRole(bytes32,address)", role, address))))

    # --- how they are asked ---

    async def _read(self, name: str, function: str, *args: object) -> tuple[Any, ...]:
        call = self._call(name, function, *args)
        return abi.decode_result(load(name), function, await self.rpc.call("eth_call", {"to": call.to, "data": call.data}, "latest"))

    async def _pages(self, name: str, function: str, count: int) -> list[Any]:
        found: list[Any] = []
        for offset in range(0, count, NODES_PAGE_MAX):
            (page,) = await self._read(name, function, offset, NODES_PAGE_MAX)
            found += page
        return found

    async def _number(self, name: str, signature: str, *args: int | str | bool) -> int:
        return await self._word(self._static(name, signature, *args))

    async def _word(self, call: Call) -> int:
        answer = str(await self.rpc.call("eth_call", {"to": call.to, "data": call.data}, "latest"))
        if len(answer) != 66:
            raise abi.unreadable(f"the contract at {call.to}", answer)
        return int(answer, 16)


def result_hash(text: str) -> str:
    """What a miner precommits for the text it will commit: keccak256 of its UTF-8, as getHash on chain."""
    return keccak_hex(text.encode())


def _task(values: tuple[Any, ...]) -> Task:
    id_, gid, session, _text, miners, ended, status, *times = values
    names = ("created_at", "last_precommit_at", "last_commit_at", "finished_at")
    stamps: Mapping[str, int] = dict(zip(names, times, strict=True))
    return Task(id=id_, gid=gid, session=session, miners=miners, ended=ended, status=status, **stamps)


def _result(miner: str, step: int, digest: str, _text: str, acked_at: int, precommitted_at: int, committed_at: int) -> Result:
    shown = digest if precommitted_at else ""
    return Result(miner=miner, step=step, hash=shown, acked_at=acked_at, precommitted_at=precommitted_at, committed_at=committed_at)
