"""The loop that makes the chain go: looks at the pool, mines, saves. What is due is decided in `pace`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cortops.contracts.rpc import RpcClient
from cortops.programs.common.health import Health
from cortops.programs.common.logs import Log
from cortops.programs.devchain import store
from cortops.programs.devchain.generation import Snapshot
from cortops.programs.devchain.pace import Pace, Seen, Step, look_again_s, next_step
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

NEVER = float("-inf")
HEARTBEATS_LATE = 3  # so many missed, and the chain is not well


class Sequencer:
    """Drives one running anvil. Only `run` changes it; `health` may be read at any time."""

    def __init__(
        self,
        rpc: RpcClient,
        slow_rpc: RpcClient,
        pace: Pace,
        folder: Path,
        clock: Clock,
        log: Log,
        *,
        restored_from: str,
        good: int | None,
        saved: bool,
        notes: tuple[str, ...] = (),
    ) -> None:
        """slow_rpc: for dumps, which take long on a grown chain. folder: of snapshots.

        good: the generation this chain came from. saved: nothing has happened since that one. notes: shown in health, well or not.
        """
        self._rpc, self._slow_rpc, self._pace, self._folder, self._clock, self._log = rpc, slow_rpc, pace, folder, clock, log
        self._restored_from = restored_from
        self._notes = notes
        self._good = good
        self._head = 0
        self._saved_head: int | None = None
        self._starts_saved = saved
        self._pending = 0
        self._fruitless = 0
        self._blocks = 0
        self._unsaved_blocks = 0
        self._unsaved_work = not saved
        self._save_took_s = 0.0
        self._save_failure = ""
        self._block_at = self._work_at = NEVER  # monotonic
        self._saved_at = clock.monotonic() if saved else NEVER

    async def run(self) -> None:
        """Make blocks until anvil should be started afresh from the snapshot just taken. Raises ChainError when anvil does not answer."""
        self._head = await self._read_head()
        if self._starts_saved:
            self._saved_head = self._head
        while True:
            self._pending = int((await self._rpc.call("txpool_status"))["pending"], 16)
            seen = self._seen()
            step = next_step(self._pace, seen)
            if step is Step.MINE:
                await self._mine()
            elif step is Step.SAVE:
                await self.save()
            elif step is Step.RENEW:
                await self.save()
                if not self._save_failure:
                    return
                self._blocks = 0  # without a fresh snapshot a fresh start would lose work: later, then
            else:
                await self._clock.sleep(look_again_s(self._pace, seen))

    async def save(self) -> None:
        """Take a snapshot now; a failure is logged and shown in health, and tried again when the next one is due.

        Nothing is mined meanwhile: anvil reads accounts and blocks one after the other, and they must be of one moment.
        """
        began = self._clock.monotonic()
        try:
            head = await self._read_head()
            state = bytes.fromhex((await self._slow_rpc.call("anvil_dumpState")).removeprefix("0x"))
            # Written in this thread: nothing but health could go on, and a cancel cannot tear it apart.
            snapshot = Snapshot(block=head, at=self._clock.now(), state=state)
            self._good = store.write(self._folder, snapshot, good=self._good)
        except (OSError, ChainError, ValueError) as error:
            self._save_failure = f"the last snapshot failed: {error}"
            self._log.error("snapshot failed", why=str(error)[:300], next="free disk space, or give this user the right to write there")
        else:
            if self._save_failure:
                self._log.info("snapshots succeed again", block=head)
            self._save_failure = ""
            self._saved_head = head
            self._unsaved_blocks, self._unsaved_work = 0, False
        self._saved_at = self._clock.monotonic()
        self._save_took_s = self._saved_at - began

    def health(self) -> Health:
        """ok while blocks come, snapshots succeed and the pool drains."""
        now = self._clock.monotonic()
        why = []
        if now - self._block_at > HEARTBEATS_LATE * self._pace.heartbeat_every_s:
            why.append(f"no block for {HEARTBEATS_LATE * self._pace.heartbeat_every_s:g} s")
        if self._save_failure:
            why.append(self._save_failure)
        if self._fruitless >= HEARTBEATS_LATE:
            why.append(f"{self._pending} transactions wait and no block takes them")
        health = Health.judge(
            tuple(why),
            head=self._head,
            head_age_s=_age(now, self._block_at),
            snapshot_age_s=_age(now, self._saved_at),
            saved_block=self._saved_head,
            restored_from=self._restored_from,
            pending=self._pending,
        )
        return replace(health, notes=self._notes)

    async def _mine(self) -> None:
        await self._rpc.call("evm_mine")
        block = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        now, worked = self._clock.monotonic(), len(block["transactions"])
        self._head = int(block["number"], 16)
        self._block_at = now
        self._blocks += 1
        self._unsaved_blocks += 1
        if worked:
            self._work_at = now
            self._unsaved_work = True
            self._log.info("block", number=self._head, transactions=worked)
        self._fruitless = self._fruitless + 1 if self._pending and not worked else 0

    async def _read_head(self) -> int:
        return int(await self._rpc.call("eth_blockNumber"), 16)

    def _seen(self) -> Seen:
        now = self._clock.monotonic()
        return Seen(
            pending=self._pending,
            block_age_s=now - self._block_at,
            work_age_s=now - self._work_at,
            fruitless=self._fruitless,
            unsaved_blocks=self._unsaved_blocks,
            unsaved_work=self._unsaved_work,
            save_age_s=now - self._saved_at,
            save_took_s=self._save_took_s,
            blocks=self._blocks,
        )


def _age(now: float, at: float) -> float | None:
    return None if at == NEVER else round(now - at, 1)
