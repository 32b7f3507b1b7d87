"""When the development chain mines, saves and starts anvil afresh. Pure: what was seen in, one step out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SAVE_SHARE_MAX = 0.05  # of all time may go into snapshots: mining stands still meanwhile
UNSAVED_BLOCKS_MAX = 60  # empty ones; so an idle chain goes back ten minutes at most, not hours
BLOCKS_PER_LIFE_MAX = 20_000  # then anvil is started afresh from a compacted snapshot: 7 KB of memory a block
QUIET_S = 30.0  # without transactions before such a fresh start
BUSY_LOOK_S = 0.010  # a task is five transactions in a row, so the next one is near
BUSY_FOR_S = 2.0


class Step(StrEnum):
    """What the sequencer does next."""

    MINE = "mine"
    SAVE = "save"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: between blocks while transactions wait, between empty blocks, between snapshots."""

    block_every_s: float
    heartbeat_every_s: float
    snapshot_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The chain as it is. Ages in seconds, `inf` before the first.

    pending: transactions that could be mined. fruitless: blocks in a row that took none of those that waited.
    unsaved_blocks: since the last snapshot; unsaved_work: one of them holds a transaction. blocks: mined by this anvil.
    """

    pending: int
    block_age_s: float
    work_age_s: float
    fruitless: int
    unsaved_blocks: int
    unsaved_work: bool
    save_age_s: float
    save_took_s: float
    blocks: int


def next_step(pace: Pace, seen: Seen) -> Step:
    """What is due now. A due snapshot goes before a due block, or a chain under load would never be saved."""
    save_due = seen.save_age_s >= save_every_s(pace, seen.save_took_s)
    if save_due and (seen.unsaved_work or seen.unsaved_blocks >= UNSAVED_BLOCKS_MAX):
        return Step.SAVE
    if seen.block_age_s >= pace.heartbeat_every_s or (seen.pending and seen.block_age_s >= block_every_s(pace, seen.fruitless)):
        return Step.MINE
    if seen.blocks >= BLOCKS_PER_LIFE_MAX and not seen.pending and seen.work_age_s >= QUIET_S:
        return Step.RENEW
    return Step.WAIT


def block_every_s(pace: Pace, fruitless: int) -> float:
    """Between blocks while transactions wait: doubled by each block that took none, up to the heartbeat."""
    return min(pace.heartbeat_every_s, pace.block_every_s * 2.0 ** min(fruitless, 20))


def save_every_s(pace: Pace, took_s: float) -> float:
    """Between snapshots: longer when one took so long that it would cost more than its share."""
    return max(pace.snapshot_every_s, took_s / SAVE_SHARE_MAX)


def look_again_s(pace: Pace, seen: Seen) -> float:
    """How long to wait before the pool is looked at again: short while there is work, else one block time. An idle look costs .3 ms CPU."""
    return min(BUSY_LOOK_S, pace.block_every_s) if seen.pending or seen.work_age_s < BUSY_FOR_S else pace.block_every_s
