"""The page of `cortops nodes`: one row a node with its verdict and evidence, the worst first, and one sentence about the network. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cortops.surfaces.nodes.earning import Earning
from cortops.surfaces.nodes.sight import NetworkSeen, Window
from cortops.words.state import State

_ORDER = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.MAINTENANCE, State.OK)
SHA_CHARS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One node. selected, precommits, commits: None where the chain could not be read. gas_days: None where that is not known.

    binary: sha256 of what runs, else of the file, else ""; binary_date: when it was released, `YYYY-MM-DD` where known.
    observed: id of an evidence -> what was seen.
    """

    node: str
    host: str
    role: str
    earning: Earning
    selected: int | None
    precommits: int | None
    commits: int | None
    gas_days: float | None
    gas_why: str
    rpc: str
    binary: str
    binary_date: str
    observed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesPage:
    """All rows, the worst first. at: when it was asked, seconds since 1970. notes: what could not be seen, for the whole fleet."""

    environment: str
    network: NetworkSeen
    rows: tuple[NodeRow, ...]
    hosts: int
    window: Window
    at: float
    notes: tuple[str, ...] = ()

    @property
    def wants_attention(self) -> bool:
        return any(row.earning.state is not State.OK for row in self.rows)


def ordered(rows: Sequence[NodeRow]) -> tuple[NodeRow, ...]:
    """The worst first; those alike by host and name, numbers in them counted."""
    return tuple(sorted(rows, key=lambda row: (_ORDER.index(row.earning.state), _natural(row.host), _natural(row.node))))


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    return tuple((text, int(part or 0)) for text, part in re.findall(r"([^0-9]*)([0-9]{0,18})", name))


def as_json(page: NodesPage) -> list[dict[str, object]]:
    """The shape of `nodes --json` (DESIGN 9), with fields added."""
    return [_row(row, page) for row in page.rows]


def _row(row: NodeRow, page: NodesPage) -> dict[str, object]:
    earning = row.earning
    return {
        "node": row.node,
        "host": row.host,
        "state": earning.state.value,
        "earning": earning.earning,
        "since": earning.since,
        "selected": row.selected,
        "precommits": row.precommits,
        "commits": row.commits,
        "verdict": earning.verdict,
        "cause": earning.cause,
        "gas_days": None if row.gas_days is None else round(row.gas_days, 1),
        "binary": row.binary,
        "evidence": list(earning.evidence),
        "role": row.role,
        "headline": earning.headline,
        "binary_date": row.binary_date,
        "rpc": row.rpc,
        "window": {"from": page.window.begins_at, "to": page.window.now, "complete": page.window.complete},
        "observed": dict(row.observed),
    }
