"""JSON-RPC over HTTP, thin: one call or one batch a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cortops.contracts.revert import reason_of
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable, RpcRefused
from cortops.words.question import Silence

BATCH_CALLS_MAX = 100  # in one request; longer batches are sent as several
BODY_MAX_MIB = 64  # a page of logs with 32 KiB texts is large

OVERTAKEN = "BlockOutOfRange"  # anvil, which keeps no old state, when a block comes between its two looks at `latest`

RpcCall = tuple[str, Sequence[object]]  # method, params


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Reply(msgspec.Struct):
    id: int | None = None
    result: Any = None
    error: _Error | None = None


class RpcClient:
    """One node's JSON-RPC endpoint."""

    def __init__(self, url: str, http: HttpClient, timeout_s: float = 10, body_max_mib: float = BODY_MAX_MIB) -> None:
        """url: http(s)://… ; timeout_s, body_max_mib: of one request and its reply, a batch included."""
        self.url = url
        self._http = http
        self._timeout_s = timeout_s
        self._body_max_mib = body_max_mib

    async def call(self, method: str, *params: object) -> Any:
        """The `result`. Raises ChainUnreachable (no usable answer), CallReverted (`why` is the contract's reason), RpcRefused."""
        reply = (await self._ask([(method, params)]))[0]
        if isinstance(reply, ChainError):
            raise reply
        return reply

    async def batch(self, calls: Sequence[RpcCall]) -> list[Any]:
        """Results in the order of the calls; a failed one has its CallReverted or RpcRefused there as a value. Raises ChainUnreachable."""
        answers: list[Any] = []
        for start in range(0, len(calls), BATCH_CALLS_MAX):
            answers += await self._ask(calls[start : start + BATCH_CALLS_MAX])
        return answers

    async def batch_results(self, calls: Sequence[RpcCall]) -> list[Any]:
        """As `batch`, but the first failed call raises."""
        answers = await self.batch(calls)
        for answer in answers:
            if isinstance(answer, ChainError):
                raise answer
        return answers

    async def _ask(self, calls: Sequence[RpcCall]) -> list[Any]:
        requests = [{"jsonrpc": "2.0", "id": at, "method": method, "params": params} for at, (method, params) in enumerate(calls)]
        # A single call goes without the array: some public endpoints refuse batches.
        body = msgspec.json.encode(requests if len(requests) > 1 else requests[0])
        headers = (("content-type", "application/json"),)
        # An eth_ call may be made twice (a raw transaction too: it is the same one), so an ended keep-alive connection costs nothing.
        attempts = 2 if all(method.startswith("eth_") for method, _ in calls) else 1
        for attempt in range(1, attempts + 1):
            try:
                reply = await self._http.request(
                    "POST", self.url, headers=headers, body=body, timeout_s=self._timeout_s, body_max_mib=self._body_max_mib
                )
            except HttpFailure as error:
                if attempt < attempts and error.silence is Silence.RESET:
                    continue
                raise ChainUnreachable(
                    f"no answer from the chain at {self.url}: {error.what}", where=self.url, why=error.silence
                ) from error
            results = _results(reply.status, reply.body, self.url, calls)
            if attempt < attempts and any(isinstance(one, RpcRefused) and OVERTAKEN in one.message for one in results):
                continue
            return results
        raise AssertionError("the loop returns or raises")


def _results(status: int, body: bytes, url: str, calls: Sequence[RpcCall]) -> list[Any]:
    count = len(calls)
    try:
        decoded = msgspec.json.decode(body, type=list[_Reply] | _Reply)
    except msgspec.DecodeError as error:
        raise ChainUnreachable(
            f"{url} answered HTTP {status} without JSON-RPC", where=url, why=body[:120].decode("utf-8", "replace")
        ) from error
    replies = {reply.id: reply for reply in (decoded if isinstance(decoded, list) else [decoded])}
    if None in replies and replies[None].error is not None:  # the request as a whole was refused, for example a batch too large
        raise _failure("request", replies[None].error, url)
    if len(replies) != count or any(at not in replies for at in range(count)):
        raise ChainUnreachable(f"{url} answered {len(replies)} of {count} calls", where=url, why=f"HTTP {status}")
    return [
        reply.result if reply.error is None else _failure(calls[at][0], reply.error, url)
        for at, reply in ((at, replies[at]) for at in range(count))
    ]


def _failure(method: str, error: _Error | None, url: str) -> ChainError:
    assert error is not None
    if error.code == 3 or "revert" in error.message.lower():
        reason = reason_of(error.data) or error.message
        return CallReverted(f"the contract refused: {reason}", where=url, why=reason)
    return RpcRefused(f"{method} was refused: {error.message}", rpc_code=error.code, message=error.message, where=url, why=error.message)
