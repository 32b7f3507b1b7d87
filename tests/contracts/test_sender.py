from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cortops.contracts.keccak import keccak256, keccak_hex
from cortops.contracts.sender import FEE_AGE_MAX_S, GAS_MARGIN, SEND_ATTEMPTS_MAX, Sender
from cortops.contracts.wallet import Wallet, new_private_key
from cortops.testing.clock import VirtualClock
from cortops.words.errors import CallReverted, ChainUnreachable, NotMined, RpcRefused

WALLET = Wallet(new_private_key(keccak256(b"cortops test sender")))
TO = "0x" + "0a" * 20
NONCE_LOW = RpcRefused("refused", rpc_code=-32000, message="nonce too low")
MINED = {"status": "0x1", "blockNumber": "0x5", "blockHash": "0xbb", "gasUsed": "0x10", "logs": []}


def rpc_of(scripted: Any, **answers: list[Any]) -> Any:
    usual: dict[str, list[Any]] = {
        "eth_getTransactionCount": ["0x7"],
        "eth_gasPrice": ["0x64"],
        "eth_estimateGas": [hex(100_000)],
        "eth_sendRawTransaction": ["0x"],
        "eth_getTransactionByHash": [None],
    }
    return scripted(usual | answers)


def sender(rpc: Any, clock: VirtualClock | None = None) -> Sender:
    return Sender(rpc, WALLET, 31338, clock or VirtualClock())


def fields(raw: str) -> dict[str, int]:
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    return TypedTransaction.from_bytes(HexBytes(raw)).as_dict()


def nonces(rpc: Any) -> list[int]:
    return [fields(raw)["nonce"] for (raw,) in rpc.sent("eth_sendRawTransaction")]


def test_many_wait_for_one_block_with_nonces_of_their_own(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc)

    async def send_all() -> list[str]:
        one = sender(rpc)
        return await asyncio.gather(*(one.send(TO, "0x") for _ in range(3)))

    hashes = asyncio.run(send_all())
    assert nonces(rpc) == [7, 8, 9]
    assert len(rpc.sent("eth_getTransactionCount")) == 1
    assert hashes == [keccak_hex(bytes.fromhex(raw[2:])) for (raw,) in rpc.sent("eth_sendRawTransaction")]


def test_gas_has_a_margin_unless_it_is_given_and_the_fee_covers_a_rise(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc)
    clock = VirtualClock()

    async def both() -> None:
        one = sender(rpc, clock)
        await one.send(TO, "0x")
        await one.send(TO, "0x", gas=50_000)
        await clock.advance(FEE_AGE_MAX_S + 1)
        await one.send(TO, "0x", gas=50_000)

    asyncio.run(both())
    first, second, _ = (fields(raw) for (raw,) in rpc.sent("eth_sendRawTransaction"))
    assert (first["gas"], second["gas"]) == (int(100_000 * GAS_MARGIN), 50_000)
    assert (first["maxFeePerGas"], first["maxPriorityFeePerGas"]) == (200, 0)
    assert len(rpc.sent("eth_estimateGas")) == 1 and len(rpc.sent("eth_gasPrice")) == 2


def test_a_nonce_that_was_used_elsewhere_is_asked_again(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_sendRawTransaction=[NONCE_LOW, "0x"], eth_getTransactionCount=["0x7", "0x9"])
    asyncio.run(sender(rpc).send(TO, "0x"))
    assert nonces(rpc) == [7, 9]


def test_a_nonce_that_stays_refused_is_given_up(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_sendRawTransaction=[NONCE_LOW])
    with pytest.raises(RpcRefused):
        asyncio.run(sender(rpc).send(TO, "0x"))
    assert len(nonces(rpc)) == SEND_ATTEMPTS_MAX


@pytest.mark.parametrize("known", [{"eth_getTransactionByHash": [{"hash": "0x"}]}, {}])
def test_a_repeated_send_whose_first_copy_was_taken_is_not_made_again(scripted_rpc: Any, known: dict[str, list[Any]]) -> None:
    refusal = NONCE_LOW if known else RpcRefused("refused", message="transaction already imported")
    rpc = rpc_of(scripted_rpc, eth_sendRawTransaction=[refusal, "0x"], **known)

    async def two() -> None:
        one = sender(rpc)
        await one.send(TO, "0x")
        await one.send(TO, "0x")

    asyncio.run(two())
    assert nonces(rpc) == [7, 8]


def test_a_refusal_that_is_not_about_the_nonce_is_told_at_once(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_sendRawTransaction=[RpcRefused("refused", message="insufficient funds for gas")])
    with pytest.raises(RpcRefused):
        asyncio.run(sender(rpc).send(TO, "0x"))
    assert nonces(rpc) == [7]


def test_when_the_contract_would_refuse_nothing_is_sent(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_estimateGas=[CallReverted("no", why="not acked")])
    with pytest.raises(CallReverted):
        asyncio.run(sender(rpc).send(TO, "0x"))
    assert nonces(rpc) == []


def test_after_silence_and_after_a_rewind_the_node_is_asked_for_the_nonce(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_sendRawTransaction=[ChainUnreachable("silent"), "0x"], eth_getTransactionCount=["0x7", "0x8", "0x2"])

    async def three() -> None:
        one = sender(rpc)
        with pytest.raises(ChainUnreachable):
            await one.send(TO, "0x")
        await one.send(TO, "0x")
        one.resync()
        await one.send(TO, "0x")

    asyncio.run(three())
    assert nonces(rpc) == [7, 8, 2]


def test_confirm_waits_for_the_receipt(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_getTransactionReceipt=[None, None, MINED])
    clock = VirtualClock()
    receipt = clock.run(sender(rpc, clock).confirm("0xab", 10))
    assert (receipt.tx, receipt.block, receipt.gas_used) == ("0xab", 5, 16)
    assert clock.monotonic() > 0


def test_confirm_gives_up_in_time_and_asks_for_the_nonce_next(scripted_rpc: Any) -> None:
    rpc = rpc_of(scripted_rpc, eth_getTransactionReceipt=[None])
    clock = VirtualClock()

    async def wait_then_send() -> None:
        one = sender(rpc, clock)
        tx = await one.send(TO, "0x")
        with pytest.raises(NotMined, match="within 10 s"):
            await one.confirm(tx, 10)
        await one.send(TO, "0x")

    clock.run(wait_then_send())
    assert clock.monotonic() == pytest.approx(10)
    assert len(rpc.sent("eth_getTransactionCount")) == 2


SENT = {"from": TO, "to": TO, "input": "0x", "value": "0x0"}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"eth_getTransactionByHash": [SENT], "eth_call": [CallReverted("no", why="queue full")]}, "queue full"),
        ({"eth_getTransactionByHash": [SENT], "eth_call": ["0x"]}, "out of gas, or a reason that has passed by now"),
        ({"eth_getTransactionByHash": [SENT], "eth_call": [RpcRefused("pruned")]}, "the reason is not known any more (pruned)"),
        ({"eth_getTransactionByHash": [None]}, "the reason is not known any more"),
    ],
)
def test_a_reverted_transaction_tells_the_contracts_reason(scripted_rpc: Any, answers: dict[str, list[Any]], reason: str) -> None:
    rpc = rpc_of(scripted_rpc, eth_getTransactionReceipt=[MINED | {"status": "0x0"}], **answers)
    with pytest.raises(CallReverted) as caught:
        asyncio.run(sender(rpc).confirm("0xab", 10))
    assert caught.value.why == reason
