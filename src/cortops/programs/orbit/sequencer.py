"""The sequencer's two loops: deposits of the parent are credited on the child, and each block of the child goes out on the feed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cortops.contracts.abi import encode_call, word
from cortops.contracts.artifact import load
from cortops.contracts.orbit import DEPOSITS, RELAY
from cortops.programs.common.health import Health
from cortops.programs.common.logs import Log
from cortops.programs.orbit.deposits import Astray, Books, Delivery, Message, joined, judge, next_deliveries, wanted
from cortops.programs.orbit.ends import End, Failures
from cortops.programs.orbit.feed import Feed
from cortops.programs.orbit.messages import Block
from cortops.protocol.settings import OrbitSettings
from cortops.words.clock import Clock
from cortops.words.errors import ChainError, NotMined

DEPOSITS_EVERY_S = 0.5
FEED_EVERY_S = 0.2
RETRY_S = 1.0
MINED_TIMEOUT_S = 3.0  # a killed child may have lost it; sent again it is credited once
MINED_POLL_S = 0.05
DELIVER_GAS = 300_000


class Sequencer:
    """Between the two chains; keeps nothing that a kill could lose."""

    def __init__(self, settings: OrbitSettings, parent: End, child: End, feed: Feed, clock: Clock, log: Log) -> None:
        self._settings, self._parent, self._child, self._feed, self._clock, self._log = settings, parent, child, feed, clock, log
        self._books: Books | None = None
        self._parent_head = 0
        self._child_head: int | None = None
        self._astray = ""
        self._deposit_failures, self._feed_failures = Failures(), Failures()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self.take_deposits, self._deposit_failures, DEPOSITS_EVERY_S))
            group.create_task(self._again(self.feed_blocks, self._feed_failures, FEED_EVERY_S))

    def health(self) -> Health:
        """ok while both chains answer and tell one history."""
        now = self._clock.monotonic()
        astray = (self._astray,) if self._astray else ()
        why = dict.fromkeys((*astray, *self._deposit_failures.why(now), *self._feed_failures.why(now)))
        books = self._books
        return Health.judge(
            tuple(why),
            head=self._child_head,
            deposits_delivered=books.child_count if books else None,
            deposits_waiting=max(books.parent_count - books.child_count, 0) if books else None,
            feed_clients=self._feed.clients,
        )

    async def take_deposits(self) -> int:
        """One look at both sides, and what is missing is delivered; how many. Raises ChainError."""
        books = self._books = await self._read_books()
        plan: tuple[Delivery, ...] | Astray = judge(books) or ()
        if not isinstance(plan, Astray) and wanted(books):
            messages = await self._read_messages(wanted(books))
            plan = next_deliveries(books, messages, await self._parent.final_block())
        if isinstance(plan, Astray):
            if plan.why != self._astray:
                self._log.error("deposits stand still", why=plan.why, next="start the child anew, or restore the parent")
            self._astray = plan.why
            return 0
        self._astray = ""
        await self._deliver(plan)
        return len(plan)

    async def feed_blocks(self) -> None:
        """Every block of the child since the last look. Raises ChainError."""
        head = self._child_head = await self._child.head()
        numbers = self._feed.recent.wanted(head)
        if not numbers:
            return
        self._parent_head = await self._parent_block()
        delayed = self._books.child_count if self._books else 0
        found = await self._child.blocks(numbers)
        blocks = [
            Block(
                number=number,
                hash=block["hash"],
                timestamp=int(block["timestamp"], 16),
                parent_block=self._parent_head,
                delayed=delayed,
            )
            for number, block in zip(numbers, found, strict=True)
            if block is not None  # an old empty block that the chain has dropped
        ]
        self._feed.publish(blocks)

    async def _parent_block(self) -> int:
        """The parent's head; the last one known while it does not answer: the feed goes on without it."""
        try:
            return await self._parent.head()
        except ChainError:
            return self._parent_head

    async def _read_books(self) -> Books:
        bridge = self._settings.bridge
        parent_count, parent_acc = await self._parent.values(
            (bridge, "orbit/bridge", "delayedMessageCount()"), (bridge, "orbit/bridge", "delayedAcc()")
        )
        child_count, child_acc = await self._child.values(
            (DEPOSITS, "orbit/deposits", "delivered()"), (DEPOSITS, "orbit/deposits", "acc()")
        )
        return Books(parent_count=parent_count, parent_acc=parent_acc, child_count=child_count, child_acc=child_acc)

    async def _read_messages(self, numbers: Sequence[int]) -> Mapping[int, Message]:
        topics = [["0x" + word(number) for number in numbers]]
        delivered = await self._parent.events(self._settings.bridge, "orbit/bridge", "MessageDelivered", topics)
        inboxed = await self._parent.events(self._settings.inbox, "orbit/inbox", "InboxMessageDelivered", topics)
        return joined(delivered, inboxed)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        """As the account that speaks for the chain itself. Sent again after any doubt: the contract takes each number once."""
        if not deliveries:
            return
        rpc = self._child.rpc
        await rpc.call("anvil_impersonateAccount", RELAY)
        sent = []
        for one in deliveries:
            data = encode_call(load("orbit/deposits"), "deliver", one.index, one.after_acc, one.to, one.amount)
            what = {"from": RELAY, "to": DEPOSITS, "data": data, "gas": hex(DELIVER_GAS), "gasPrice": "0x0"}
            sent.append(await rpc.call("eth_sendTransaction", what))
        for one, tx in zip(deliveries, sent, strict=True):
            receipt = await self._mined(tx)
            if receipt["status"] != "0x1":  # another one of the same number was first: the next look knows
                return
            self._log.info("deposit credited", message=one.index, to=one.to, wei=str(one.amount), tx=tx)

    async def _mined(self, tx: str) -> Mapping[str, str]:
        deadline = self._clock.monotonic() + MINED_TIMEOUT_S
        while (receipt := await self._child.rpc.call("eth_getTransactionReceipt", tx)) is None:
            if self._clock.monotonic() > deadline:
                raise NotMined(f"the delivery {tx} was not mined within {MINED_TIMEOUT_S:g} s")
            await self._clock.sleep(MINED_POLL_S)
        return dict(receipt)

    async def _again(self, look: Callable[[], Awaitable[object]], failures: Failures, every_s: float) -> None:
        while True:
            try:
                await look()
            except ChainError as error:
                failures.note(error, self._clock.monotonic())
                await self._clock.sleep(RETRY_S)
            else:
                failures.clear()
                await self._clock.sleep(every_s)
