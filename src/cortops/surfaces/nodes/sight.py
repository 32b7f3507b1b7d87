"""What a verdict on a node is made from, and times in words. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cortops.surfaces.nodes.blocks import Lag
from cortops.surfaces.nodes.chain_facts import NodeChain
from cortops.surfaces.nodes.gas import Gas
from cortops.surfaces.nodes.logs import NodeLog


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcSeen:
    """The RPC that a node uses, asked from its host. why: why nobody could ask it; error: what it answered instead of a block.

    host: scheme://host. chain_id: what it serves where that is not the declared one, else None.
    """

    host: str = ""
    why: str = ""
    error: str = ""
    lag: Lag | None = None
    chain_id: int | None = None

    @property
    def bad(self) -> str:
        """What is wrong with it, "" when nothing is or nobody knows."""
        if self.error:
            return f"my RPC ({self.host}) gives no block: {self.error}"
        if self.chain_id is not None:
            return f"my RPC ({self.host}) serves chain {self.chain_id}"
        if self.lag is not None and self.lag.is_behind:
            return f"my RPC is {self.lag.blocks} blocks behind {_others(self.lag.references)}"
        return ""


def _others(count: int) -> str:
    return "another" if count == 1 else f"{count} others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The node's process. running: None when nobody could see; why: then why, else what its manager or binary says."""

    running: bool | None
    started_at: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen of one node. at_of: block -> seconds since 1970. sent: its transactions in the window, where known.

    host_why: why its host did not answer, "" when it did. chain_why: why the chain's part is not known. latest_session: the network's.
    """

    node: str
    host: str
    role: str
    process: Process
    log: NodeLog | None
    rpc: RpcSeen
    chain: NodeChain | None
    gas: Gas | None
    at_of: Callable[[int], float]
    sent: int | None = None
    host_why: str = ""
    chain_why: str = ""
    latest_session: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSeen:
    """Whether the network moves; None: nobody can tell. since: when it last did. text: one sentence for the whole fleet."""

    moving: bool | None
    text: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What of the past was read: from `begins_at` to `now`; complete: all that was asked for."""

    begins_at: float
    now: float
    complete: bool

    @property
    def text(self) -> str:
        """`the last 24 h`, or `the last 40 min, all that could be read`."""
        told = f"the last {span(self.now - self.begins_at)}"
        return told if self.complete else f"{told}, all that could be read"


def span(seconds: float) -> str:
    """`5 s`, `40 min`, `24 h`, `7 d`: from two of a unit on."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def clock_text(at: float, now: float) -> str:
    """`03:12`, with the day where it is another one; UTC."""
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{when:%H:%M}" if when.date() == today.date() else f"{when.day} {when:%b %H:%M}"
