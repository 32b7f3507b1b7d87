"""`cortops up --detach` killed at twenty moments of its run, seeded: the next `up` finishes what was left, and says so.

Run it with `-s` to see the moments. A moment is a share of an undisturbed run, which is measured first: so many lines of the journal, and
so many seconds after the last of them. So it is the same stage on a slow machine.
"""

from __future__ import annotations

import json
import random
import re
import signal
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pytest

from cortops.deploy.journal import ApplyRecord, last_apply
from cortops.testing.local import EXAMPLE, SMALL, LocalEnvironment, Place, ask, place

pytestmark = pytest.mark.proof

SEED = 20_261_127
LAST_SHARE = 0.97  # no run takes as long as another
TRIES_MAX = 6
LOOK_S = 0.005


class Start(StrEnum):
    """The place before the `up` that is killed."""

    NOTHING = "nothing"
    STOPPED = "stopped, data kept"
    HALF_MADE = "half made by a killed one"


@dataclass(frozen=True, slots=True)
class Moment:
    """share: of the undisturbed run, 0..1; from a half-made place, of the lines that are still to come there.

    before: the share after which the run was killed that left the place half made.
    """

    start: Start
    share: float
    before: float = 0.0

    def __str__(self) -> str:
        return f"{self.start.name.lower()}-{self.share:.2f}"


def _moments(seed: int, **counts: int) -> tuple[Moment, ...]:
    """So many of each start, spread over the whole run."""
    chance = random.Random(seed)
    return tuple(
        Moment(Start[name], LAST_SHARE * (at + chance.random()) / count, chance.uniform(0.1, 0.6))
        for name, count in counts.items()
        for at in range(count)
    )


IN_SMALL = _moments(SEED, NOTHING=8, STOPPED=4, HALF_MADE=4)
IN_WHOLE = _moments(SEED + 1, NOTHING=2, STOPPED=1, HALF_MADE=1)


@dataclass(frozen=True, slots=True)
class Run:
    """An undisturbed run: how long it took, and when each line of the journal came; seconds since its start."""

    took_s: float
    lines: tuple[float, ...]

    def stage(self, share: float) -> tuple[int, float]:
        """(lines, seconds after the last of them)."""
        at = share * self.took_s
        lines = bisect_right(self.lines, at)
        return lines, at - (self.lines[lines - 1] if lines else 0.0)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A place, and the runs from each start there."""

    place: Place
    runs: dict[Start, Run]


@pytest.fixture(scope="module")
def small() -> Iterator[Rehearsed]:
    yield from _rehearsed(SMALL)


@pytest.fixture(scope="module")
def whole() -> Iterator[Rehearsed]:
    yield from _rehearsed(EXAMPLE)


def _rehearsed(file: Path) -> Iterator[Rehearsed]:
    with place(file=file) as where:
        where.read("up", "--detach")  # so that everything is in the cache
        runs = {}
        for start in (Start.NOTHING, Start.STOPPED):
            _reach(where, start)
            runs[start] = _measure(where)
        yield Rehearsed(where, runs | {Start.HALF_MADE: runs[Start.NOTHING]})


@pytest.mark.parametrize("moment", IN_SMALL, ids=str)
def test_one_of_each(small: Rehearsed, moment: Moment) -> None:
    _kill_and_finish(small, moment)


@pytest.mark.parametrize("moment", IN_WHOLE, ids=str)
def test_the_whole_environment(whole: Rehearsed, moment: Moment) -> None:
    _kill_and_finish(whole, moment)


def test_there_are_enough_moments() -> None:
    moments = (*IN_SMALL, *IN_WHOLE)
    assert len(moments) == 20 and len(IN_WHOLE) >= 4 and sum(moment.start is Start.NOTHING for moment in moments) >= 5


def _kill_and_finish(rehearsed: Rehearsed, moment: Moment) -> None:
    where = rehearsed.place
    told = _kill(rehearsed, moment)
    cut = last_apply(where.journal())
    done = where.run("up", "--detach", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    finished = last_apply(where.journal())
    assert finished is not None and finished.finished == "ok"
    if cut is not None and cut.finished is None:
        _assert_told(where, cut, finished, done.stderr)
    sys.stdout.write(f"\n{where.env.name} from {moment.start}, {told}, {_left(cut)}: {' / '.join(_notes(done.stderr)) or 'no note'}")
    _assert_all_is_well(where, json.loads(done.stdout)["key"])


def _kill(rehearsed: Rehearsed, moment: Moment) -> str:
    """Kill an `up` at this moment, from this start; when it was done before, a little earlier. What was done, for people."""
    where = rehearsed.place
    for attempt in range(TRIES_MAX):
        _reach(where, Start.NOTHING if moment.start is Start.HALF_MADE else moment.start)
        share = moment.share * 0.9**attempt
        run = rehearsed.runs[moment.start]
        if moment.start is Start.HALF_MADE:
            _kill_after(where, int(moment.before * len(run.lines)), 0.0)
            lines, then_s = int(share * (len(run.lines) - len(where.journal()))), 0.0
        else:
            lines, then_s = run.stage(share)
        if _kill_after(where, lines, then_s):
            return f"killed {then_s:.2f} s after line {lines} of the journal"
    raise AssertionError(f"it is always done before: {moment}")


def _kill_after(where: Place, lines: int, then_s: float) -> bool:
    """Whether an `up` was killed so many new lines into the journal, and so many seconds later; not when it ended before."""
    written = len(where.journal())
    with where.start("up", "--detach", where.env.file) as up:
        try:
            while up.poll() is None and len(where.journal()) - written < lines:
                time.sleep(LOOK_S)
            end = time.monotonic() + then_s
            while up.poll() is None and time.monotonic() < end:
                time.sleep(LOOK_S)
        finally:
            up.kill()
            _, err = up.communicate()
    assert up.returncode in (0, -signal.SIGKILL), err
    return up.returncode != 0


def _reach(where: Place, start: Start) -> None:
    where.read("down", *(("--purge",) if start is Start.NOTHING else ()))
    where.assert_quiet()
    if start is Start.STOPPED and not (where.root / "manifests").exists():
        where.read("up", "--detach")
        where.read("down")


def _measure(where: Place) -> Run:
    written, begun, lines = len(where.journal()), time.monotonic(), list[float]()
    with where.start("up", "--detach", where.env.file) as up:
        while up.poll() is None:
            elapsed_s = time.monotonic() - begun
            lines += [elapsed_s] * (len(where.journal()) - written - len(lines))
            time.sleep(LOOK_S)
        took_s = time.monotonic() - begun
        _, err = up.communicate()
    assert up.returncode == 0, err
    return Run(took_s, tuple(lines))


def _assert_told(where: Place, cut: ApplyRecord, finished: ApplyRecord, said: str) -> None:
    """People are told what was cut off; the journal keeps that nobody wrote its end, and has the end of the one that did the rest."""
    assert re.search(rf"the apply {cut.apply} by \S+ was cut off after \d+ steps; this one does what is left", said), said
    assert finished.apply != cut.apply
    ends = {entry.apply for entry in where.journal() if entry.event == "finished"}
    assert finished.apply in ends and cut.apply not in ends


def _left(cut: ApplyRecord | None) -> str:
    if cut is None:
        return "nothing in the journal"
    return f"the journal's last apply {'ended ' + cut.finished if cut.finished else f'was cut off after {len(cut.steps)} steps'}"


def _notes(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if "took over" in line or "cut off" in line]


def _assert_all_is_well(where: Place, key: str) -> None:
    page = where.until_well("--now")
    assert where.env.gateway is not None
    assert set(where.services()) >= {*where.env.nodes, *where.env.gateway.ports(), "proxy"}
    where.assert_no_orphan()
    assert len([line for line in where.processes().values() if "supervisor.supervisord" in line]) == 1
    assert where.read("plan")["changes"] == []
    assert not list(where.root.rglob("*.new")), "nothing is left half-written"
    up = LocalEnvironment(place=where, endpoints=page["endpoints"], key=key, task="")
    if not key:  # the killed one had made everything
        up = replace(up, key=where.read("keys", "issue", "--name", "me")["key"])
        up.until_let_in()
    assert ask(up)["choices"][0]["message"]["content"]
