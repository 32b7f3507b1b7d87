"""Runs a share of all points, in namespaces of its own, and prints one JSON line for each.

`python -m cortops.testing.kills.worker PROGRAMS SHARE OF QUOTA MOST SEED [SHAPE/SCENARIO ...]`, started by `command`. Its
parent is the first process of the namespace, so that all that it leaves dies with it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cortops.targets.local import LocalTarget
from cortops.testing.kills.judge import Point, judge, see, wrong
from cortops.testing.kills.place import Place, hide_machine
from cortops.testing.kills.scenarios import NEXT, OWNER, Hands, Scenario, cases, hands, held
from cortops.testing.kills.tools import Managers
from cortops.testing.kills.tracer import LaptopLost, Trace, TracedTarget, Tracer
from cortops.words.clock import SystemClock
from cortops.words.errors import CortopsError

SAVED = "before"
INSIDE_S_MAX = 0.004


def command(programs: Path, *, share: int, of: int, quota: int, most: int, seed: int, only: Sequence[str] = ()) -> list[str]:
    """The words that start one worker.

    share: from 0 to of-1. quota, most: kills for each shape and scenario, at least and at most. only: SHAPE/SCENARIO, all without one.
    """
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@" & wait $!', "sh"]
    numbers = [str(number) for number in (share, of, quota, most, seed)]
    return [*enter, sys.executable, "-m", __name__, str(programs), *numbers, *only]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A place before its operation. commands: of the whole run; changing: before which of them the host is another than one earlier."""

    place: Place
    scenario: Scenario
    commands: tuple[str, ...]
    changing: tuple[int, ...]
    files: frozenset[str]


class Worker:
    """One shape and scenario after the other."""

    def __init__(self, programs: Path, managers: Managers, tracer: Tracer) -> None:
        self._programs = programs
        self._managers = managers
        self._tracer = tracer
        self._target = LocalTarget("h1")

    async def prepare(self, shape: str, scenario: Scenario) -> Prepared:
        """Build it, do what comes before, and see one run through to its end."""
        place = Place(shape, self._programs, self._managers)
        await place.build()
        for operation in scenario.prepare:
            await operation(self._free(place))
            await place.settled(runs=True)
        latest = await self._free(place).state.manifests.latest()
        place.generation = latest.generation if latest is not None else 0
        await place.save(SAVED)
        files = set(place.files())
        trace, changing, last = Trace(), list[int](), place.fingerprint()

        def note() -> None:
            nonlocal last
            if (now := place.fingerprint()) != last:
                last = now
                changing.append(len(trace.commands))

        await self._restored(place)
        self._tracer.begin(trace)
        self._tracer.before_each = note
        await scenario.does(hands(place, TracedTarget(self._target, self._tracer), SystemClock(), OWNER))
        self._tracer.before_each = lambda: None
        for operation, _ in (scenario.again, scenario.back):
            files |= set(place.files())
            await operation(self._free(place, after=True))
        files |= set(place.files())
        return Prepared(place=place, scenario=scenario, commands=tuple(trace.commands), changing=tuple(changing), files=frozenset(files))

    async def kill(self, ready: Prepared, at: int, *, inside_s: float, laptop: bool, again: bool) -> Point:
        """One kill from the saved state on, and the next apply after it: the same once more, or back."""
        place, scenario = ready.place, ready.scenario
        await self._restored(place)
        before = see(place)
        trace = Trace(kill_at=at, laptop=laptop, inside_s=inside_s)
        self._tracer.begin(trace)
        with suppress(LaptopLost, BaseExceptionGroup, CortopsError):  # as it would be: whoever applied is told, or is gone
            await scenario.does(hands(place, TracedTarget(self._target, self._tracer), SystemClock(), OWNER))
        trace.killed = True  # whatever still asks is not answered
        await place.settled()
        left, why = await judge(place, scenario, before, self._free(place, after=True))
        stopped = place.told() is None
        operation, marks = scenario.again if again else scenario.back
        try:
            await operation(self._free(place, after=True))
            await place.settled(runs=True)
            bad = wrong(place, held(place, marks), before, ready.files)
        except CortopsError as error:
            bad = f"the next apply: {error}"
        where = ready.commands[at] if at < len(ready.commands) else ""
        return Point(
            shape=place.shape,
            scenario=scenario.name,
            at=at,
            inside=inside_s > 0,
            laptop=laptop,
            command=where,
            left=left,
            stopped=stopped,
            why=why,
            wrong=bad,
        )

    def _free(self, place: Place, *, after: bool = False) -> Hands:
        """Hands that nobody kills. after: of the next one who applies."""
        return hands(place, TracedTarget(self._target), SystemClock(), NEXT if after else OWNER)

    async def _restored(self, place: Place) -> None:
        self._tracer.begin(Trace())
        await place.restore(SAVED)


def chosen(ready: Prepared, quota: int, most: int, chance: random.Random) -> list[tuple[int, bool]]:
    """(command, inside of it) to kill at: every state that the host passes through, in and after what changed it; others up to quota."""
    points = [(at, False) for at in ready.changing] + [(at - 1, True) for at in ready.changing if at > 0]
    others = [at for at in range(len(ready.commands)) if at not in ready.changing]
    more = max(0, quota - len(points))
    points += [(at, False) for at in chance.sample(others, min(more, len(others)))]
    return sorted(points if len(points) <= most else chance.sample(points, most))


async def work(programs: Path, share: int, of: int, quota: int, most: int, seed: int, only: Sequence[str]) -> None:
    """Print a line for each point of this share."""
    hide_machine()
    managers = Managers()
    await managers.serve(Path("/srv/bin"))
    tracer = Tracer(Path("/srv"))
    worker = Worker(programs, managers, tracer)
    mine = [case for case in cases() if not only or f"{case[0]}/{case[1].name}" in only]
    for number, (shape, scenario) in enumerate(mine):
        if number % of != share:
            continue
        chance = random.Random(f"{seed} {shape} {scenario.name}")
        ready = await worker.prepare(shape, scenario)
        for one, (at, inside) in enumerate(chosen(ready, quota, most, chance)):
            inside_s = chance.uniform(0.0001, INSIDE_S_MAX) if inside else 0.0
            point = await worker.kill(ready, at, inside_s=inside_s, laptop=one % 2 == 0, again=one % 4 < 2)
            sys.stdout.write(json.dumps(asdict(point)) + "\n")
            sys.stdout.flush()
    tracer.close()
    await managers.close()


if __name__ == "__main__":
    share, of, quota, most, seed = (int(word) for word in sys.argv[2:7])
    asyncio.run(work(Path(sys.argv[1]), share, of, quota, most, seed, sys.argv[7:]))
