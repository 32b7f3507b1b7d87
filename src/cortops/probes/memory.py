"""What was read of a chain before, so that the next look begins where one ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_EVERY_S = 3_600.0  # of what a wallet held
KEPT_MAX = 7 * 24 + 1

Log = Mapping[str, Any]


@dataclass(slots=True)
class Read:
    """Logs of blocks `first` to `last`, in order; the times of some blocks."""

    first: int
    last: int
    logs: tuple[Log, ...]
    times: dict[int, float]


@dataclass(slots=True)
class ChainMemory:
    """What was read before, by question; bounded by the questions' own `keep` and by KEPT_MAX."""

    events: dict[str, Read] = field(default_factory=dict)
    holdings: dict[str, dict[str, list[tuple[float, int]]]] = field(default_factory=dict)
