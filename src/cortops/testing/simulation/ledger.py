"""A chain that is only rules: blocks of calls on the queue's model, which may go back; and what a program sees of it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cortops.contracts.abi import Event, word
from cortops.contracts.artifact import load
from cortops.contracts.follow import Batch
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import MINERS_MAX
from cortops.contracts.sender import Receipt
from cortops.testing.simulation import queue as model
from cortops.words.clock import Clock
from cortops.words.errors import CallReverted, ChainUnreachable, NotMined

SESSION_ADDRESS = "0x" + "5e" * 20
_ADDRESSES = ("session", "session_queue", "session_queue_validation")
MINED_TIMEOUT_S = 30.0
POLL_S = 0.05
SEAL_CALLS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What goes wrong, each by chance from 0 to 1, and how long things take at most, in seconds.

    unread: a read fails. refused_late: a call that cannot succeed is sent all the same, as without an estimate. unsure: a call's sender is
    not told whether it was taken. lost: a waiting call disappears. back: the head goes back at a new block. crash: of a program, a second.
    """

    unread: float = 0.0
    refused_late: float = 0.3
    unsure: float = 0.0
    lost: float = 0.0
    back: float = 0.0
    crash: float = 0.0
    double: float = 0.0
    engine_fails: float = 0.0
    latency_max_s: float = 0.2
    engine_max_s: float = 4.0


@dataclass(slots=True, eq=False)
class Sent:
    """A call that waits to be mined, or was."""

    call: model.Call
    sender: str
    tx: str
    block: int | None = None
    refused: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: str
    queue: model.Queue
    events: tuple[Event, ...]
    sent: tuple[Sent, ...]


class Ledger:
    """The one chain of a simulation. applied: calls that were tried on the model."""

    def __init__(self, chance: random.Random, clock: Clock, registered: frozenset[str]) -> None:
        self.chance = chance
        self.clock = clock
        self.applied = 0
        self.waiting: list[Sent] = []
        self._made = 0
        self._sent = 0
        self.blocks = [_Block(0, "0x0", model.Queue(registered=registered), (), ())]

    @property
    def head(self) -> _Block:
        return self.blocks[-1]

    def take(self, call: model.Call, sender: str) -> Sent:
        """Into the pool of waiting calls."""
        self._sent += 1
        sent = Sent(call, sender, f"0x{self._sent:064x}")
        self.waiting.append(sent)
        return sent

    def seal(self, lost: float) -> None:
        """The next block: what waits, in its order; some of it disappears by chance."""
        taken, self.waiting = self.waiting[:SEAL_CALLS_MAX], self.waiting[SEAL_CALLS_MAX:]
        queue, events, mined = self.head.queue, list[Event](), list[Sent]()
        number = self.head.number + 1
        for sent in taken:
            if self.chance.random() < lost:
                sent.gone = True
                continue
            self.applied += 1
            outcome = model.apply(queue, sent.call)
            sent.block, sent.refused = number, ""
            mined.append(sent)
            if isinstance(outcome, model.Refused):
                sent.refused = outcome.why
                continue
            queue, said = outcome
            for one in (*said, *_parameters(said)):
                events.append(
                    Event(name=one.name, args=_told(one), block=number, tx=sent.tx, log_index=len(events), address=SESSION_ADDRESS)
                )
        self._made += 1
        self.blocks.append(_Block(number, f"0x{self._made:x}", queue, tuple(events), tuple(mined)))

    def go_back(self, depth: int, lost: float) -> None:
        """The last blocks are undone; most of their calls wait again."""
        depth = min(depth, len(self.blocks) - 1)
        undone, self.blocks = self.blocks[len(self.blocks) - depth :], self.blocks[: len(self.blocks) - depth]
        again = [sent for block in undone for sent in block.sent]
        for sent in again:
            sent.block, sent.refused = None, ""
            sent.gone = self.chance.random() < lost
        self.waiting = [sent for sent in again if not sent.gone] + self.waiting
        self.seal(0.0)

    def events(self, key: model.Key) -> tuple[Event, ...]:
        """All events of one task."""
        return tuple(
            event for block in self.blocks for event in block.events if (event.args.get("sessionId"), event.args.get("taskId")) == key
        )


def _told(said: model.Said) -> dict[str, Any]:
    """The arguments that the model leaves out because nothing depends on them."""
    return {**said.args, "data": said.args.get("data", "")} if said.name in ("TaskPrecommitted", "TaskQueued") else dict(said.args)


def _parameters(said: tuple[model.Said, ...]) -> tuple[model.Said, ...]:
    """TaskParameters comes with each TaskSubmitted."""
    return tuple(
        model.Said(
            "TaskParameters",
            {
                "sessionId": one.args["sessionId"],
                "taskId": one.args["taskId"],
                "referenceHash": keccak_hex(one.args["clientReference"].encode()),
                "promptType": 0,
                "promptTemplate": "",
                "llmParams": (),
                "requestParams": (),
            },
        )
        for one in said
        if one.name == "TaskSubmitted"
    )


@dataclass(slots=True, kw_only=True)
class View:
    """What one program has of the chain: stands for programs.common.chain.Chain, its network and its RPC at once."""

    ledger: Ledger
    address: str
    weather: Weather
    sessions: Mapping[int, tuple[str, ...]]  # session -> its nodes
    redundant: int = 3
    double: float = 0.0  # calls are sent twice by chance
    addresses: Any = field(default_factory=lambda: SimpleNamespace(**dict.fromkeys(_ADDRESSES, SESSION_ADDRESS)))

    @property
    def network(self) -> View:
        return self

    @property
    def rpc(self) -> View:
        return self

    @property
    def contracts(self) -> dict[str, Any]:
        return {SESSION_ADDRESS: load("session")}

    # --- calls ---

    def submit(self, session: int, *, task_data: str, client_reference: str, **_rest: object) -> model.Call:
        return model.Submit(session=session, reference=client_reference, text=task_data)

    def assign_task(self, session: int, task: int, miners: tuple[str, ...], _model: int) -> model.Call:
        return model.Assign(key=(session, task), miners=miners[:MINERS_MAX])

    def ack(self, session: int, task: int) -> model.Call:
        return model.Ack(key=(session, task), miner=self.address)

    def precommit(self, session: int, task: int, text_hash: str, _note: str = "") -> model.Call:
        return model.Precommit(key=(session, task), miner=self.address, hash=text_hash)

    def commit(self, session: int, task: int, text: str) -> model.Call:
        return model.Commit(key=(session, task), miner=self.address, text=text)

    def end_ack(self, session: int, task: int) -> model.Call:
        return model.Close(key=(session, task), step=1)

    def end_precommit(self, session: int, task: int) -> model.Call:
        return model.Close(key=(session, task), step=2)

    def end_commit(self, session: int, task: int) -> model.Call:
        return model.Close(key=(session, task), step=3)

    def end(self, session: int, task: int) -> model.Call:
        return model.End(key=(session, task))

    def end_forced(self, session: int, task: int) -> model.Call:
        return model.End(key=(session, task), force=True)

    # --- writes ---

    async def write(self, call: model.Call, *, gas: int | None = None, **_about: object) -> Receipt:
        """As Chain.write: CallReverted, ChainUnreachable or NotMined."""
        ledger, chance = self.ledger, self.ledger.chance
        await self._wait()
        outcome = model.apply(ledger.head.queue, call)
        if isinstance(outcome, model.Refused) and gas is None and chance.random() >= self.weather.refused_late:
            raise CallReverted(f"the contract refused: {outcome.why}", why=outcome.why)
        unsure = chance.random() < self.weather.unsure
        if unsure and chance.random() < 0.5:
            raise ChainUnreachable("no answer", where="simulation")
        sent = ledger.take(call, self.address)
        if chance.random() < self.double:
            ledger.take(call, self.address)
        if unsure:
            raise ChainUnreachable("no answer", where="simulation")
        return await self._mined(sent)

    async def _mined(self, sent: Sent) -> Receipt:
        until, pause_s = self.ledger.clock.monotonic() + MINED_TIMEOUT_S, POLL_S
        while self.ledger.clock.monotonic() < until:
            await self.ledger.clock.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 1.0)
            if sent.block is not None:
                if sent.refused:
                    raise CallReverted(f"refused: {sent.refused}", why=sent.refused)
                return Receipt(tx=sent.tx, block=sent.block, block_hash="0x", gas_used=1, logs=())
        raise NotMined("not mined", where="simulation")

    async def settled(self) -> None:
        """As Chain.settled: nothing of this wallet waits."""
        while any(sent.sender == self.address for sent in self.ledger.waiting):
            await self.ledger.clock.sleep(0.1)

    # --- reads ---

    async def events(self, key: model.Key) -> tuple[Event, ...]:
        await self._read()
        return self.ledger.events(key)

    async def session_count(self) -> int:
        await self._read()
        return max(self.sessions)

    async def open_tasks(self, session: int) -> tuple[Any, ...]:
        await self._read()
        tasks = self.ledger.head.queue.tasks
        return tuple(
            SimpleNamespace(id=entry.id, miners=tuple(part.miner for part in entry.parts))
            for (at, _), entry in sorted(tasks.items())
            if at == session and not entry.ended
        )

    async def session(self, sid: int) -> Any:
        await self._read()
        return SimpleNamespace(dedicated_nodes=self.sessions[sid], ephemeral_nodes=(), redundant=self.redundant, model=0)

    async def registered(self, nodes: tuple[str, ...]) -> frozenset[str]:
        await self._read()
        return self.ledger.head.queue.registered & frozenset(nodes)

    async def call(self, method: str, *params: Any) -> Any:
        """The two RPC calls that a router makes by itself."""
        await self._read()
        if method == "eth_blockNumber":
            return hex(self.ledger.head.number)
        (query,) = params
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        found = (event for block in self.ledger.blocks if first <= block.number <= last for event in block.events)
        logs = [_raw(event) for event in found if event.name == "TaskParameters"]
        return [log for log in logs if all(want in (None, have) for want, have in zip(query["topics"], log["topics"], strict=False))]

    async def batches(self, from_block: int) -> AsyncGenerator[Batch, None]:
        """As a Follower: every block from this one on once, and again from where the chain went back."""
        told = [(block.number, block.hash) for block in self.ledger.blocks if block.number < max(1, from_block)]
        while True:
            await self._wait()
            blocks = self.ledger.blocks
            here = {block.number: block.hash for block in blocks}
            rewound = False
            while told and here.get(told[-1][0]) != told[-1][1]:
                told.pop()
                rewound = True
            first = told[-1][0] + 1
            new = blocks[first:]
            if not new and not rewound:
                continue
            told += [(block.number, block.hash) for block in new]
            events = tuple(event for block in new for event in block.events)
            yield Batch(events=events, first=first, head=blocks[-1].number, head_at=0, rewound=rewound)

    async def _read(self) -> None:
        await self._wait()
        if self.ledger.chance.random() < self.weather.unread:
            raise ChainUnreachable("no answer", where="simulation")

    async def _wait(self) -> None:
        await self.ledger.clock.sleep(self.ledger.chance.uniform(0.01, self.weather.latency_max_s))


def _raw(event: Event) -> dict[str, Any]:
    """TaskParameters as eth_getLogs gives it."""
    from eth_abi.abi import encode

    args = event.args
    types = ["address", "uint256", "uint256", "string", "uint256[]", "uint256[]"]
    body = encode(types, ["0x" + "00" * 20, 0, args["promptType"], args["promptTemplate"], [], []])
    return {
        "address": SESSION_ADDRESS,
        "topics": [
            load("session").topic("TaskParameters"),
            "0x" + word(args["sessionId"]),
            "0x" + word(args["taskId"]),
            args["referenceHash"],
        ],
        "data": "0x" + body.hex(),
        "blockNumber": hex(event.block),
        "blockHash": "0x0",
        "transactionHash": event.tx,
        "logIndex": hex(event.log_index),
    }
