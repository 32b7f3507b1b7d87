"""Where the two contracts are whose logs tell who works: SessionQueueV2 (users' tasks) and Cognitive (the network's). Pure.

Declared addresses come first, then what the runtime names, then what the nodes' own env files say. The runtime of the real network is not
public: its getters below are the names that its modules' public ABIs use for one another (facts C.1), each tried, none relied on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cortops.contracts.keccak import keccak_hex

RUNTIME_ENV_KEY = "CONTRACT_ADDRESS_RUNTIME"
GETTERS: Mapping[str, tuple[str, ...]] = {
    "session_queue": ("getSessionQueueAddress", "getSessionQueueV2Address"),
    "cognitive": ("getCognitiveAddress", "getCognitiveV1Address", "getCognitiveV0Address"),
}
ENV_KEYS: Mapping[str, tuple[str, ...]] = {
    "session_queue": ("CONTRACT_ADDRESS_SESSIONQUEUEV2", "CONTRACT_ADDRESS_SESSIONQUEUE"),
    "cognitive": ("CONTRACT_ADDRESS_COGNITIVE", "CONTRACT_ADDRESS_COGNITIVEV1", "CONTRACT_ADDRESS_COGNITIVEV0"),
}
TITLES: Mapping[str, str] = {"session_queue": "SessionQueueV2 (users' tasks)", "cognitive": "Cognitive (network tasks)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlaces:
    """Contract -> address, and how it was found: `declared`, `runtime` or `env file`; missing: those that nobody names."""

    addresses: Mapping[str, str]
    how: Mapping[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in GETTERS if name not in self.addresses)


def runtime_calls(runtime: str) -> list[tuple[str, tuple[object, ...]]]:
    """Every getter of GETTERS, in order, as JSON-RPC calls."""
    names = [name for getters in GETTERS.values() for name in getters]
    return [("eth_call", ({"to": runtime, "data": keccak_hex(f"{name}()".encode())[:10]}, "latest")) for name in names]


def read_runtime(answers: Sequence[object]) -> dict[str, str]:
    """The answers to `runtime_calls` -> contract -> the first address that is one."""
    told = iter(answers)
    found: dict[str, str] = {}
    for contract, getters in GETTERS.items():
        for answer in [next(told, None) for _ in getters]:
            address = _address(answer)
            if address:
                found.setdefault(contract, address)
    return found


def _address(answer: object) -> str:
    """The last 20 bytes of a word that is an address, "" for anything else and for zero."""
    if not isinstance(answer, str) or len(answer) != 66 or not answer.startswith("0x" + "0" * 24) or not answer.strip("0x"):
        return ""
    return "0x" + answer[-40:].lower()


def from_env(envs: Sequence[Mapping[str, str]], keys: Sequence[str]) -> str:
    """The address that most of the nodes' env files give under one of `keys`, the first key first; "" when none does."""
    for key in keys:
        given = [env[key].lower() for env in envs if _is_address(env.get(key, ""))]
        if given:
            return max(dict.fromkeys(given), key=given.count)
    return ""


def _is_address(text: str) -> bool:
    return len(text) == 42 and text[:2].lower() == "0x" and all(sign in "0123456789abcdefABCDEF" for sign in text[2:])


def choose(declared: Mapping[str, str], runtime: Mapping[str, str], envs: Sequence[Mapping[str, str]]) -> ChainPlaces:
    """The first that names each contract. declared: contract -> address, "" where the file has none."""
    addresses: dict[str, str] = {}
    how: dict[str, str] = {}
    for name in GETTERS:
        sources = (("declared", declared.get(name, "")), ("runtime", runtime.get(name, "")), ("env file", from_env(envs, ENV_KEYS[name])))
        for source, address in sources:
            if address and name not in addresses:
                addresses[name], how[name] = address.lower(), source
    return ChainPlaces(addresses=addresses, how=how)
