"""Network: the three contracts of one network as typed reads, and the calls that write to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cortops.contracts import abi
from cortops.contracts.artifact import Artifact, load
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.rpc import RpcClient
from cortops.words.errors import BadInput

ORACLE_ROLE = keccak_hex(b"ORACLE_ROLE")
ADMIN_ROLE = "0x" + "00" * 32

# Status of a task, and how far one miner has come in it. A queued task with miners is assigned. Source: facts C.3 (numbers: ours).
QUEUED, ACKED, PRECOMMITTED, COMMITTED, COMPLETED = range(5)
STATUS_NAMES = ("queued", "acked", "precommitted", "committed", "completed")
SESSION_ACTIVE, SESSION_INACTIVE = 1, 2

TASKS_KEPT = 64  # of each session in the queue's storage; older ones only in events
MINERS_MAX = 8  # of one task
TASK_BYTES_MAX = 32_768  # of taskData and of a commit
REFERENCE_BYTES_MAX = 128
TASKS_PAGE_MAX = 16
NODES_PAGE_MAX = 100
SESSIONS_COUNTED_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the three contracts are."""

    node_registry: str
    session: str
    session_queue: str


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
class Node:
    """A registered node; times in seconds since 1970, last_ping_at 0 = never."""

    address: str
    registered_at: int
    last_ping_at: int
    verified: bool


class Network:
    """Typed reads over one RpcClient, and calldata for writes. Reads raise CallReverted with the contract's reason ("no such task")."""

    def __init__(self, rpc: RpcClient, addresses: Addresses) -> None:
        self.rpc = rpc
        self.addresses = addresses
        self._registry = load("node_registry")
        self._session = load("session")
        self._queue = load("session_queue")

    @property
    def contracts(self) -> dict[str, Artifact]:
        """{address: artifact}, as a Follower takes it."""
        where = self.addresses
        return {where.node_registry: self._registry, where.session: self._session, where.session_queue: self._queue}

    # --- reads ---

    async def session(self, sid: int) -> Session:
        """CallReverted "no such session" when there is none."""
        (values,) = await self._read(self._session_call("getSession", sid), self._session, "getSession")
        return Session(**dict(zip(Session.__slots__, values, strict=True)))

    async def session_id(self, name: str) -> int | None:
        """The session of this name, None when there is none."""
        (found,) = await self._read(self._session_call("getSessionIdByName", name), self._session, "getSessionIdByName")
        return found or None

    async def session_count(self) -> int:
        """Sessions have the ids 1 .. this."""
        (count,) = await self._read(self._session_call("getSessionCount"), self._session, "getSessionCount")
        return int(count)

    async def task(self, sid: int, tid: int) -> Task:
        """One of the last TASKS_KEPT tasks of the session; CallReverted "no such task" for others (read_path knows them all)."""
        (values,) = await self._read(self._queue_call("getTask", sid, tid), self._queue, "getTask")
        return _task(values)

    async def tasks(self, sid: int, offset: int, amount: int) -> tuple[Task, ...]:
        """Tasks offset + 1 .. offset + amount (<= TASKS_PAGE_MAX), as far as storage has them."""
        (page,) = await self._read(self._queue_call("getTasksBySessionId", sid, offset, amount), self._queue, "getTasksBySessionId")
        return tuple(_task(values) for values in page)

    async def open_tasks(self, sid: int) -> tuple[Task, ...]:
        """All tasks of the session that have not ended, oldest first: what a restarted program must pick up."""
        count = (await self.task_counts([sid]))[0]
        first = max(0, count - TASKS_KEPT)
        pages = [await self.tasks(sid, offset, min(TASKS_PAGE_MAX, count - offset)) for offset in range(first, count, TASKS_PAGE_MAX)]
        return tuple(task for page in pages for task in page if not task.ended)

    async def task_counts(self, sids: Sequence[int]) -> list[int]:
        """How many tasks each session has had so far; at most SESSIONS_COUNTED_MAX sessions."""
        (counts,) = await self._read(self._queue_call("getTaskCountBySessionIds", list(sids)), self._queue, "getTaskCountBySessionIds")
        return list(counts)

    async def task_results(self, sid: int, tid: int) -> tuple[Result, ...]:
        """One Result for each assigned miner, in the order of assignment; one batch."""
        functions = (
            "getTaskResultHashes",
            "getAllTaskResultAckedTimestamps",
            "getAllTaskResultPrecommitTimestamps",
            "getAllTaskResultCommitTimestamps",
        )
        answers = await self.rpc.batch_results([_eth_call(self._queue_call(function, sid, tid)) for function in functions])
        decoded = [abi.decode_result(self._queue, function, answer) for function, answer in zip(functions, answers, strict=True)]
        miners, hashes = decoded[0]
        return tuple(
            Result(
                miner=miner,
                step=COMMITTED if committed else PRECOMMITTED if precommitted else ACKED if acked else QUEUED,
                hash=digest if precommitted else "",
                acked_at=acked,
                precommitted_at=precommitted,
                committed_at=committed,
            )
            for miner, digest, acked, precommitted, committed in zip(
                miners, hashes, decoded[1][0], decoded[2][0], decoded[3][0], strict=True
            )
        )

    async def is_registered(self, address: str) -> bool:
        return bool(int(await self._word(self._registry, self.addresses.node_registry, "isNodeRegistered(address)", address), 16))

    async def last_ping_at(self, address: str) -> int:
        """Seconds since 1970; 0 for a node that never pinged, or is none."""
        return int(await self._word(self._registry, self.addresses.node_registry, "lastPingAt(address)", address), 16)

    async def nodes(self) -> tuple[Node, ...]:
        """All registered nodes, by pages of NODES_PAGE_MAX."""
        count = int(await self._word(self._registry, self.addresses.node_registry, "getNodeCount()"), 16)
        found: list[Node] = []
        for offset in range(0, count, NODES_PAGE_MAX):
            call = Call(self.addresses.node_registry, abi.encode_call(self._registry, "getNodesByPage", offset, NODES_PAGE_MAX))
            (page,) = await self._read(call, self._registry, "getNodesByPage")
            found += [Node(address=a, registered_at=r, last_ping_at=p, verified=v) for a, r, p, v in page]
        return tuple(found)

    async def has_role(self, contract: str, role: str, address: str) -> bool:
        """contract: one of the three addresses; role: bytes32, ADMIN_ROLE or ORACLE_ROLE."""
        return bool(int(await self._word(self._queue, contract, "hasRole(bytes32,address)", role, address), 16))

    # --- writes ---

    def register(self, metadata: str = "") -> Call:
        """By the node itself."""
        return Call(self.addresses.node_registry, abi.encode_call(self._registry, "register", metadata))

    def ping(self) -> Call:
        return Call(self.addresses.node_registry, abi.static_call(self._registry, "ping()"))

    def create_session(
        self,
        name: str,
        *,
        metadata: str = "",
        owner: str = "0x" + "00" * 20,
        min_nodes: int = 1,
        max_nodes: int = 1,
        redundant: int = 1,
        validator_nodes: int = 0,
        mode: int = 1,
        sla: int = 0,
        model: int = 0,
        reserve_period_s: int = 300,
        max_task_executions: int = 0,
    ) -> Call:
        """owner: the zero address means the sender. mode 1: dedicated nodes. model: modelIdentifier. redundant: miners for each task."""
        values = (name, metadata, owner, min_nodes, max_nodes, redundant, validator_nodes, mode, False, sla, model, reserve_period_s)
        return self._session_call("create", *values, max_task_executions)

    def deactivate_session(self, sid: int) -> Call:
        return self._session_call("deactivateSession", sid)

    def add_dedicated_node(self, sid: int, node: str) -> Call:
        """By the session's owner or an admin; the node must be registered."""
        return self._session_call("addDedicatedNode", sid, node)

    def remove_dedicated_node(self, sid: int, node: str) -> Call:
        return self._session_call("removeDedicatedNode", sid, node)

    def add_router(self, sid: int, router: str, metadata: str = "") -> Call:
        """By the session's owner or an admin. metadata: the router's public URL."""
        return self._session_call("addRouter", sid, router, metadata)

    def submit(
        self,
        sid: int,
        *,
        task_data: str,
        prompt_type: int,
        client_reference: str,
        node_type: int = 0,
        prompt_template: str = "",
        llm_params: Sequence[int] = (),
        request_params: Sequence[int] = (),
    ) -> Call:
        """By a router of the session or its owner. BadInput: task_data > TASK_BYTES_MAX bytes, client_reference > REFERENCE_BYTES_MAX."""
        _bounded("task text", task_data, TASK_BYTES_MAX)
        _bounded("client reference", client_reference, REFERENCE_BYTES_MAX)
        texts = (node_type, task_data, prompt_type, prompt_template, list(llm_params), list(request_params), client_reference)
        return self._session_call("submit", sid, *texts)

    def assign_task(self, sid: int, tid: int, miners: Sequence[str], model: int = 0) -> Call:
        """By the oracle; at most MINERS_MAX miners; again, with others, as long as none has acked."""
        return self._queue_call("assignTask", sid, tid, list(miners), model)

    def ack(self, sid: int, tid: int) -> Call:
        return self._queue_static("ack(uint256,uint256)", sid, tid)

    def precommit(self, sid: int, tid: int, digest: str, note: str = "") -> Call:
        """digest: result_hash of what will be committed."""
        return self._queue_call("precommit", sid, tid, digest, note)

    def commit(self, sid: int, tid: int, text: str) -> Call:
        """BadInput: text > TASK_BYTES_MAX bytes."""
        _bounded("result", text, TASK_BYTES_MAX)
        return self._queue_call("commit", sid, tid, text)

    def end_ack(self, sid: int, tid: int) -> Call:
        """By the oracle, as the next four: who has not acked is out."""
        return self._queue_static("endAck(uint256,uint256)", sid, tid)

    def end_precommit(self, sid: int, tid: int) -> Call:
        return self._queue_static("endPrecommit(uint256,uint256)", sid, tid)

    def end_commit(self, sid: int, tid: int) -> Call:
        return self._queue_static("endCommit(uint256,uint256)", sid, tid)

    def end(self, sid: int, tid: int) -> Call:
        """All have committed: finished."""
        return self._queue_static("end(uint256,uint256)", sid, tid)

    def end_forced(self, sid: int, tid: int) -> Call:
        """Finish it wherever it stands; TaskEnded names the miners that committed, none = failed."""
        return self._queue_static("end2(uint256,uint256,bool)", sid, tid, True)

    def grant_role(self, contract: str, role: str, address: str) -> Call:
        """By an admin of that contract."""
        return Call(contract, abi.static_call(self._queue, "grantRole(bytes32,address)", role, address))

    def link(self) -> tuple[Call, ...]:
        """The links between the three contracts, by an admin of each."""
        where = self.addresses
        return (
            Call(where.session, abi.static_call(self._session, "setNodeRegistryAddress(address)", where.node_registry)),
            Call(where.session, abi.static_call(self._session, "setSessionQueueAddress(address)", where.session_queue)),
            Call(where.session_queue, abi.static_call(self._queue, "setNodeRegistryAddress(address)", where.node_registry)),
            Call(where.session_queue, abi.static_call(self._queue, "setSessionAddress(address)", where.session)),
        )

    def _session_call(self, function: str, *args: object) -> Call:
        return Call(self.addresses.session, abi.encode_call(self._session, function, *args))

    def _queue_call(self, function: str, *args: object) -> Call:
        return Call(self.addresses.session_queue, abi.encode_call(self._queue, function, *args))

    def _queue_static(self, signature: str, *args: int | str | bool) -> Call:
        return Call(self.addresses.session_queue, abi.static_call(self._queue, signature, *args))

    async def _read(self, call: Call, artifact: Artifact, function: str) -> tuple[Any, ...]:
        method, params = _eth_call(call)
        return abi.decode_result(artifact, function, await self.rpc.call(method, *params))

    async def _word(self, artifact: Artifact, to: str, signature: str, *args: int | str | bool) -> str:
        method, params = _eth_call(Call(to, abi.static_call(artifact, signature, *args)))
        answer = str(await self.rpc.call(method, *params))
        if len(answer) != 66:
            raise abi.unreadable(f"{artifact.name}.{signature}", answer)
        return answer


def result_hash(text: str) -> str:
    """What a miner precommits for the text it will commit: keccak256 of its UTF-8, as getHash on chain."""
    return keccak_hex(text.encode())


def _bounded(what: str, text: str, bytes_max: int) -> None:
    # The contract's bound gives no reason, so it is said here.
    if (size := len(text.encode())) > bytes_max:
        raise BadInput(f"the {what} has {size} bytes, the contract takes {bytes_max}")


def _eth_call(call: Call) -> tuple[str, tuple[object, ...]]:
    return "eth_call", ({"to": call.to, "data": call.data}, "latest")


def _task(values: tuple[Any, ...]) -> Task:
    id_, gid, session, _text, miners, ended, status, *times = values
    names = ("created_at", "last_precommit_at", "last_commit_at", "finished_at")
    stamps: Mapping[str, int] = dict(zip(names, times, strict=True))
    return Task(id=id_, gid=gid, session=session, miners=miners, ended=ended, status=status, **stamps)
