"""From what was asked to the page: every answer read, every node judged, and what was seen told as evidence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cortops.environment.declared import Environment
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.nodes import chain_facts
from cortops.surfaces.nodes.blocks import BlockTimes, Look, place_of
from cortops.surfaces.nodes.chain_facts import NetworkChain, NodeChain
from cortops.surfaces.nodes.chain_places import TITLES, ChainPlaces
from cortops.surfaces.nodes.earning import Earning, judge
from cortops.surfaces.nodes.network import clock_error_s, network_of
from cortops.surfaces.nodes.page import NodeRow, NodesPage, ordered
from cortops.surfaces.nodes.seen import Around, HostSeen, WalletSeen, seen_of
from cortops.surfaces.nodes.sight import Seen, Window, clock_text

_WEI = 10**18
_NO_ADDRESS = "its address stands neither in the environment file nor in its env file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSeen:
    """What the chain said. logs: from block `covered` on, of a window that begins at `first`; None where nobody read them, then why."""

    logs: tuple[chain_facts.Log, ...] | None
    first: int = 0
    covered: int = 0
    complete: bool = False
    why: str = ""
    times: BlockTimes | None = None
    places: ChainPlaces = field(default_factory=lambda: ChainPlaces(addresses={}, how={}))
    looks: tuple[Look, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    wallets: Mapping[str, WalletSeen] = field(default_factory=dict)

    @property
    def silence(self) -> str:
        """Why nobody can say what a node did."""
        if not self.looks:
            return "; ".join(f"{place_of(url)}: {why}" for url, why in self.failed.items()) or "no RPC was asked"
        return self.why or ("its logs could not be read" if self.places.addresses else "no contract address is known")


@dataclass(frozen=True, slots=True)
class _Chain:
    """The chain read: each node's part, everybody's, and times. network: None where it could not be read."""

    nodes: Mapping[str, NodeChain]
    network: NetworkChain | None
    unreadable: int
    window: Window
    at_of: Callable[[int], float]


def page_of(
    env: Environment,
    chain: ChainSeen,
    hosts: Mapping[str, HostSeen],
    found: Mapping[str, Installed],
    *,
    at: float,
    since_s: float,
    released: Mapping[str, str],
) -> NodesPage:
    """found: declared name -> node as found. at: now, by our clock. released: sha256 of a binary -> its date, `YYYY-MM-DD`."""
    error_s = clock_error_s(chain.looks, at)
    now = at + error_s
    read = _read_chain(chain, addresses(env, found), now, since_s)
    network = network_of(read.network, chain.looks, read.at_of, read.window, places=chain.places, why=chain.silence)
    around = Around(
        chain_id=env.network.chain_id,
        looks=chain.looks,
        times=chain.times,
        first=chain.first,
        at_of=read.at_of,
        error_s=error_s,
        latest_session=read.network.latest_session if read.network is not None else None,
    )
    rows: list[NodeRow] = []
    uncompared: list[str] = []
    for name, node in env.installed.items():
        address = (node.address or (found[name].address if name in found else "")).lower()
        part = read.nodes.get(address) if address else None
        why = "" if part is not None else chain.silence if address else _NO_ADDRESS
        host = hosts.get(node.host, HostSeen(logs=None, why="it was not asked"))
        seen = seen_of(name, node, host, found.get(name), part, why, chain.wallets.get(address), around)
        if seen.rpc.host and not seen.rpc.bad and seen.rpc.lag is None:
            uncompared.append(name)
        row = _row(seen, judge(seen, read.window, network), found.get(name), released)
        rows.append(replace(row, observed=_observed(seen, address, chain, read, network.text)))
    count = len({node.host for node in env.installed.values()})
    return NodesPage(
        environment=env.name,
        network=network,
        rows=ordered(rows),
        hosts=count,
        window=read.window,
        at=now,
        notes=_notes(chain, read, uncompared, error_s),
    )


def _row(seen: Seen, earning: Earning, found: Installed | None, released: Mapping[str, str]) -> NodeRow:
    part, binary = seen.chain, "" if found is None else found.running_sha256 or found.binary_sha256
    return NodeRow(
        node=seen.node,
        host=seen.host,
        role=seen.role,
        earning=earning,
        selected=part.selected if part is not None else None,
        precommits=part.precommits if part is not None else None,
        commits=part.commits if part is not None else None,
        gas_days=seen.gas.days if seen.gas is not None else None,
        gas_why="" if seen.gas is None else seen.gas.why,
        rpc=_rpc_text(seen),
        binary=binary,
        binary_date=released.get(binary, ""),
    )


def addresses(env: Environment, found: Mapping[str, Installed]) -> list[str]:
    """Of every node that has one, in lower case: the declared address, else the one in its env file."""
    named = [(node.address or (found[name].address if name in found else "")).lower() for name, node in env.installed.items()]
    return list(dict.fromkeys(address for address in named if address))


def _read_chain(chain: ChainSeen, ours: list[str], now: float, since_s: float) -> _Chain:
    if chain.logs is None or chain.times is None or chain.covered > chain.times.known[-1][0]:
        return _Chain({}, None, 0, Window(begins_at=now - since_s, now=now, complete=False), lambda block: now)
    events, unreadable = chain_facts.read_logs(chain.logs)
    times = chain.times.also((event.block, event.at) for event in events if event.at is not None)
    window = Window(begins_at=times.at(chain.covered), now=now, complete=chain.complete)
    nodes, network = chain_facts.count(events, ours, times.at, now)
    return _Chain(nodes, network, unreadable, window, times.at)


def _rpc_text(seen: Seen) -> str:
    rpc = seen.rpc
    if rpc.bad or rpc.why:
        return rpc.bad or f"not asked: {rpc.why}"
    if rpc.lag is None:
        return f"{rpc.host}, compared with no other"
    return f"{rpc.host}, {rpc.lag.blocks} blocks behind {rpc.lag.references} other{'s' if rpc.lag.references > 1 else ''}"


def _observed(seen: Seen, address: str, chain: ChainSeen, read: _Chain, network: str) -> dict[str, str]:
    """Evidence id -> what was seen, without a judgement and without a secret."""
    name, part = seen.node, seen.chain
    places = ", ".join(f"{title} {place}" for title, place in chain.places.addresses.items())
    return {
        f"process:{name}": _process_text(seen, read.window.now),
        f"log:{name}": _log_text(seen),
        f"rpc:{name}": _rpc_text(seen),
        f"gas:{name}": "not read" if seen.gas is None else f"{seen.gas.wei / _WEI:.6f} now{_gas_text(seen)}",
        f"chain:{name}": seen.chain_why
        if part is None
        else f"{address}: selected {part.selected}, precommits {part.precommits}, commits {part.commits}, missed {part.missed}, "
        f"{len(part.missed_row)} in a row, {len(part.open)} open; blocks {chain.covered} on; {places}",
        "network": network,
        "reference": ", ".join(f"{place_of(look.url)} block {look.number}" for look in chain.looks) or "no RPC answered",
    }


def _process_text(seen: Seen, now: float) -> str:
    state = {True: "runs", False: "does not run", None: "not seen"}[seen.process.running]
    since = "" if seen.process.started_at is None else f" since {clock_text(seen.process.started_at, now)} UTC"
    return f"{state}{since}{', ' if seen.process.why else ''}{seen.process.why}"


def _log_text(seen: Seen) -> str:
    if seen.host_why:
        return seen.host_why
    if seen.log is None or seen.log.facts is None:
        return seen.log.why if seen.log is not None and seen.log.why else "not read"
    facts = seen.log.facts
    session = "no session" if facts.session is None else f"session {facts.session.id} state {facts.session.state}"
    pack = facts.pack or "no known form"
    return f"{pack}, {facts.lines} lines, {facts.unknown} unknown; {session}, {facts.sent} sent, {facts.pings_since_work} pings since work"


def _gas_text(seen: Seen) -> str:
    if seen.gas is None or not seen.gas.over_s:
        return f" ({seen.gas.why})" if seen.gas is not None and seen.gas.why else ""
    return f", measured over {seen.gas.over_s / 3600:.0f} h"


def _notes(chain: ChainSeen, read: _Chain, uncompared: list[str], error_s: float) -> tuple[str, ...]:
    """What could not be seen, and what to do about it."""
    notes = [f"{place_of(url)} is not counted: {why}" for url, why in chain.failed.items()]
    if chain.looks:
        notes += [f"{TITLES[name]} is not watched: nobody names its address. Declare network.contracts" for name in chain.places.missing]
    if read.network is not None and not chain.complete:
        notes.append(f"the chain was read from {clock_text(read.window.begins_at, read.window.now)} UTC on: {chain.why}")
    if read.unreadable:
        notes.append(f"{read.unreadable} events have another shape than any public ABI and were not counted")
    if uncompared:
        notes.append(f"the RPC of {len(uncompared)} nodes is compared with no other: declare network.references")
    if error_s:
        which = "behind" if error_s > 0 else "ahead of"
        notes.append(f"this machine's clock is {abs(error_s):.0f} s {which} the chain's; the times here are the chain's")
    return tuple(notes)
