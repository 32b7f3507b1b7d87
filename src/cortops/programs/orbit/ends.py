"""The two chains that a program of this folder stands between: typed reads of both, and what of each survives a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cortops.contracts.abi import decode_log, decode_result, static_call
from cortops.contracts.artifact import load
from cortops.contracts.rpc import RpcClient
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.settings import OrbitSettings
from cortops.words.errors import ChainError, ChainUnreachable

CALL_TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 3.0
HEALTH_MAX_MIB = 0.1

Read = tuple[str, str, str]  # address, artifact, full signature of a function without arguments


@dataclass(frozen=True, slots=True)
class End:
    """One of the two chains. health_url: of a development chain, empty for others."""

    rpc: RpcClient
    http: HttpClient
    health_url: str

    async def values(self, *reads: Read) -> list[Any]:
        """One value a read, in one round trip. Raises ChainError."""
        calls = [("eth_call", ({"to": to, "data": static_call(load(name), function)}, "latest")) for to, name, function in reads]
        answers = await self.rpc.batch_results(calls)
        return [decode_result(load(read[1]), read[2], answer)[0] for read, answer in zip(reads, answers, strict=True)]

    async def events(self, address: str, name: str, event: str, topics: Sequence[object]) -> list[dict[str, Any]]:
        """Decoded arguments of one kind of event, each with its `block`. topics: those after the first, as in eth_getLogs."""
        artifact = load(name)
        query = {"address": address, "fromBlock": "0x0", "toBlock": "latest", "topics": [artifact.topic(event), *topics]}
        decoded = [decode_log(artifact, log) for log in await self.rpc.call("eth_getLogs", query)]
        return [{**one.args, "block": one.block} for one in decoded if one is not None]

    async def head(self) -> int:
        return int(await self.rpc.call("eth_blockNumber"), 16)

    async def blocks(self, numbers: Sequence[int]) -> list[Mapping[str, Any] | None]:
        """Headers by number; None for one that the chain does not have any more."""
        return await self.rpc.batch_results([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])

    async def final_block(self) -> int:
        """The newest block that no kill takes back; -1 when there is none yet. Raises ChainError."""
        if not self.health_url:
            block = await self.rpc.call("eth_getBlockByNumber", "finalized", False)
            return int(block["number"], 16) if block else -1
        try:
            reply = await self.http.request("GET", self.health_url, timeout_s=HEALTH_TIMEOUT_S, body_max_mib=HEALTH_MAX_MIB)
            found = msgspec.json.decode(reply.body, type=dict[str, Any]).get("saved_block")
        except (HttpFailure, msgspec.DecodeError) as error:
            raise ChainUnreachable(f"{self.health_url} does not tell which block is saved", where=self.health_url) from error
        return found if isinstance(found, int) else -1


def ends(settings: OrbitSettings, http: HttpClient) -> tuple[End, End]:
    """Parent and child."""
    return (
        End(RpcClient(settings.parent_rpc, http, timeout_s=CALL_TIMEOUT_S), http, settings.parent_health),
        End(RpcClient(settings.child_rpc, http, timeout_s=CALL_TIMEOUT_S), http, settings.child_health),
    )


async def check_ids(settings: OrbitSettings, parent: End, child: End) -> str:
    """ "" when both chains are the ones declared, else what is wrong. Raises ChainError."""
    for end, wanted, name in ((parent, settings.parent_chain_id, "parent"), (child, settings.child_chain_id, "child")):
        found = int(await end.rpc.call("eth_chainId"), 16)
        if found != wanted:
            return f"the {name} says it is chain {found}, declared is {wanted}"
    return ""


class Failures:
    """What the last look at the two chains failed with, for `/health`; silent until it lasts."""

    LASTS_S = 10.0

    def __init__(self) -> None:
        self._since: float | None = None
        self._what = ""

    def note(self, error: ChainError, now: float) -> None:
        self._since = now if self._since is None else self._since
        self._what = error.what

    def clear(self) -> None:
        self._since, self._what = None, ""

    def why(self, now: float) -> tuple[str, ...]:
        return (self._what,) if self._since is not None and now - self._since >= self.LASTS_S else ()
