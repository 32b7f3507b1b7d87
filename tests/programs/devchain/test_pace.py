"""When to mine, save, renew: as tables."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from cortops.programs.devchain.pace import (
    BLOCKS_PER_LIFE_MAX,
    BUSY_LOOK_S,
    UNSAVED_BLOCKS_MAX,
    Pace,
    Seen,
    Step,
    block_every_s,
    look_again_s,
    next_step,
)

PACE = Pace(block_every_s=0.05, heartbeat_every_s=10, snapshot_every_s=5)
IDLE = Seen(
    pending=0, block_age_s=3, work_age_s=100, fruitless=0, unsaved_blocks=0, unsaved_work=False, save_age_s=100, save_took_s=0.01, blocks=5
)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        ({}, Step.WAIT),
        ({"block_age_s": 10}, Step.MINE),
        ({"block_age_s": inf}, Step.MINE),
        ({"pending": 1, "block_age_s": 0.049}, Step.WAIT),
        ({"pending": 1, "block_age_s": 0.05}, Step.MINE),
        ({"pending": 1, "block_age_s": 3, "fruitless": 6}, Step.WAIT),
        ({"pending": 1, "block_age_s": 3.2, "fruitless": 6}, Step.MINE),
        ({"unsaved_work": True}, Step.SAVE),
        ({"unsaved_work": True, "save_age_s": 4.9}, Step.WAIT),
        ({"unsaved_work": True, "save_age_s": 9, "save_took_s": 0.5}, Step.WAIT),
        ({"unsaved_work": True, "save_age_s": 10, "save_took_s": 0.5}, Step.SAVE),
        ({"unsaved_blocks": UNSAVED_BLOCKS_MAX - 1}, Step.WAIT),
        ({"unsaved_blocks": UNSAVED_BLOCKS_MAX}, Step.SAVE),
        ({"unsaved_work": True, "pending": 9, "block_age_s": 10}, Step.SAVE),
        ({"blocks": BLOCKS_PER_LIFE_MAX}, Step.RENEW),
        ({"blocks": BLOCKS_PER_LIFE_MAX, "pending": 1, "block_age_s": 0}, Step.WAIT),
        ({"blocks": BLOCKS_PER_LIFE_MAX, "work_age_s": 29}, Step.WAIT),
    ],
)
def test_next_step(seen: dict[str, object], step: Step) -> None:
    assert next_step(PACE, replace(IDLE, **seen)) is step


def test_blocks_that_take_nothing_come_ever_more_rarely_up_to_the_heartbeat() -> None:
    assert [block_every_s(PACE, n) for n in (0, 1, 2, 7, 8, 10_000)] == [0.05, 0.1, 0.2, 6.4, 10, 10]


@pytest.mark.parametrize(("seen", "wait_s"), [({}, 0.05), ({"work_age_s": 0.1}, BUSY_LOOK_S), ({"pending": 1}, BUSY_LOOK_S)])
def test_the_pool_is_looked_at_more_often_while_there_is_work(seen: dict[str, object], wait_s: float) -> None:
    assert look_again_s(PACE, replace(IDLE, **seen)) == wait_s
