"""Logs as nodes give them, of the public contracts and of ours, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import encode

from cortops.contracts.keccak import keccak_hex

QUEUE, COGNITIVE = "0x" + "0a" * 20, "0x" + "0b" * 20


def miner(number: int) -> str:
    return f"0x{number:040x}"


def log(block: int, topics: Sequence[str], types: Sequence[str], values: Sequence[object], *, index: int = 0) -> dict[str, Any]:
    return {
        "address": QUEUE,
        "topics": list(topics),
        "data": "0x" + encode(list(types), list(values)).hex(),
        "blockNumber": hex(block),
        "logIndex": hex(index),
    }


def topic(signature: str) -> str:
    return keccak_hex(signature.encode())


def word(value: int | str) -> str:
    return f"0x{value:064x}" if isinstance(value, int) else "0x" + value[2:].rjust(64, "0")


# --- the network's tasks: public Cognitive ---


def started(block: int, id_: int, *miners: str) -> dict[str, Any]:
    return log(block, [topic("SessionStarted(uint256,uint256,address[])"), word(id_)], ["uint256", "address[]"], [7, miners])


def session(step: str, block: int, id_: int, who: str, *, index: int = 1) -> dict[str, Any]:
    return log(block, [topic(f"Session{step}(uint256,address)"), word(id_), word(who)], [], [], index=index)


def ended(block: int, id_: int) -> dict[str, Any]:
    return log(block, [topic("SessionEnded(uint256,uint256)"), word(id_)], ["uint256"], [9], index=9)


# --- users' tasks: public SessionQueueV2 ---


def assigned(block: int, sid: int, tid: int, *miners: str, index: int = 0) -> dict[str, Any]:
    return log(
        block, [topic("TaskAssigned(uint256,uint256,address[])")], ["uint256", "uint256", "address[]"], [sid, tid, miners], index=index
    )


def task(step: str, block: int, sid: int, tid: int, who: str, *, index: int = 1) -> dict[str, Any]:
    return log(block, [topic(f"Task{step}(uint256,uint256,address)")], ["uint256", "uint256", "address"], [sid, tid, who], index=index)


# --- users' tasks: ours ---


def our_assigned(block: int, sid: int, tid: int, *miners: str) -> dict[str, Any]:
    return log(block, [topic("TaskAssigned(uint256,uint256,address[])"), word(sid), word(tid)], ["address[]"], [miners])


def our_committed(block: int, sid: int, tid: int, who: str) -> dict[str, Any]:
    topics = [topic("TaskCommitted(uint256,uint256,address,string)"), word(sid), word(tid), word(who)]
    return log(block, topics, ["string"], ["an answer"])
