"""What takes more than one call to know of a chain: heads side by side, the newest events, and what wallets hold and held.

An answer says how far it looked; what was not read is never said to be empty. ChainMemory lets the next look begin where one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cortops.contracts.rpc import RpcClient
from cortops.probes.backfill import ask_many, fill, find_times, look_at_heads, look_at_wallets, shown
from cortops.probes.memory import KEPT_EVERY_S, KEPT_MAX, ChainMemory, Log, Read
from cortops.protocol.http import HttpClient
from cortops.surfaces.nodes.blocks import Look, place_of
from cortops.surfaces.nodes.gas import AGES_S
from cortops.surfaces.nodes.seen import NEWEST
from cortops.words.clock import Clock
from cortops.words.errors import ChainError
from cortops.words.question import Answer, Events, Heads, Holdings, NoAnswer, Reply, Silence

OVERLAP_BLOCKS = 64  # read again each time: the newest blocks may be replaced
COMPARED_BELOW_HEAD = 2
FILL_SHARE = 0.7  # of a question's time; the rest is for heads and times
BODY_MAX_MIB = 8.0


async def ask_heads(question: Heads, client: HttpClient, clock: Clock) -> Reply:
    """Heads -> Answer, always: an endpoint that said nothing has `why` and `silence` in its place."""
    at, begun = clock.now(), clock.monotonic()
    clients = [RpcClient(url, client, timeout_s=question.timeout_s / 3) for url in question.urls]
    found = await asyncio.gather(*(_head(rpc, clock) for rpc in clients))
    numbers = [one["number"] for one in found if "number" in one]
    at_block = max(0, min(numbers) - COMPARED_BELOW_HEAD) if numbers else None
    if at_block is not None:
        hashes = await asyncio.gather(*(_hash(rpc, at_block, one) for rpc, one in zip(clients, found, strict=True)))
        for one, hash_ in zip(found, hashes, strict=True):
            if "number" in one:
                one["hash"] = hash_
    body = msgspec.json.encode({"at_block": at_block, "endpoints": found})
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)


async def _head(rpc: RpcClient, clock: Clock) -> dict[str, Any]:
    begun = clock.monotonic()
    try:
        block = await rpc.call("eth_getBlockByNumber", "latest", False)
        latency_s = clock.monotonic() - begun
        chain_id = int(await rpc.call("eth_chainId"), 16)
        number, at = int(block["number"], 16), int(block["timestamp"], 16)
    except ChainError as error:
        silence = getattr(error.__cause__, "silence", Silence.LOST)
        return {"url": rpc.url, "why": shown(error, rpc.url), "silence": silence}
    except (TypeError, KeyError, ValueError):
        return {"url": rpc.url, "why": "its newest block cannot be read", "silence": Silence.LOST}
    return {"url": rpc.url, "chain_id": chain_id, "number": number, "at": at, "latency_s": latency_s, "hash": ""}


async def _hash(rpc: RpcClient, number: int, found: Mapping[str, Any]) -> str:
    if "number" not in found:
        return ""
    try:
        block = await rpc.call("eth_getBlockByNumber", hex(number), False)
    except ChainError:
        return ""
    return str(block.get("hash", "")) if isinstance(block, dict) else ""


async def ask_events(question: Events, client: HttpClient, clock: Clock, memory: ChainMemory) -> Reply:
    """Events -> Answer, or NoAnswer where no block at all could be read."""
    at, begun = clock.now(), clock.monotonic()

    def silent(why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=Silence.LOST, why=why)

    rpc = RpcClient(question.url, client, timeout_s=question.timeout_s / 3, body_max_mib=BODY_MAX_MIB)
    heads = await look_at_heads([rpc], clock)
    if (head := heads.best) is None:
        return silent(next(iter(heads.failed.values()), "it gave no answer"))
    known = memory.events.get(question.id)
    if known is not None and known.last > head.number + OVERLAP_BLOCKS:  # another chain, or one that went back
        known = None
    oldest = max(0, head.number - question.back_max_blocks)
    first = oldest if known is None else max(oldest, known.last - OVERLAP_BLOCKS + 1)
    filled = await fill(
        [(rpc, head)], question.addresses, question.topics, first=first, clock=clock, deadline_s=question.timeout_s * FILL_SHARE
    )
    if filled.covered > head.number:
        return silent(filled.why)
    read = _joined(known, Read(filled.covered, head.number, _in_order(filled.logs), {}), first)
    read.logs = tuple(log for topic in question.topics for log in [log for log in read.logs if _topic(log) == topic][-question.keep :])
    await _learn_times(rpc, read, head)
    memory.events[question.id] = read
    body = msgspec.json.encode(_told(question, read, head))
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)


def _joined(known: Read | None, new: Read, first: int) -> Read:
    """What was known before `new` begins, and `new`; `new` alone where there is a gap between them."""
    if known is None or new.first > first:
        return new
    kept = tuple(log for log in known.logs if _block(log) < new.first)
    return Read(known.first, new.last, _in_order((*kept, *new.logs)), known.times)


def _in_order(logs: Sequence[Log]) -> tuple[Log, ...]:
    return tuple(sorted((log for log in logs if not log.get("removed")), key=lambda log: (_block(log), int(log["logIndex"], 16))))


def _block(log: Log) -> int:
    return int(log["blockNumber"], 16)


def _topic(log: Log) -> str:
    topics = log.get("topics") or ("",)
    return str(topics[0])


async def _learn_times(rpc: RpcClient, read: Read, head: Look) -> None:
    """The times of the blocks of all logs, and of the first one read; asked for where the logs do not carry them."""
    times = {head.number: head.head_at}
    times |= {_block(log): float(int(log["blockTimestamp"], 16)) for log in read.logs if isinstance(log.get("blockTimestamp"), str)}
    wanted = dict.fromkeys([read.first, *(_block(log) for log in read.logs)])
    times |= {block: at for block, at in read.times.items() if block in wanted and block < head.number - OVERLAP_BLOCKS}
    missing = [block for block in wanted if block not in times]
    try:
        found = await ask_many(rpc, [("eth_getBlockByNumber", (hex(block), False)) for block in missing]) if missing else []
    except ChainError:
        found = []
    for block, answer in zip(missing, found, strict=False):
        if isinstance(answer, dict) and isinstance(answer.get("timestamp"), str):
            times[block] = float(int(answer["timestamp"], 16))
    read.times = times


def _told(question: Events, read: Read, head: Look) -> dict[str, Any]:
    events: dict[str, list[dict[str, Any]]] = {topic: [] for topic in question.topics}
    for log in read.logs:
        block = _block(log)
        events[_topic(log)].append({"topics": log["topics"][:2], "block": block, "at": read.times.get(block)})
    return {"head": head.number, "head_at": head.head_at, "from": read.first, "from_at": read.times.get(read.first), "events": events}


async def ask_holdings(question: Holdings, client: HttpClient, clock: Clock, memory: ChainMemory) -> Reply:
    """Holdings -> Answer. The past is asked of the chain once, then remembered hour by hour: many RPCs keep no old balance."""
    at, begun = clock.now(), clock.monotonic()
    rpc = RpcClient(question.url, client, timeout_s=question.timeout_s / 3)
    heads = await look_at_heads([rpc], clock)
    if (head := heads.best) is None:
        why = next(iter(heads.failed.values()), "it gave no answer")
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=Silence.LOST, why=why)
    past = memory.holdings.get(question.id)
    known = past if past is not None else {}
    blocks = await _old_blocks(rpc, head) if past is None else {}
    wallets = await look_at_wallets([rpc], question.addresses, tuple(blocks))
    if not wallets:
        why = f"{place_of(rpc.url)} tells no balance"
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=Silence.LOST, why=why)
    told: dict[str, list[tuple[float, int]]] = {}
    for address, wallet in wallets.items():
        rows = [*known.get(address, ()), *sorted((blocks[block], wei) for block, wei in wallet.wei.items() if block != NEWEST)]
        told[address] = [*rows, (head.head_at, wallet.wei[NEWEST])]
        keep = not rows or head.head_at - rows[-1][0] >= KEPT_EVERY_S
        known[address] = (told[address] if keep else rows)[-KEPT_MAX:]
    memory.holdings[question.id] = known
    body = msgspec.json.encode({address: [[when, str(wei)] for when, wei in rows] for address, rows in told.items()})
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)


async def _old_blocks(rpc: RpcClient, head: Look) -> dict[int, float]:
    """Blocks at the ages of AGES_S, with their times; fewer on a young chain."""
    try:
        times = await find_times(rpc, head, AGES_S)
    except ChainError:
        return {}
    found: dict[int, float] = {}
    for age_s in AGES_S:
        block = times.block(head.head_at - age_s)
        if block < head.number and times.at(block) <= head.head_at - age_s / 2:
            found[block] = times.at(block)
    return found
