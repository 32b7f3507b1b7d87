"""Which commands are chosen to be killed at, and a slice of the kill points themselves: the whole is `make bench ONLY=killpoints`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import killpoints

from cortops.testing.hosts import here_for_ci
from cortops.testing.kills import why_not
from cortops.testing.kills.place import SHAPES, Held
from cortops.testing.kills.scenarios import SCENARIOS, cases
from cortops.testing.kills.worker import Prepared, chosen

MOST = 4  # kills for each shape and scenario


def ready(changing: tuple[int, ...], commands: int) -> Prepared:
    made = Prepared.__new__(Prepared)
    for name, value in {"changing": changing, "commands": ("c",) * commands}.items():
        object.__setattr__(made, name, value)
    return made


def test_every_change_is_killed_in_and_after_it() -> None:
    points = chosen(ready((3, 7), 20), 0, 100, random.Random(1))
    assert points == [(2, True), (3, False), (6, True), (7, False)]
    assert len(chosen(ready((3, 7), 20), 10, 100, random.Random(1))) == 10
    assert len(chosen(ready((3, 7), 20), 10, 3, random.Random(1))) == 3
    assert chosen(ready((0,), 1), 50, 100, random.Random(1)) == [(0, False)], "no more than there is"


def test_every_shape_has_every_scenario() -> None:
    assert len(cases()) == len(SHAPES) * len(SCENARIOS) == 25


def test_what_is_wrong_is_counted_and_told() -> None:
    point = {
        "shape": "salt",
        "scenario": "leave",
        "at": 4,
        "inside": False,
        "command": "f rm",
        "left": "mixed",
        "stopped": True,
        "why": "two",
    }
    good = point | {"left": "before", "stopped": False, "wrong": ""}
    found = [point | {"wrong": "runs None"}, good, good | {"left": "unfinished"}]
    assert killpoints.counted(found) == {"points": 3, "mixed": 1, "not_put_right": 1, "whole": 1, "unfinished": 1, "stopped": 1}
    assert list(killpoints.complaints(found)) == ["salt, leave, before command 4 (f rm): mixed; two runs None"]
    assert killpoints.table(found).splitlines()[1].split() == ["salt", "leave", "3", "1", "1", "1", "1", "1"]
    assert Held("a", "b", "") != Held("a", "b", "c")


@pytest.mark.real
@pytest.mark.proof
def test_no_kill_leaves_a_mix_and_the_next_apply_puts_it_right() -> None:
    if why := why_not():
        assert not here_for_ci(), why
        pytest.skip(why)
    found = killpoints.points(workers=2, quota=0, most=MOST, seed=random.SystemRandom().randrange(1 << 30))
    assert len(found) == len(cases()) * MOST
    assert list(killpoints.complaints(found)) == []
