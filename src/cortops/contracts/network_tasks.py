"""The network's own tasks: Cognitive and CognitiveLevel as typed reads, and the calls that write to them. Source: facts C.4, D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cortops.contracts import abi
from cortops.contracts.artifact import Artifact, load
from cortops.contracts.network import Call
from cortops.contracts.rpc import RpcClient

COGNITIVE, COGNITIVE_LEVEL = "work/cognitive", "work/cognitive_level"
TEXT_BYTES_MAX = 4_096  # of a completion
CHALLENGES_MAX, CHALLENGE_BYTES_MAX = 4, 512
LEVELS_PAGE_MAX = 100
MINERS_MAX = 8  # of one task
LOOK_BACK_BLOCKS = 2_000  # a task is over long before


class TaskState(IntEnum):
    """Where the network's task is. 3, 4 and 6 are public, the others ours (facts C.4)."""

    NONE = 0
    CREATE = 1
    PREPARE = 2
    PRECOMMIT = 3
    COMMIT = 4
    ENDED = 6


class LastResult(IntEnum):
    """How a node's newest reported task went."""

    NONE = 0
    FAILED = 1
    PASSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTask:
    """The latest task as on chain, and who has done what; times in seconds since 1970, 0 = not yet."""

    id: int
    state: TaskState
    creator: str
    preparer: str
    miners: tuple[str, ...]
    domain: str
    subdomain: str
    seed: int
    requested_at: int
    started_at: int
    ended_at: int
    precommitted: frozenset[str]
    committed: frozenset[str]


class NetworkTasks:
    """Typed reads over one RpcClient, and calldata for writes. Reads raise ChainError; who may write is said at each call."""

    def __init__(self, rpc: RpcClient, cognitive: str, level: str) -> None:
        """cognitive, level: addresses of the two contracts."""
        self.rpc = rpc
        self.cognitive = cognitive
        self.level = level

    @property
    def contracts(self) -> Mapping[str, Artifact]:
        """{address: artifact}, as a Follower takes it."""
        return {self.cognitive: load(COGNITIVE), self.level: load(COGNITIVE_LEVEL)}

    # --- reads ---

    async def latest(self) -> NetworkTask | None:
        """The newest task; None before the first. Two round trips."""
        id_ = int(str(await self.rpc.call("eth_call", _asked(self._static("getLatestSessionId()")), "latest")), 16)
        return await self.task(id_) if id_ else None

    async def task(self, id_: int) -> NetworkTask | None:
        """One of the newest 16; None for others."""
        (values,) = await self._read(self.cognitive, COGNITIVE, "get", id_)
        task = dict(zip(_FIELDS, values, strict=True))
        if task["id"] != id_:
            return None
        miners = tuple(task["miners"])
        calls = [self._static(f"{name}(uint256,address)", id_, miner) for name in _DONE for miner in miners]
        done = await self.rpc.batch_results([("eth_call", (_asked(call), "latest")) for call in calls]) if calls else []
        flags = [bool(int(str(answer), 16)) for answer in done]
        return NetworkTask(
            id=id_,
            state=TaskState(task["state"]),
            creator=task["creator"],
            preparer=next(iter(task["preparers"]), ""),
            miners=miners,
            domain=task["domain"],
            subdomain=task["subdomain"],
            seed=task["seed"],
            requested_at=task["timestamp"],
            started_at=task["startTimestamp"],
            ended_at=task["endTimestamp"],
            precommitted=frozenset(miner for miner, flag in zip(miners, flags[: len(miners)], strict=True) if flag),
            committed=frozenset(miner for miner, flag in zip(miners, flags[len(miners) :], strict=True) if flag),
        )

    async def prompt(self, id_: int) -> str | None:
        """Its challenges, from the event; None where it has none yet, or it is too old for the node's logs."""
        where = {"address": self.cognitive, "fromBlock": hex(await self._from_block()), "toBlock": "latest"}
        logs = await self.rpc.call("eth_getLogs", where | {"topics": [load(COGNITIVE).topic("SessionPrepared"), "0x" + abi.word(id_)]})
        events = [event for log in logs if (event := abi.decode_log(load(COGNITIVE), log)) is not None]
        return "\n\n".join(events[-1].args["challenges"]) if events else None

    async def completions(self, id_: int) -> Mapping[str, str]:
        """Miner -> what it committed, from the events."""
        where = {"address": self.cognitive, "fromBlock": hex(await self._from_block()), "toBlock": "latest"}
        logs = await self.rpc.call("eth_getLogs", where | {"topics": [load(COGNITIVE).topic("SessionCompletion"), "0x" + abi.word(id_)]})
        events = [event for log in logs if (event := abi.decode_log(load(COGNITIVE), log)) is not None]
        return {event.args["addr"]: event.args["completion"] for event in events}

    async def _from_block(self) -> int:
        return max(0, int(await self.rpc.call("eth_blockNumber"), 16) - LOOK_BACK_BLOCKS)

    async def levels(self, nodes: Sequence[str]) -> Mapping[str, int]:
        """Node -> its level."""
        return await self._column("getNodeLevels", nodes)

    async def results(self, nodes: Sequence[str]) -> Mapping[str, LastResult]:
        """Node -> how its newest reported task went."""
        return {node: LastResult(value) for node, value in (await self._column("getNodeResults", nodes)).items()}

    async def may_report(self, id_: int) -> bool:
        """Whether nobody has reported on this task, or on a later one."""
        (found,) = await self._read(self.level, COGNITIVE_LEVEL, "getReportEligibility", id_)
        return bool(found)

    # --- writes: the oracle ---

    def request(self) -> Call:
        """By who holds ORACLE_ROLE, as the next five; the task before must have ended."""
        return self._static("request()")

    def next_creator(self, id_: int) -> Call:
        return self._static("requestNextCreator(uint256)", id_)

    def next_preparer(self, id_: int) -> Call:
        return self._static("requestNextPreparer(uint256)", id_)

    def end_precommit(self, id_: int) -> Call:
        return self._static("endPrecommit(uint256)", id_)

    def end(self, id_: int, *, forced: bool) -> Call:
        return self._static("end(uint256,bool)", id_, forced)

    # --- writes: nodes ---

    def create(self, domain: str, subdomain: str) -> Call:
        """By the creator of the latest task."""
        return self._call("create", domain, subdomain)

    def prepare(self, id_: int, challenges: Sequence[str], seed: int) -> Call:
        """By the preparer: one to CHALLENGES_MAX prompts."""
        return self._call("prepare", id_, list(challenges), b"", seed)

    def precommit(self, id_: int, text_hash: str, seed: int) -> Call:
        """By a miner of the task. text_hash: network.result_hash of the text that it will commit."""
        return self._call("precommit", id_, bytes.fromhex(text_hash[2:]), b"", seed)

    def commit(self, id_: int, text: str, seed: int) -> Call:
        """By a miner that has precommitted."""
        return self._call("commit", id_, text, b"", seed)

    # --- writes: the validator ---

    def report(self, id_: int, passed: Mapping[str, bool]) -> Call:
        """By who holds VALIDATOR_ROLE of the levels: {miner: passed}, once a task, in the order of tasks."""
        data = abi.encode_call(load(COGNITIVE_LEVEL), "report", id_, list(passed), list(passed.values()))
        return Call(self.level, data)

    # --- how they are asked ---

    async def _column(self, function: str, nodes: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for offset in range(0, len(nodes), LEVELS_PAGE_MAX):
            page = list(nodes[offset : offset + LEVELS_PAGE_MAX])
            (values,) = await self._read(self.level, COGNITIVE_LEVEL, function, page)
            found.update(zip(page, values, strict=True))
        return found

    async def _read(self, address: str, name: str, function: str, *args: object) -> tuple[Any, ...]:
        data = abi.encode_call(load(name), function, *args)
        return abi.decode_result(load(name), function, await self.rpc.call("eth_call", {"to": address, "data": data}, "latest"))

    def _static(self, signature: str, *args: int | str | bool) -> Call:
        return Call(self.cognitive, abi.static_call(load(COGNITIVE), signature, *args))

    def _call(self, function: str, *args: object) -> Call:
        return Call(self.cognitive, abi.encode_call(load(COGNITIVE), function, *args))


def _asked(call: Call) -> dict[str, str]:
    return {"to": call.to, "data": call.data}


_DONE = ("alreadyPrecommitted", "alreadyCommitted")
# Of the public struct, in its order (operators 2.4).
_FIELDS = (
    "id",
    "timestamp",
    "seed",
    "domain",
    "subdomain",
    "maxPrompts",
    "challengeIndex",
    "challenges",
    "miners",
    "state",
    "startTimestamp",
    "endTimestamp",
    "creator",
    "preparers",
    "preparerIndex",
    "submitterIds",
    "completionHashes",
    "completions",
    "completionCounter",
    "validators",
)
