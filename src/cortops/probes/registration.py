"""Is an address registered as a node? Asked of the contract that a runtime names for it, where it names one.

The runtime of the real network is not public: its getters below follow the names of its modules' public ABIs (facts C.1), each is tried,
none relied on. Where nobody knows, nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from cortops.contracts.keccak import keccak_hex
from cortops.contracts.rpc import RpcCall, RpcClient
from cortops.probes.backfill import ask_many
from cortops.words.errors import ChainError

GETTERS = ("getNodeRegistryAddress", "getCognitiveLevelAddress", "getIAMAddress")
QUESTION = "isNodeRegistered(address)"
ADDRESSES_MAX = 500


async def registries(client: RpcClient, runtime: str) -> tuple[str, ...]:
    """The contracts that may know, as the runtime names them; () when it names none, or does not answer."""
    calls: list[RpcCall] = [("eth_call", ({"to": runtime, "data": _selector(f"{name}()")}, "latest")) for name in GETTERS]
    try:
        answers = await ask_many(client, calls)
    except ChainError:
        return ()
    found = [answer for answer in answers if isinstance(answer, str) and len(answer) == 66 and answer.strip("0x")]
    return tuple("0x" + answer[-40:].lower() for answer in found)


async def registered(client: RpcClient, contracts: Sequence[str], addresses: Sequence[str]) -> dict[str, bool]:
    """Address, as given -> whether the first contract that answers knows it; without those of whom nobody said anything."""
    asked = list(addresses[:ADDRESSES_MAX])
    for contract in contracts:
        calls: list[RpcCall] = [("eth_call", ({"to": contract, "data": _call(address)}, "latest")) for address in asked]
        try:
            answers = await ask_many(client, calls)
        except ChainError:
            return {}
        found = {address: int(answer, 16) == 1 for address, answer in zip(asked, answers, strict=True) if _is_bool(answer)}
        if found:
            return found
    return {}


def _selector(signature: str) -> str:
    return keccak_hex(signature.encode())[:10]


def _call(address: str) -> str:
    return _selector(QUESTION) + address.lower().removeprefix("0x").rjust(64, "0")


def _is_bool(answer: object) -> bool:
    return isinstance(answer, str) and len(answer) == 66 and answer[2:-1] == "0" * 63 and answer[-1] in "01"
