"""The batch poster's loop: looks at both chains, and posts the batch that is due."""

from __future__ import annotations

from cortops.contracts.abi import encode_call
from cortops.contracts.artifact import load
from cortops.contracts.keccak import checksummed
from cortops.contracts.orbit import DEPOSITS
from cortops.contracts.sender import Sender
from cortops.programs.common.health import Health
from cortops.programs.common.logs import Log
from cortops.programs.orbit.batches import Child, Posted, next_batch
from cortops.programs.orbit.ends import End, Failures
from cortops.protocol.settings import OrbitSettings
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

CONFIRM_TIMEOUT_S = 8.0  # what a killed parent has lost is looked for no longer
LOOK_EVERY_S = 0.5
SCANNED_MAX = 200  # more blocks than that are posted whether they carry anything or not
NOBODY = "0x" + "00" * 20


class Poster:
    """Posts from one wallet; what was posted is read from the parent each time, so a kill loses and doubles nothing."""

    def __init__(self, settings: OrbitSettings, parent: End, child: End, sender: Sender, clock: Clock, log: Log) -> None:
        self._settings, self._parent, self._child, self._sender, self._clock, self._log = settings, parent, child, sender, clock, log
        self._posted: Posted | None = None
        self._head: int | None = None
        self._posted_at = 0.0
        self._failures = Failures()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except ChainError as error:
                self._failures.note(error, self._clock.monotonic())
                self._sender.resync()
            else:
                self._failures.clear()
            await self._clock.sleep(LOOK_EVERY_S)

    def health(self) -> Health:
        """ok while both chains answer and the parent takes our batches."""
        posted, head = self._posted, self._head
        behind = max(head + 1 - posted.messages, 0) if posted is not None and head is not None else None
        return Health.judge(
            self._failures.why(self._clock.monotonic()),
            head=head,
            batches_posted=posted.batches if posted else None,
            blocks_waiting=behind,
        )

    async def look(self) -> bool:
        """One look at both chains; whether a batch was posted. Raises ChainError, CallReverted with the contract's reason."""
        posted = self._posted = await self._read_posted()
        child = await self._read_child(posted)
        self._head = child.head
        pace = (self._settings.every_s, self._settings.idle_every_s)
        batch = next_batch(posted, child, self._clock.now(), self._posted_at, *pace)
        if batch is None:
            return False
        (last,) = await self._child.blocks((batch.last,))
        if last is None:
            raise ChainError(f"the child does not have its block {batch.last}")
        data = bytes.fromhex(batch.data(last["hash"])[2:])
        numbers = (batch.number, data, batch.delayed, NOBODY, batch.messages_before, batch.messages_after)
        call = encode_call(load("orbit/sequencer_inbox"), "addSequencerL2BatchFromOrigin", *numbers)
        tx = await self._sender.send(checksummed(self._settings.sequencer_inbox), call)
        await self._sender.confirm(tx, CONFIRM_TIMEOUT_S)
        self._posted_at = self._clock.now()
        self._log.info("batch posted", batch=batch.number, first=batch.first, last=batch.last, delayed=batch.delayed, tx=tx)
        return True

    async def _read_posted(self) -> Posted:
        inbox, name = self._settings.sequencer_inbox, "orbit/sequencer_inbox"
        batches, delayed, messages = await self._parent.values(
            (inbox, name, "batchCount()"),
            (inbox, name, "totalDelayedMessagesRead()"),
            (self._settings.bridge, "orbit/bridge", "sequencerReportedSubMessageCount()"),
        )
        return Posted(batches=batches, messages=messages, delayed_read=delayed)

    async def _read_child(self, posted: Posted) -> Child:
        head = await self._child.head()
        (delayed,) = await self._child.values((DEPOSITS, "orbit/deposits", "delivered()"))
        waiting = range(posted.messages, head + 1)
        if len(waiting) > SCANNED_MAX or not waiting:
            return Child(head=head, oldest_at=0.0, worked=bool(waiting), delayed=delayed)
        blocks = [block for block in await self._child.blocks(waiting) if block is not None]
        oldest_at = float(int(blocks[0]["timestamp"], 16)) if blocks else 0.0
        return Child(head=head, oldest_at=oldest_at, worked=any(block["transactions"] for block in blocks), delayed=delayed)
