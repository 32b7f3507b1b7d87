"""Blocks and times: when was a block, which block was then, and how far is an RPC behind others. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

LAG_BLOCKS_MAX = 6  # what the community's relay allows (operators 2.5)
LAG_SLOP_S = 2.0  # two machines are never asked at the same instant: what a chain makes in this time is no lag


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """Some blocks whose times are known, ascending; between them times are interpolated, beyond them drawn out."""

    known: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, float]]) -> BlockTimes:
        """From (block, seconds since 1970) in any order, at least one."""
        return cls(tuple(sorted(dict(pairs).items())))

    def also(self, pairs: Iterable[tuple[int, float]]) -> BlockTimes:
        """With more of them."""
        return BlockTimes.of((*self.known, *pairs))

    @property
    def rate(self) -> float:
        """Blocks a second over all that is known; 0 where one block alone is."""
        (first, begun), (last, ended) = self.known[0], self.known[-1]
        return (last - first) / (ended - begun) if ended > begun else 0.0

    def at(self, block: int) -> float:
        """Seconds since 1970 of a block."""
        if len(self.known) == 1:
            return self.known[0][1]
        place = min(max(bisect_left(self.known, block, key=lambda pair: pair[0]), 1), len(self.known) - 1)
        (low, begun), (high, ended) = self.known[place - 1], self.known[place]
        return begun + (ended - begun) * (block - low) / (high - low)

    def block(self, at: float) -> int:
        """The block at a time, not below 0 and not above the last one known."""
        if len(self.known) == 1:
            return self.known[0][0]
        place = min(max(bisect_left(self.known, at, key=lambda pair: pair[1]), 1), len(self.known) - 1)
        (low, begun), (high, ended) = self.known[place - 1], self.known[place]
        estimate = low if ended <= begun else low + (high - low) * (at - begun) / (ended - begun)
        return min(max(0, int(estimate)), self.known[-1][0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the newest block of an endpoint. asked_at: when, by our clock; head_at: the block's own time."""

    url: str
    asked_at: float
    number: int
    head_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far an endpoint is behind independent ones. blocks: >= 0; references: how many it was measured against; is_behind: too far."""

    blocks: int
    references: int
    is_behind: bool


def lag(number: int, at: float, host: str, looks: Sequence[Look], rate: float) -> Lag | None:
    """An endpoint that had block `number` at `at` (our clock), against looks before and after. None where no other endpoint was seen.

    host: scheme://host[:port] of the endpoint: what runs there too is not independent of it. rate: blocks a second over a longer time;
    two looks shortly after each other do not tell it.
    """
    others: dict[str, list[Look]] = {}
    for look in looks:
        if place_of(look.url) != host:
            others.setdefault(look.url, []).append(look)
    if not others:
        return None
    head = max(_number_at(seen, at, rate) for seen in others.values())
    blocks = max(0, int(head - number))
    return Lag(blocks=blocks, references=len(others), is_behind=blocks > max(LAG_BLOCKS_MAX, rate * LAG_SLOP_S))


def place_of(url: str) -> str:
    """scheme://host[:port] of a URL: all of it that may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _number_at(looks: Sequence[Look], at: float, rate: float) -> float:
    """Between two looks by the line through them; outside never more than what was seen before, nor less than the rate explains."""
    before = [look for look in looks if look.asked_at <= at]
    after = [look for look in looks if look.asked_at > at]
    if not before:
        first = min(after, key=_asked)
        return first.number - rate * (first.asked_at - at)
    last = max(before, key=_asked)
    if not after:
        return float(last.number)
    then = min(after, key=_asked)
    return last.number + (then.number - last.number) * (at - last.asked_at) / (then.asked_at - last.asked_at)


def _asked(look: Look) -> float:
    return look.asked_at
