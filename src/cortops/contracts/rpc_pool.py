"""Several RPCs of one chain as one: which to use now is decided from what was seen of each; failover is at once, the return takes a while.

The decision is pure. RpcPool asks on its way what it needs for it: no task of its own runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cortops.contracts.rpc import RpcCall, RpcClient
from cortops.protocol.http import HttpClient
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError, ChainUnreachable, RpcRefused

FAILURES_MAX = 2  # in a row; then another is used
LAG_MAX_BLOCKS = 40
RETURN_AFTER_S = 60.0  # so long must a better one be well before it is used again
LOOK_EVERY_S = 15.0
LOOK_TIMEOUT_S = 2.0
POOL_MAX = 20  # RPC_HOST_0 to RPC_HOST_19
RATE_LIMITED = (-32_005, 429)
_WRITES = ("eth_sendRawTransaction",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one endpoint. failures: in a row. head: its newest block at the last look. other_chain: it serves another one.

    well_since: seconds of the monotonic clock; None while it is not well, or was never looked at.
    """

    failures: int = 0
    head: int | None = None
    other_chain: bool = False
    well_since: float | None = None


def is_usable(one: Seen, best_head: int) -> bool:
    """Whether requests may go there: no failure after failure, the right chain, and not too far behind."""
    behind = one.head is not None and best_head - one.head > LAG_MAX_BLOCKS
    return one.failures < FAILURES_MAX and not one.other_chain and not behind


def use_now(current: int, seen: Sequence[Seen], now: float) -> int:
    """Which endpoint to use: the current one while it is usable and none before it has been well for RETURN_AFTER_S; else the first usable.

    Where none is usable the current one stays: a change would not help. A single endpoint is always the answer.
    """
    best_head = max((one.head for one in seen if one.head is not None and not one.other_chain), default=0)
    usable = [at for at, one in enumerate(seen) if is_usable(one, best_head)]
    if current not in usable:
        return usable[0] if usable else current
    for at in usable:
        since = seen[at].well_since
        if at < current and since is not None and now - since >= RETURN_AFTER_S:
            return at
    return current


def usable_ways(current: int, seen: Sequence[Seen]) -> tuple[int, ...]:
    """In which order a read is tried: the one in use, then the other usable ones."""
    best_head = max((one.head for one in seen if one.head is not None and not one.other_chain), default=0)
    return (current, *(at for at, one in enumerate(seen) if at != current and is_usable(one, best_head)))


def looked(one: Seen, head: int | None, *, right_chain: bool, now: float) -> Seen:
    """After a look: its head, None where it gave none."""
    if head is None:
        return replace(one, failures=one.failures + 1, well_since=None)
    since = one.well_since if one.well_since is not None else now
    return Seen(failures=0, head=head, other_chain=not right_chain, well_since=since if right_chain else None)


def failed(one: Seen) -> Seen:
    """After a request without a usable answer."""
    return replace(one, failures=one.failures + 1, well_since=None)


class RpcPool(RpcClient):
    """As one RpcClient over several endpoints, in order of preference.

    A read whose endpoint fails is asked of another one at once; a transaction is not: whoever sent it looks at the chain first.
    """

    def __init__(self, urls: Sequence[str], chain_id: int, http: HttpClient, clock: Clock, timeout_s: float = 10) -> None:
        """chain_id: endpoints that serve another one are not used. BadInput without a URL, or with more than POOL_MAX."""
        if not 1 <= len(urls) <= POOL_MAX:
            raise BadInput(f"an RPC pool has 1 to {POOL_MAX} addresses, this one {len(urls)}", where="env file")
        super().__init__(urls[0], http, timeout_s)
        self._clients = [RpcClient(url, http, timeout_s) for url in urls]
        self._lookers = [RpcClient(url, http, LOOK_TIMEOUT_S) for url in urls]
        self._seen = [Seen() for _ in urls]
        self._current = 0
        self._chain_id = chain_id
        self._clock = clock
        self._looked_at: float | None = None

    @property
    def current(self) -> int:
        """Which of the URLs is used, from 0."""
        return self._current

    async def _ask(self, calls: Sequence[RpcCall]) -> list[Any]:
        await self._look()
        repeatable = not any(method in _WRITES for method, _ in calls)
        ways = usable_ways(self._current, self._seen) if repeatable else (self._current,)
        for at in ways[:-1]:
            try:
                answers = await self._clients[at].batch(calls)
            except ChainUnreachable:
                self._fail(at)
                continue
            except RpcRefused as error:  # the request as a whole
                if not is_rate_limit(error):
                    raise
                self._fail(at)
                continue
            if not any(isinstance(one, RpcRefused) and is_rate_limit(one) for one in answers):
                self._seen[at] = replace(self._seen[at], failures=0)
                return answers
            self._fail(at)
        try:
            return await self._clients[ways[-1]].batch(calls)
        except ChainError:
            self._fail(ways[-1])
            raise

    def _fail(self, at: int) -> None:
        self._seen[at] = failed(self._seen[at])
        self._choose()

    def _choose(self) -> None:
        self._current = use_now(self._current, self._seen, self._clock.monotonic())
        self.url = self._clients[self._current].url

    async def _look(self) -> None:
        """Every LOOK_EVERY_S: id and newest block of all, side by side; whoever asks then waits for it, at most LOOK_TIMEOUT_S."""
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        heads = await asyncio.gather(*(self._head(client) for client in self._lookers))
        for at, (head, right_chain) in enumerate(heads):
            self._seen[at] = looked(self._seen[at], head, right_chain=right_chain, now=now)
        self._choose()

    async def _head(self, client: RpcClient) -> tuple[int | None, bool]:
        try:
            chain_id, number = await client.batch_results([("eth_chainId", ()), ("eth_blockNumber", ())])
            return int(number, 16), int(chain_id, 16) == self._chain_id
        except (ChainError, TypeError, ValueError):
            return None, False


def is_rate_limit(error: RpcRefused) -> bool:
    """Whether a node refused because it was asked too often."""
    return error.rpc_code in RATE_LIMITED or "too many requests" in error.message.lower() or "rate limit" in error.message.lower()
