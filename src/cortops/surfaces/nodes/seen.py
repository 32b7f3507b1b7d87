"""One node as it was seen: its process, log, RPC, wallet and part in the chain, put together from the answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.nodes import logs
from cortops.surfaces.nodes.blocks import BlockTimes, Lag, Look, lag
from cortops.surfaces.nodes.chain_facts import NodeChain
from cortops.surfaces.nodes.gas import Balance, gas
from cortops.surfaces.nodes.logs import HostLogs, NodeLog, RpcProbe
from cortops.surfaces.nodes.sight import Process, RpcSeen, Seen
from cortops.words.question import NoAnswer, Reply

NEWEST = -1  # stands for the newest block among a wallet's


class WalletSeen(Protocol):
    """What an address held and had sent, by block."""

    @property
    def wei(self) -> Mapping[int, int]: ...

    @property
    def sent(self) -> Mapping[int, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """What one host said. logs: None when it said nothing of them, then why; found_why: why it said nothing of its processes."""

    logs: HostLogs | None
    why: str = ""
    found_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What all nodes share.

    looks: at independent RPCs. first: the block at which the window begins. error_s: the chain's clock less ours. latest_session: the
    newest network task.
    """

    chain_id: int
    looks: Sequence[Look]
    times: BlockTimes | None
    first: int
    at_of: Callable[[int], float]
    error_s: float
    latest_session: int | None = None


def host_seen(logged: Reply, found: Reply) -> HostSeen:
    """A host's two replies, read."""
    found_why = found.why if isinstance(found, NoAnswer) else ""
    if isinstance(logged, NoAnswer):
        return HostSeen(logs=None, why=logged.why, found_why=found_why)
    return HostSeen(logs=logs.read(logged), found_why=found_why)


def seen_of(
    name: str,
    node: CortensordNode,
    host: HostSeen,
    found: Installed | None,
    part: NodeChain | None,
    chain_why: str,
    wallet: WalletSeen | None,
    around: Around,
) -> Seen:
    """part: the node's part in the chain, None where that is not known; then chain_why. found: None where discover does not see it."""
    log = host.logs.nodes.get(name) if host.logs is not None else None
    offset_s = host.logs.offset_s if host.logs is not None else 0.0
    sent = None if wallet is None else _sent(wallet, around.first)
    held = None if wallet is None or around.times is None else _balances(wallet, around.times)
    return Seen(
        node=name,
        host=node.host,
        role=node.role,
        process=_process(node, host, found, offset_s + around.error_s),
        log=None if log is None else _shifted(log, around.error_s),
        rpc=_rpc(log, host, around),
        chain=part,
        chain_why=chain_why,
        gas=None if held is None else gas(held, sent=sent),
        sent=sent,
        at_of=around.at_of,
        host_why=host.why,
        latest_session=around.latest_session,
    )


def _process(node: CortensordNode, host: HostSeen, found: Installed | None, offset_s: float) -> Process:
    if found is None:
        return Process(running=None, why=host.found_why or f"it is not found on {node.host}")
    started = None if found.started_at is None else found.started_at + offset_s
    fault = {"lfs-pointer": "is a Git LFS pointer, not a program", "missing": "is missing"}.get(found.binary_kind)
    return Process(running=found.running, started_at=started, why=f"{found.binary} {fault}" if fault else found.unit)


def _shifted(log: NodeLog, seconds: float) -> NodeLog:
    """Times by the chain's clock instead of ours."""
    facts = log.facts
    if facts is not None and seconds:
        facts = replace(facts, stale_since=_plus(facts.stale_since, seconds), traceback_at=_plus(facts.traceback_at, seconds))
    return replace(log, facts=facts, modified_at=_plus(log.modified_at, seconds))


def _plus(at: float | None, seconds: float) -> float | None:
    return None if at is None else at + seconds


def _rpc(log: NodeLog | None, host: HostSeen, around: Around) -> RpcSeen:
    """The best of the endpoints that a node has: it is bad only when all of them are."""
    if log is None or host.logs is None:
        return RpcSeen(why=host.why or "its host said nothing of it")
    asked = [(log.rpc_hosts.get(sha, ""), host.logs.probes[sha]) for sha in log.rpcs if sha in host.logs.probes]
    if not asked:
        return RpcSeen(why=log.rpc_why or "its env file names no RPC that could be asked")
    seen = [_one_rpc(place, probe, around) for place, probe in asked]
    return min(seen, key=lambda rpc: (bool(rpc.bad), bool(rpc.error), rpc.lag.blocks if rpc.lag else 0))


def _one_rpc(place: str, probe: RpcProbe, around: Around) -> RpcSeen:
    if probe.error or probe.number is None:
        return RpcSeen(host=place, error=probe.error or "no block")
    if probe.chain_id not in (None, around.chain_id):
        return RpcSeen(host=place, chain_id=probe.chain_id)
    behind: Lag | None = lag(probe.number, probe.at, place, around.looks, around.times.rate if around.times is not None else 0.0)
    return RpcSeen(host=place, lag=behind)


def _balances(wallet: WalletSeen, times: BlockTimes) -> list[Balance]:
    past = [Balance(times.at(block), wei) for block, wei in sorted(wallet.wei.items()) if block != NEWEST]
    return [*past, Balance(times.known[-1][1], wallet.wei[NEWEST])]


def _sent(wallet: WalletSeen, first: int) -> int | None:
    """Transactions since the beginning of the window, or since the oldest block after it that was kept; None where none was."""
    past = [block for block in wallet.sent if block >= first]
    return wallet.sent[NEWEST] - wallet.sent[min(past)] if past else None
