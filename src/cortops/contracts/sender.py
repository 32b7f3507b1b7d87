"""Sender: transactions of one wallet, in order, with a nonce kept here so that many can wait for the same block."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cortops.contracts.keccak import checksummed, keccak_hex
from cortops.contracts.rpc import RpcClient
from cortops.contracts.wallet import Transaction, Wallet
from cortops.words.clock import Clock
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable, NotMined, RpcRefused

GAS_MARGIN = 1.3  # on top of the estimate: another task's transaction in the same block may make ours dearer
GAS_MAX = 30_000_000
SEND_ATTEMPTS_MAX = 3  # a nonce that the node refuses is asked again this often
FEE_AGE_MAX_S = 10.0
FEE_MARGIN = 2  # times the current gas price; only the block's own price is paid. Source: EIP-1559
POLL_FIRST_S, POLL_LAST_S = 0.05, 1.0

_NONCE_WORDS = ("nonce", "replacement transaction underpriced")
_KNOWN_WORDS = ("already known", "already imported", "known transaction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A mined, successful transaction. logs: as eth_getLogs gives them."""

    tx: str
    block: int
    block_hash: str
    gas_used: int
    logs: tuple[Mapping[str, Any], ...]


class Sender:
    """Signs and sends for one wallet. One Sender a wallet: two would take the same nonce."""

    def __init__(self, rpc: RpcClient, wallet: Wallet, chain_id: int, clock: Clock) -> None:
        self.address = wallet.address
        self._rpc = rpc
        self._wallet = wallet
        self._chain_id = chain_id
        self._clock = clock
        self._turn = asyncio.Lock()
        self._nonce: int | None = None
        self._fee = 0
        self._fee_at: float | None = None

    def resync(self) -> None:
        """Forget the local nonce; the next `send` asks the node. To be called when the head went back (Batch.rewound)."""
        self._nonce = None

    async def send(self, to: str, data: str, value: int = 0, *, gas: int | None = None) -> str:
        """Send one transaction, return its hash; it is not mined yet.

        gas: limit; None = estimate times GAS_MARGIN. Raises CallReverted (the estimate says the contract refuses, nothing was sent),
        RpcRefused, ChainUnreachable (the transaction may have been taken: look at the chain before sending it again).
        """
        async with self._turn:
            return await self._send({"to": checksummed(to), "data": data, "value": value}, gas)

    async def _send(self, what: dict[str, Any], gas: int | None) -> str:
        limit, fee = (gas, await self._current_fee()) if gas is not None else await self._estimate(what)
        for attempt in range(1, SEND_ATTEMPTS_MAX + 1):
            if self._nonce is None:
                self._nonce = int(await self._rpc.call("eth_getTransactionCount", self.address, "pending"), 16)
            raw = self._wallet.sign(
                Transaction(
                    chain_id=self._chain_id,
                    nonce=self._nonce,
                    max_fee_per_gas=fee,
                    gas=limit,
                    to=what["to"],
                    data=what["data"],
                    value=what["value"],
                )
            )
            tx = keccak_hex(bytes.fromhex(raw[2:]))
            try:
                await self._rpc.call("eth_sendRawTransaction", raw)
            except RpcRefused as error:
                why = error.message.lower()
                if not (any(words in why for words in _KNOWN_WORDS) or await self._is_known(tx)):
                    self.resync()
                    if attempt < SEND_ATTEMPTS_MAX and any(words in why for words in _NONCE_WORDS):
                        continue
                    raise
            except ChainUnreachable:
                self.resync()  # taken or not: the node knows
                raise
            self._nonce = (self._nonce or 0) + 1
            return tx
        raise AssertionError("the loop returns or raises")

    async def _is_known(self, tx: str) -> bool:
        """A send that the RPC client repeated may be refused because its first copy was taken, or mined already."""
        return await self._rpc.call("eth_getTransactionByHash", tx) is not None

    async def _estimate(self, what: Mapping[str, Any]) -> tuple[int, int]:
        """Gas limit and fee; one round trip, also when the fee that we know is too old."""
        call = {"from": self.address, "to": what["to"], "data": what["data"], "value": hex(what["value"])}
        estimate = ("eth_estimateGas", (call, "pending"))  # on `pending`, so that an effect of our own waiting transactions is seen
        if self._knows_fee():
            used = await self._rpc.call(estimate[0], *estimate[1])
        else:
            used, price = await self._rpc.batch_results([estimate, ("eth_gasPrice", ())])
            self._learn_fee(price)
        return min(int(int(used, 16) * GAS_MARGIN), GAS_MAX), self._fee

    async def _current_fee(self) -> int:
        if not self._knows_fee():
            self._learn_fee(await self._rpc.call("eth_gasPrice"))
        return self._fee

    def _knows_fee(self) -> bool:
        return self._fee_at is not None and self._clock.monotonic() - self._fee_at <= FEE_AGE_MAX_S

    def _learn_fee(self, price: str) -> None:
        self._fee, self._fee_at = int(price, 16) * FEE_MARGIN, self._clock.monotonic()

    async def confirm(self, tx: str, timeout_s: float) -> Receipt:
        """Wait until `tx` is mined. Raises CallReverted with the contract's reason, NotMined after timeout_s (it may be mined later)."""
        deadline = self._clock.monotonic() + timeout_s
        pause_s = POLL_FIRST_S
        while True:
            receipt = await self._rpc.call("eth_getTransactionReceipt", tx)
            if receipt is not None:
                return await self._judge(tx, receipt)
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                self.resync()  # a nonce gap is one cause: the head went back and took an earlier transaction with it
                raise NotMined(f"transaction {tx} was not mined within {timeout_s:g} s", where=self._rpc.url)
            await self._clock.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, POLL_LAST_S)

    async def _judge(self, tx: str, receipt: Mapping[str, Any]) -> Receipt:
        if receipt["status"] == "0x1":
            return Receipt(
                tx=tx,
                block=int(receipt["blockNumber"], 16),
                block_hash=receipt["blockHash"],
                gas_used=int(receipt["gasUsed"], 16),
                logs=tuple(receipt["logs"]),
            )
        reason = await self._reason(tx, receipt)
        raise CallReverted(f"transaction {tx} was refused by the contract: {reason}", why=reason)

    async def _reason(self, tx: str, receipt: Mapping[str, Any]) -> str:
        """The receipt does not carry it: the same call is made again on the state that the block left."""
        sent = await self._rpc.call("eth_getTransactionByHash", tx)
        if sent is None:
            return "the reason is not known any more"
        call = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "value": sent["value"]}
        try:
            await self._rpc.call("eth_call", call, receipt["blockNumber"])
        except CallReverted as error:
            return error.why
        except ChainUnreachable:
            raise
        except ChainError as error:
            return f"the reason is not known any more ({error.what})"
        return "out of gas, or a reason that has passed by now"
