"""Blocks and transactions as people read them: calls and events of our modules by name, texts as their length only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cortops.contracts.abi import Log, decode_log
from cortops.contracts.artifact import Artifact
from cortops.contracts.keccak import checksummed
from cortops.contracts.rpc import RpcClient
from cortops.words.errors import ChainError, UnknownName

BLOCKS_MAX = 50  # of one page
TRANSACTIONS_MAX = 200  # of one block that are shown
LIST_MAX = 8  # members of one argument that are shown

Modules = Mapping[str, tuple[str, Artifact]]  # address in small letters -> the module's name and its artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One event. module: "" for a contract that is none of ours; then name and arguments are empty too. arguments: as text, in order."""

    module: str
    address: str
    name: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """call: `SessionQueue.ack`, or the selector where it is not known. ok: None while it waits. events: empty in a list of a block."""

    tx: str
    sender: str
    to: str
    call: str
    block: int | None
    ok: bool | None
    gas_used: int
    bytes: int
    events: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """at: seconds since 1970. count: transactions in it; `transactions` has the first TRANSACTIONS_MAX, none in a list of blocks."""

    number: int
    hash: str
    parent: str
    at: int
    count: int
    gas_used: int
    transactions: tuple[Transaction, ...] = ()


async def newest(rpc: RpcClient, amount: int, *, upto: int | None = None) -> tuple[Block, ...]:
    """The blocks `upto` (the head by default) and before, newest first; at most BLOCKS_MAX. Raises ChainError."""
    head = int(await rpc.call("eth_blockNumber"), 16)
    last = head if upto is None else min(upto, head)
    numbers = range(last, max(-1, last - min(amount, BLOCKS_MAX)), -1)
    found = await rpc.batch_results([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])
    return tuple(_block(body) for body in found if body is not None)


async def block(rpc: RpcClient, number: int, modules: Modules) -> Block:
    """One block with its transactions. UnknownName for one that is not there; raises ChainError."""
    body = await rpc.call("eth_getBlockByNumber", hex(number), True)
    if body is None:
        raise UnknownName(f"there is no block {number}", next="The newest ones are at /chain.")
    sent = body["transactions"][:TRANSACTIONS_MAX]
    receipts = await rpc.batch_results([("eth_getTransactionReceipt", (one["hash"],)) for one in sent]) if sent else []
    return _block(body, tuple(_transaction(one, receipt, modules) for one, receipt in zip(sent, receipts, strict=True)))


async def transaction(rpc: RpcClient, tx: str, modules: Modules) -> Transaction:
    """One transaction with its events. UnknownName for one that the node does not know; raises ChainError."""
    sent, receipt = await rpc.batch_results([("eth_getTransactionByHash", (tx,)), ("eth_getTransactionReceipt", (tx,))])
    if sent is None:
        raise UnknownName(f"there is no transaction {tx}", next="A node may forget old ones.")
    return _transaction(sent, receipt, modules, whole=True)


def call_name(to: str, data: str, modules: Modules) -> str:
    """What a transaction calls: `session.submit`, or its selector; `deploys a contract` without an address, `sends value` without data."""
    if not to:
        return "deploys a contract"
    if len(data) < 10:
        return "sends value"
    module = modules.get(to.lower())
    if module is None:
        return data[:10]
    name, artifact = module
    signature = next((signature for signature, selector in artifact.method_ids.items() if selector == data[:10]), "")
    return f"{name}.{signature.partition('(')[0] or data[:10]}"


def said(log: Log, modules: Modules) -> Said:
    """One log by name. A text is a customer's and stays out: only its length is told."""
    module = modules.get(log["address"].lower())
    unknown = Said(module=module[0] if module else "", address=checksummed(log["address"]), name="", arguments={})
    if module is None:
        return unknown
    try:
        event = decode_log(module[1], log)
    except ChainError:
        return unknown
    if event is None:
        return unknown
    texts = _texts_of(module[1], event.name)
    shown = {name: _length(value) if name in texts else _shown(value) for name, value in event.args.items()}
    return Said(module=module[0], address=event.address, name=event.name, arguments=shown)


def _texts_of(artifact: Artifact, event: str) -> frozenset[str]:
    """Arguments that hold text or bytes of any length."""
    entry = next(item for item in artifact.abi if item["type"] == "event" and item["name"] == event)
    return frozenset(item["name"] for item in entry["inputs"] if item["type"].startswith(("string", "bytes")) and item["type"] != "bytes32")


def _length(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} texts"
    size = len(value) // 2 - 1 if isinstance(value, str) and value.startswith("0x") else len(str(value).encode())
    return f"{size} bytes"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        more = f", {len(value) - LIST_MAX} more" if len(value) > LIST_MAX else ""
        return ", ".join(_shown(one) for one in value[:LIST_MAX]) + more if value else "none"
    return str(value)


def _block(body: Mapping[str, Any], transactions: Sequence[Transaction] = ()) -> Block:
    return Block(
        number=int(body["number"], 16),
        hash=body["hash"],
        parent=body["parentHash"],
        at=int(body["timestamp"], 16),
        count=len(body["transactions"]),
        gas_used=int(body["gasUsed"], 16),
        transactions=tuple(transactions),
    )


def _transaction(sent: Mapping[str, Any], receipt: Mapping[str, Any] | None, modules: Modules, *, whole: bool = False) -> Transaction:
    to, data = sent.get("to") or "", sent.get("input") or "0x"
    return Transaction(
        tx=sent["hash"],
        sender=checksummed(sent["from"]),
        to=checksummed(to) if to else "",
        call=call_name(to, data, modules),
        block=int(receipt["blockNumber"], 16) if receipt else None,
        ok=receipt["status"] == "0x1" if receipt else None,
        gas_used=int(receipt["gasUsed"], 16) if receipt else 0,
        bytes=len(data) // 2 - 1,
        events=tuple(said(log, modules) for log in receipt["logs"]) if receipt and whole else (),
    )
