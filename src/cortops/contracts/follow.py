"""Follower: the events of some contracts, block after block, through outages and through a head that goes back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cortops.contracts.abi import Event, decode_log
from cortops.contracts.artifact import Artifact
from cortops.contracts.heads import Hint, Polling
from cortops.contracts.rpc import RpcClient
from cortops.words.clock import Clock
from cortops.words.errors import ChainError, ChainUnreachable, RpcRefused

CHUNK_BLOCKS_MAX = 2_000  # of one eth_getLogs; halved when the node refuses the range
REMEMBERED_HEADS_MAX = 512  # how far back a fork point can be found exactly; before that we start again from the first block
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.25, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The events of blocks `first`..`head`, in order.

    head: last block covered; head_at: its time, seconds since 1970. rewound: what was said of blocks >= `first` before no longer holds
    (the chain lost or replaced them); this batch and the next tell it again.
    """

    events: tuple[Event, ...]
    first: int
    head: int
    head_at: int
    rewound: bool


@dataclass(frozen=True, slots=True)
class _Head:
    number: int
    hash: str
    parent: str
    at: int


class Follower:
    """Async iteration of Batch; ends only by cancellation. An empty batch is given for every new head, so that time goes on."""

    def __init__(
        self,
        rpc: RpcClient,
        contracts: Mapping[str, Artifact],
        *,
        clock: Clock,
        from_block: int,
        poll_every_s: float = 1.0,
        hint: Hint | None = None,
    ) -> None:
        """contracts: {address: artifact}. from_block: first block to tell. poll_every_s: the longest wait between two looks.
        hint: what may wake us earlier (heads.Websocket); default only polls.
        """
        self._rpc = rpc
        self._contracts = {address.lower(): artifact for address, artifact in contracts.items()}
        self._clock = clock
        self._from_block = from_block
        self._poll_every_s = poll_every_s
        self._hint = hint or Polling(clock)
        self._told: OrderedDict[int, str] = OrderedDict()  # block -> hash of what was told, newest last
        self._next = from_block
        self._rewound = False
        self._chunk_blocks = CHUNK_BLOCKS_MAX
        self._at_head = False  # the last look covered all that the chain had
        self.failing_since: float | None = None  # clock.now() of the first look that failed, None while all is well
        self.failure: str = ""

    async def __aiter__(self) -> AsyncIterator[Batch]:
        pause_s = BACKOFF_FIRST_S
        try:
            while True:
                try:
                    batch = await self._step()
                except ChainError as error:
                    self._note_failure(error)
                    await self._clock.sleep(pause_s)
                    pause_s = min(pause_s * 2, BACKOFF_MAX_S)
                    continue
                self.failing_since, self.failure, pause_s = None, "", BACKOFF_FIRST_S
                if batch is not None:
                    yield batch
                if self._at_head:
                    await self._hint.wait(self._poll_every_s, self._last_hash())
        finally:
            await self._hint.close()

    def _note_failure(self, error: ChainError) -> None:
        self.failing_since = self._clock.now() if self.failing_since is None else self.failing_since
        self.failure = error.what

    def _last_hash(self) -> str:
        return next(reversed(self._told.values()), "")

    async def _step(self) -> Batch | None:
        """One look: None when there is nothing new."""
        head, logs = await self._look()
        if not await self._still_holds(head):
            await self._go_back(head)
            logs = None
        self._at_head = head.number < self._next + self._chunk_blocks
        if head.number < self._next and not self._rewound:
            return None
        last = head if self._at_head else await self._head(hex(self._next + self._chunk_blocks - 1))
        first = self._next
        if logs is not None and last is head:
            events = decode_all(self._contracts, logs)
        else:
            events = await self._events(first, last.number)
        self._told[last.number] = last.hash
        while len(self._told) > REMEMBERED_HEADS_MAX:
            self._told.popitem(last=False)
        self._next = last.number + 1
        rewound, self._rewound = self._rewound, False
        return Batch(events=events, first=first, head=last.number, head_at=last.at, rewound=rewound)

    async def _look(self) -> tuple[_Head, list[Any] | None]:
        """The head, and in the same round trip the logs up to it; None where they are not certainly those of this head."""
        if not self._told:
            return await self._head("latest"), None
        query = {"fromBlock": hex(self._next), "toBlock": "latest", "address": list(self._contracts)}
        block, logs = await self._rpc.batch([("eth_getBlockByNumber", ("latest", False)), ("eth_getLogs", (query,))])
        if isinstance(block, ChainError):
            raise block
        head = self._head_of(block, "latest")
        if not isinstance(logs, list):  # refused: the range is empty, or too long
            return head, None
        upto = [log for log in logs if int(log["blockNumber"], 16) <= head.number]  # the chain may have grown between the two
        same = all(log["blockHash"] == head.hash for log in upto if int(log["blockNumber"], 16) == head.number)
        return head, upto if same else None

    async def _head(self, tag: str) -> _Head:
        return self._head_of(await self._rpc.call("eth_getBlockByNumber", tag, False), tag)

    def _head_of(self, block: Any, tag: str) -> _Head:
        if block is None:
            raise ChainUnreachable(f"the chain has no block {tag}", where=self._rpc.url)
        return _Head(int(block["number"], 16), block["hash"], block["parentHash"], int(block["timestamp"], 16))

    async def _still_holds(self, head: _Head) -> bool:
        """Whether what was told is still part of the chain that ends in `head`."""
        if not self._told:
            return True
        number, known = next(reversed(self._told.items()))
        if head.number < number:
            return False
        if head.number == number:
            return head.hash == known
        if head.number == number + 1:
            return head.parent == known
        return (await self._head(hex(number))).hash == known

    async def _go_back(self, head: _Head) -> None:
        """Drop what no longer holds; the newest remembered block that is still there is the fork point."""
        told = OrderedDict(self._told)
        while told:
            number, known = next(reversed(told.items()))
            if number <= head.number and (await self._head(hex(number))).hash == known:
                break
            told.popitem()
        # Assigned at the end, and told of until a batch says so: a look may fail half-way.
        self._rewound = True
        self._told = told
        self._next = next(reversed(told), self._from_block - 1) + 1

    async def _events(self, first: int, last: int) -> tuple[Event, ...]:
        if first > last:
            return ()
        query = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(self._contracts)}
        try:
            logs = await self._rpc.call("eth_getLogs", query)
        except RpcRefused:
            if last == first:
                raise
            self._chunk_blocks = max(1, (last - first + 1) // 2)
            raise
        return decode_all(self._contracts, logs)


def decode_all(contracts: Mapping[str, Artifact], logs: Sequence[Mapping[str, Any]]) -> tuple[Event, ...]:
    """Logs of contracts {lower-case address: artifact} -> known events in order of block and index; other topics are left out."""
    decoded = (decode_log(contracts[log["address"].lower()], log) for log in logs)
    return tuple(sorted((event for event in decoded if event is not None), key=lambda event: event.order))
