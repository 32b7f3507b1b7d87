"""The past from the chain in seconds: block times, balances and logs of a window, by as many endpoints as there are, newest first.

Public endpoints refuse long ranges, batches, history, and too many requests, each with words of its own. So ranges shrink until they are
taken, a batch falls apart into calls, and what was not read by the deadline is said to be unread: it is never an empty answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cortops.contracts.rpc import RpcCall, RpcClient
from cortops.surfaces.nodes.blocks import BlockTimes, Look, place_of
from cortops.surfaces.nodes.seen import NEWEST
from cortops.words.clock import Clock
from cortops.words.errors import ChainError, ChainUnreachable, RpcRefused

CHUNK_FIRST_BLOCKS = 40_000
SHRINK = 4  # a refused range is asked again as so many
WORKERS_PER_ENDPOINT = 2
FAILURES_MAX = 3  # in a row; then an endpoint is left alone
LIMITED_WAIT_S = 0.5  # after "too many requests"
LOGS_MAX = 100_000
SEARCH_ROUNDS_MAX = 6
SEARCH_BLOCKS_BACK = 1_000
SEARCH_NEAR_FRACTION = 0.01  # of the age looked for
DEADLINE_S = 15.0

Log = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What each endpoint said of its newest block; failed: url -> why it said nothing."""

    looks: tuple[Look, ...]
    failed: Mapping[str, str]

    @property
    def best(self) -> Look | None:
        return max(self.looks, key=lambda look: look.number, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The logs of blocks `covered`..`head`, unordered. first: where the window begins; complete: all of it was read, else why not."""

    logs: tuple[Log, ...]
    first: int
    covered: int
    head: int
    complete: bool
    why: str = ""


async def look_at_heads(clients: Sequence[RpcClient], clock: Clock, chain_id: int | None = None) -> Heads:
    """Each endpoint's newest block, all at once. chain_id: what it must serve to be listened to; None does not ask."""
    calls: list[RpcCall] = [("eth_getBlockByNumber", ("latest", False))] + ([] if chain_id is None else [("eth_chainId", ())])

    async def look(client: RpcClient) -> Look | str:
        begun = clock.now()
        try:
            block, *ids = await ask_many(client, calls)
            asked_at = (begun + clock.now()) / 2
            if isinstance(block, ChainError):
                raise block
            if ids and isinstance(ids[0], str) and int(ids[0], 16) != chain_id:
                return f"serves chain {int(ids[0], 16)}, not {chain_id}"
            number, at = int(block["number"], 16), float(int(block["timestamp"], 16))
        except ChainError as error:
            return shown(error, client.url)
        except (TypeError, KeyError, ValueError):
            return "its newest block cannot be read"
        return Look(url=client.url, asked_at=asked_at, number=number, head_at=at)

    found = await asyncio.gather(*(look(client) for client in clients))
    failed = {client.url: said for client, said in zip(clients, found, strict=True) if isinstance(said, str)}
    return Heads(looks=tuple(said for said in found if isinstance(said, Look)), failed=failed)


async def ask_many(client: RpcClient, calls: Sequence[RpcCall]) -> list[Any]:
    """As RpcClient.batch, also from an endpoint that takes no batch. A failed call has its ChainError there as a value."""
    try:
        return await client.batch(calls)
    except RpcRefused:

        async def one(call: RpcCall) -> Any:
            try:
                return await client.call(call[0], *call[1])
            except ChainError as error:
                return error

        return list(await asyncio.gather(*(one(call) for call in calls)))


async def find_times(client: RpcClient, head: Look, ages_s: Sequence[float]) -> BlockTimes:
    """Times of blocks near each age before the head, by a search that asks for all ages at once. ChainUnreachable.

    A chain that is younger, or an endpoint without old blocks, ends the search early: what is known then stands.
    """
    times = BlockTimes.of([(head.number, head.head_at)])
    wanted = [max(0, head.number - SEARCH_BLOCKS_BACK)]
    for _ in range(SEARCH_ROUNDS_MAX):
        known = {block for block, _ in times.known}
        asked = [block for block in dict.fromkeys(wanted) if block not in known]
        if not asked:
            break
        blocks = await ask_many(client, [("eth_getBlockByNumber", (hex(block), False)) for block in asked])
        found = [
            (number, float(int(block["timestamp"], 16)))
            for number, block in zip(asked, blocks, strict=True)
            if isinstance(block, dict) and isinstance(block.get("timestamp"), str)
        ]
        if not found:
            break
        times = times.also(found)
        far = [age for age in ages_s if not _near(times, head.head_at - age, age)]
        wanted = [times.block(head.head_at - age) for age in far]
    return times


def _near(times: BlockTimes, at: float, age_s: float) -> bool:
    """Whether a known block stands close to that time, or the chain begins after it."""
    first, begun = times.known[0]
    return (first == 0 and begun >= at) or any(abs(known_at - at) <= age_s * SEARCH_NEAR_FRACTION for _, known_at in times.known)


@dataclass(slots=True)
class _Endpoint:
    client: RpcClient
    head: int
    size: int = CHUNK_FIRST_BLOCKS
    refused: int = 2**62  # the shortest range that it refused
    failures: int = 0
    said: str = ""

    @property
    def alive(self) -> bool:
        return self.failures < FAILURES_MAX

    def took(self) -> None:
        self.failures = 0
        if self.size * 2 < self.refused:
            self.size *= 2

    def refuse(self, blocks: int) -> None:
        self.refused = min(self.refused, blocks)
        self.size = max(1, blocks // SHRINK)


@dataclass(slots=True)
class _Work:
    """Ranges that nobody has read yet, newest last, and what was read."""

    first: int
    head: int
    waiting: list[tuple[int, int]]
    done: list[tuple[int, int]] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    under_way: int = 0

    def take(self, blocks: int, upto: int) -> tuple[int, int] | None:
        """The newest waiting range that ends at or below `upto`, cut to `blocks`."""
        for at in range(len(self.waiting) - 1, -1, -1):
            low, high = self.waiting[at]
            if high <= upto:
                cut = max(low, high - blocks + 1)
                self.waiting[at : at + 1] = [(low, cut - 1)] if cut > low else []
                self.under_way += 1
                return cut, high
        return None

    def give_back(self, piece: tuple[int, int]) -> None:
        self.under_way -= 1
        self.waiting = sorted([*self.waiting, piece])

    def finish(self, piece: tuple[int, int], logs: Sequence[Log]) -> None:
        self.under_way -= 1
        self.done.append(piece)
        self.logs += logs

    @property
    def covered(self) -> int:
        """The first block from which on everything up to the head was read."""
        covered = self.head + 1
        for low, high in sorted(self.done, reverse=True):
            if high != covered - 1:
                break
            covered = low
        return covered

    @property
    def over(self) -> bool:
        return not self.waiting and not self.under_way


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """What an address held and how many transactions it had sent, by block; NEWEST stands for the newest. What nobody keeps is left out."""

    wei: Mapping[int, int]
    sent: Mapping[int, int]


async def look_at_wallets(clients: Sequence[RpcClient], addresses: Sequence[str], blocks: Sequence[int]) -> dict[str, Wallet]:
    """Balances and nonces now and at `blocks`. An endpoint that keeps no history leaves the rest to the next; none at all gives {}."""
    wei: dict[str, dict[int, int]] = {address: {} for address in addresses}
    sent: dict[str, dict[int, int]] = {address: {} for address in addresses}
    for client in clients:
        wanted = [(address, block) for address in addresses for block in (NEWEST, *blocks) if block not in wei[address]]
        calls: list[RpcCall] = []
        for address, block in wanted:
            tag = "latest" if block == NEWEST else hex(block)
            calls += [("eth_getBalance", (address, tag)), ("eth_getTransactionCount", (address, tag))]
        try:
            answers = await ask_many(client, calls)
        except ChainUnreachable:
            continue
        for at, (address, block) in enumerate(wanted):
            balance, count = (_quantity(answer) for answer in answers[2 * at : 2 * at + 2])
            if balance is not None and count is not None:
                wei[address][block], sent[address][block] = balance, count
    return {address: Wallet(wei=wei[address], sent=sent[address]) for address in addresses if NEWEST in wei[address]}


def _quantity(answer: object) -> int | None:
    try:
        return int(answer, 16) if isinstance(answer, str) else None
    except ValueError:
        return None


async def fill(
    endpoints: Sequence[tuple[RpcClient, Look]],
    addresses: Sequence[str],
    topics: Sequence[str],
    *,
    first: int,
    clock: Clock,
    deadline_s: float = DEADLINE_S,
    report: Callable[[float], None] = lambda fraction: None,
) -> Filled:
    """Every log of `addresses` whose first topic is one of `topics`, from block `first` to the newest head.

    endpoints: each with its newest block, beyond which it is not asked. report: the fraction that is done, 0 to 1, after each answer.
    """
    head = max(look.number for _, look in endpoints)
    work = _Work(first, head, [(first, head)] if first <= head else [])
    known = [_Endpoint(client, look.number) for client, look in endpoints]
    if known and any(endpoint.head < head for endpoint in known):  # so that an endpoint behind the best one has something to do
        cuts = sorted({endpoint.head for endpoint in known if first <= endpoint.head < head})
        work.waiting = _cut(first, head, cuts)
    query = {"address": list(addresses), "topics": [list(topics)]}
    changed = asyncio.Event()
    workers = [
        asyncio.create_task(_worker(endpoint, work, query, clock, changed, report))
        for endpoint in known
        for _ in range(WORKERS_PER_ENDPOINT)
    ]
    alarm: asyncio.Future[Any] = asyncio.create_task(clock.sleep(deadline_s))
    all_done: asyncio.Future[Any] = asyncio.gather(*workers)
    try:
        await asyncio.wait([all_done, alarm], return_when=asyncio.FIRST_COMPLETED)
        late = not all_done.done()
        if not late:
            all_done.result()  # a fault of ours is not swallowed
    finally:
        for task in (*workers, alarm):
            task.cancel()
        await asyncio.gather(all_done, *workers, alarm, return_exceptions=True)
    covered = work.covered
    logs = tuple(log for log in work.logs if int(log["blockNumber"], 16) >= covered)
    return Filled(
        logs=logs, first=first, covered=covered, head=head, complete=covered <= first, why=_why(work, known, late, covered, deadline_s)
    )


def _cut(first: int, head: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    lows = [first, *(cut + 1 for cut in cuts)]
    highs = [*cuts, head]
    return [(low, high) for low, high in zip(lows, highs, strict=True) if low <= high]


def _why(work: _Work, endpoints: Sequence[_Endpoint], late: bool, covered: int, deadline_s: float) -> str:
    if covered <= work.first:
        return ""
    if len(work.logs) >= LOGS_MAX:
        return f"more than {LOGS_MAX} events"
    if late:
        return f"the RPC did not give more within {deadline_s:.0f} s"
    return next((endpoint.said for endpoint in endpoints if endpoint.said), "the RPC gave no more")


async def _worker(
    endpoint: _Endpoint, work: _Work, query: Mapping[str, Any], clock: Clock, changed: asyncio.Event, report: Callable[[float], None]
) -> None:
    """Take ranges until none is left for this endpoint."""
    total = max(1, work.head - work.first + 1)
    while endpoint.alive and not work.over and len(work.logs) < LOGS_MAX:
        piece = work.take(endpoint.size, endpoint.head)
        if piece is None:
            if not work.under_way:
                return  # what waits lies beyond what this endpoint knows
            changed.clear()
            await changed.wait()
            continue
        low, high = piece
        try:
            logs = await endpoint.client.call("eth_getLogs", {**query, "fromBlock": hex(low), "toBlock": hex(high)})
            if not _is_sound(logs, low, high):
                raise ChainUnreachable("eth_getLogs answered something else than logs of that range", where=endpoint.client.url)
        except ChainError as error:
            work.give_back(piece)
            changed.set()
            await _refused(endpoint, error, high - low + 1, clock)
        else:
            work.finish(piece, logs)
            endpoint.took()
            changed.set()
            report((work.head - work.covered + 1) / total)
    changed.set()


async def _refused(endpoint: _Endpoint, error: ChainError, blocks: int, clock: Clock) -> None:
    endpoint.said = shown(error, endpoint.client.url)
    if _is_limit(error):
        endpoint.failures += 1
        await clock.sleep(LIMITED_WAIT_S * endpoint.failures)
    elif blocks > 1:
        endpoint.refuse(blocks)
        endpoint.failures += isinstance(error, ChainUnreachable)
    else:
        endpoint.failures += 1


def _is_sound(logs: object, first: int, last: int) -> bool:
    if not isinstance(logs, list):
        return False
    try:
        return all(first <= int(log["blockNumber"], 16) <= last for log in logs)
    except (TypeError, KeyError, ValueError):
        return False


def shown(error: ChainError, url: str) -> str:
    """What an error says, without the rest of the URL: it may hold a key."""
    return error.what.replace(url, place_of(url))


def _is_limit(error: ChainError) -> bool:
    text = f"{error.what} {error.why}".lower()
    return "429" in text or ("rate" in text and "limit" in text) or "too many requests" in text
