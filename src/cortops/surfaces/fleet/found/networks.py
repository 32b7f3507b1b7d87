"""Which known network an env file means: its runtime contract and chain id against what is known of networks. Pure. Facts G."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from cortops.environment.networks import Fact, NetworkRecord

UNKNOWN = "unknown"
ANSIBLE_L3 = 12_515  # what the Ansible role writes for every node of a COR chain, whichever it is

Records = Mapping[str, NetworkRecord]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What an env file means. network: None for none that is known. why: by which of its lines. wrong: what in it contradicts that."""

    network: NetworkRecord | None
    chain_id: int | None
    runtime: str
    why: str
    wrong: str = ""

    @property
    def name(self) -> str:
        return self.network.network if self.network else UNKNOWN


def likely(fact: Fact[T]) -> T | None:
    """What a fact is, or perhaps is."""
    return fact.is_ if fact.is_ is not None else fact.perhaps


def meant(env: Mapping[str, str], records: Records) -> Meant:
    """Public values of an env file -> the network that it means. The runtime contract decides; where two share one, RPC or chain id do."""
    runtime, chain_id = env.get("CONTRACT_ADDRESS_RUNTIME", ""), _number(env.get("CHAINID", ""))
    if runtime in ("", "?"):
        return Meant(network=None, chain_id=chain_id, runtime="", why="no CONTRACT_ADDRESS_RUNTIME could be read")
    same = [record for record in records.values() if (likely(record.contracts["runtime"]) or "").lower() == runtime.lower()]
    if same:
        return _of_runtime(same, runtime, chain_id, env)
    private = [record for record in records.values() if likely(record.contracts["runtime"]) is None and chain_id is not None]
    by_chain = [record for record in private if likely(record.chain_id) == chain_id]
    shown = f"CONTRACT_ADDRESS_RUNTIME {runtime[:8]}…"
    if len(by_chain) == 1:
        why = f"CHAINID {chain_id} (its runtime contract is not public, so {runtime[:8]}… cannot be compared)"
        return Meant(network=by_chain[0], chain_id=chain_id, runtime=runtime, why=why)
    return Meant(network=None, chain_id=chain_id, runtime=runtime, why=f"{shown} is of no network that is known")


def _of_runtime(same: Sequence[NetworkRecord], runtime: str, chain_id: int | None, env: Mapping[str, str]) -> Meant:
    by_rpc = next((record for record in same if _is_asked(record, env)), None) if len(same) > 1 else None
    by_chain = next((record for record in same if likely(record.chain_id) == chain_id), None)
    record = by_rpc or by_chain or same[0]
    why = f"CONTRACT_ADDRESS_RUNTIME {runtime[:8]}…"
    if len(same) > 1:
        why += " and the host of its RPC" if by_rpc else f" and CHAINID {chain_id}" if by_chain else ""
    wrong, known = "", likely(record.chain_id)
    if chain_id is None:
        wrong = f"CHAINID is missing; {record.network} is {known}"
    elif chain_id != known:
        wrong = f"CHAINID is {chain_id}, and {record.network} is {known}"
    elif chain_id == ANSIBLE_L3:
        ids: list[tuple[str, int | None]] = [(other.network, likely(other.chain_id)) for other in same if other is not record]
        others = [f"{name} is {other_id}" for name, other_id in ids]
        wrong = f"CHAINID is {chain_id}, which the Ansible role writes for every COR chain; {', '.join(others)}" if others else ""
    return Meant(network=record, chain_id=chain_id, runtime=runtime, why=why, wrong=wrong)


def _is_asked(record: NetworkRecord, env: Mapping[str, str]) -> bool:
    """Whether an RPC of the env file is one of this network, or lies under the domain of its sequencer."""
    rpcs = [_host(url) for url in likely(record.rpc) or ()]
    domains = [_host(url).partition(".")[2] for url in (likely(record.sequencer), likely(record.feed)) if url]
    urls = [value.partition("#")[0] for name, value in env.items() if name == "HOST" or name.startswith("RPC_HOST_")]
    return any(_host(url) in rpcs or any(domain.count(".") > 1 and _host(url).endswith(f".{domain}") for domain in domains) for url in urls)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def most_meant(every: Iterable[Meant]) -> Meant | None:
    """The network that most of them mean; of two that as many mean, the first. None of none."""
    counts: dict[tuple[str, str], list[Meant]] = {}
    for one in every:
        counts.setdefault((one.name, one.runtime.lower() if one.network is None else ""), []).append(one)
    return max(counts.values(), key=len)[0] if counts else None
