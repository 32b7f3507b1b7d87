"""The staker's loop: asserts what was posted, confirms what nobody challenged, and pays the withdrawals that are then certain."""

from __future__ import annotations

from cortops.contracts.abi import encode_call, word
from cortops.contracts.artifact import load
from cortops.contracts.keccak import checksummed
from cortops.contracts.orbit import ARB_SYS
from cortops.contracts.sender import Sender
from cortops.programs.common.health import Health
from cortops.programs.common.logs import Log
from cortops.programs.orbit.assertions import NONE, PAYMENTS_MAX, Confirm, Create, Rollup, Withdrawal, due_payments, next_step
from cortops.programs.orbit.ends import End, Failures
from cortops.protocol.settings import OrbitSettings
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

CONFIRM_TIMEOUT_S = 8.0  # what a killed parent has lost is looked for no longer
LOOK_EVERY_S = 1.0
NEVER = float("-inf")


class Staker:
    """Acts from one wallet; what was done is read from the parent each time, so a kill loses and doubles nothing."""

    def __init__(self, settings: OrbitSettings, parent: End, child: End, sender: Sender, clock: Clock, log: Log) -> None:
        self._settings, self._parent, self._child, self._sender, self._clock, self._log = settings, parent, child, sender, clock, log
        self._rollup: Rollup | None = None
        self._created_at = NEVER  # monotonic
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
        """ok while both chains answer and the rollup is not paused."""
        rollup = self._rollup
        paused = ("the rollup is paused",) if rollup is not None and rollup.paused else ()
        return Health.judge(
            (*paused, *self._failures.why(self._clock.monotonic())),
            batches_asserted=rollup.asserted if rollup else None,
            withdrawals_paid=rollup.paid_out if rollup else None,
        )

    async def look(self) -> None:
        """One look at both chains, and what is due is done. Raises ChainError, CallReverted with the contract's reason."""
        rollup = self._rollup = await self._read_rollup()
        step = next_step(rollup, self._clock.monotonic() - self._created_at, self._settings.every_s)
        if isinstance(step, Create):
            await self._create(step)
        elif isinstance(step, Confirm):
            await self._send(self._settings.rollup, "rollup", "confirmAssertion", step.assertion)
            self._log.info("assertion confirmed", assertion=step.assertion)
        await self._pay(rollup)

    async def _create(self, step: Create) -> None:
        (block,) = await self._child.blocks((step.block,))
        if block is None:
            raise ChainError(f"the child does not have block {step.block}, the last one that was posted")
        await self._send(self._settings.rollup, "rollup", "createAssertion", step.batches, block["hash"], NONE)
        self._created_at = self._clock.monotonic()
        self._log.info("assertion created", batches=step.batches, block=step.block)

    async def _pay(self, rollup: Rollup) -> None:
        positions = ["0x" + word(position) for position in range(rollup.paid_out, rollup.paid_out + PAYMENTS_MAX)]
        left = await self._child.events(ARB_SYS, "orbit/arb_sys", "L2ToL1Tx", (None, None, positions))
        if not left:
            return
        withdrawals = {
            one["position"]: Withdrawal(
                position=one["position"], to=checksummed(one["destination"]), amount=one["callvalue"], block=one["block"]
            )
            for one in left
        }
        confirmed = await self._child.rpc.call("eth_getBlockByHash", rollup.confirmed_hash, False)
        confirmed_block = int(confirmed["number"], 16) if confirmed else None
        for one in due_payments(rollup, withdrawals, confirmed_block, await self._child.final_block()):
            await self._send(self._settings.bridge, "bridge", "payOut", one.position, one.to, one.amount)
            self._log.info("withdrawal paid", position=one.position, to=one.to, wei=str(one.amount))

    async def _send(self, to: str, name: str, function: str, *args: object) -> None:
        tx = await self._sender.send(checksummed(to), encode_call(load(f"orbit/{name}"), function, *args))
        await self._sender.confirm(tx, CONFIRM_TIMEOUT_S)

    async def _read_rollup(self) -> Rollup:
        settings = self._settings
        rollup, bridge = (settings.rollup, "orbit/rollup"), (settings.bridge, "orbit/bridge")
        head = await self._parent.rpc.call("eth_getBlockByNumber", "latest", False)
        paused, pending, asserted, confirmed, messages, batches, paid = await self._parent.values(
            (*rollup, "paused()"),
            (*rollup, "pending()"),
            (*rollup, "assertedBatchCount()"),
            (*rollup, "confirmedBlockHash()"),
            (*bridge, "sequencerReportedSubMessageCount()"),
            (*bridge, "sequencerMessageCount()"),
            (*bridge, "paidOut()"),
        )
        return Rollup(
            now=int(head["timestamp"], 16),
            paused=paused,
            batches=batches,
            messages=messages,
            pending=pending[0],
            confirmable_at=pending[3],
            asserted=asserted,
            confirmed_hash=confirmed,
            paid_out=paid,
        )
