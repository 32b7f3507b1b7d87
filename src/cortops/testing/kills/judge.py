"""What a kill left, and what the next apply made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cortops.testing.kills.place import OURS, Held, Place
from cortops.testing.kills.scenarios import Hands, Scenario, held
from cortops.words.errors import CortopsError

Left = Literal["before", "after", "unfinished", "mixed"]
# Beside the file that they become, and read by nobody: the next change takes them up or away, and `leave` does.
_MAY_STAY = (".part", "/50-cortops.conf.new", ".cortops-new", "/run/taking", "/before")


def _is_ours(path: str) -> bool:
    """Whether it is a file of our own folder that was not whole yet."""
    return path.startswith(f"{OURS}/") and path.endswith(".new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One kill. at: before (or, `inside`, in) which command of the run; command: function and word of it.

    left: the host is whole, as before or as after; `unfinished`: files on disk are of both, and our own look says so, while what runs is of
    one; `mixed`: anything else. stopped: nothing ran. wrong: what the next apply did not put right, "" when it did.
    """

    shape: str
    scenario: str
    at: int
    inside: bool
    laptop: bool
    command: str
    left: Left
    stopped: bool
    why: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The host as it is: what runs, what a boot would start, the bystander's pid, the operator's files."""

    running: Held | None
    disk: Held
    pids: tuple[int, ...]
    bystander: int
    operators: dict[str, tuple[int, int, str]]


def see(place: Place) -> Seen:
    return Seen(place.told(), place.on_disk(), tuple(place.pids()), place.bystander, place.operators())


def on_disk(place: Place, marks: Held) -> Held:
    """A generation as it lies on disk: by hand no start takes our program but ours, so only its env file counts."""
    return Held("", marks.env, "") if place.shape == "nohup" else marks


async def judge(place: Place, scenario: Scenario, before: Seen, look: Hands) -> tuple[Left, str]:
    """What was left, and why it is so if it is bad. look: with hands that nobody kills."""
    now = see(place)
    ends = {"before": held(place, scenario.before), "after": held(place, scenario.after)}
    if now.bystander != before.bystander:
        return "mixed", "the bystander was started anew"
    if len(now.pids) > 1:
        return "mixed", f"it runs {len(now.pids)} times"
    if now.running is not None and now.running not in ends.values():
        return "mixed", f"what runs is of both: {now.running}"
    if scenario.quiet:
        touched = now.pids != before.pids or now.operators != before.operators
        return ("mixed", "a process or a file of the operator's was touched") if touched else ("before", "")
    for name, marks in ends.items():
        same = now.disk == on_disk(place, marks)
        if same and now.running in (None, marks):
            return name, ""  # type: ignore[return-value]  # the two names are of the type
    try:
        seen = await look.look(scenario.wants(look))
    except CortopsError as error:
        return "mixed", f"it cannot be looked at: {error}"
    return ("unfinished", "") if seen.plan.changes else ("mixed", f"on disk {now.disk}, runs {now.running}, and no plan tells it")


def wrong(place: Place, wanted: Held, before: Seen, files: frozenset[str]) -> str:
    """What the next apply did not put right. files: those of runs that nobody cut off."""
    now = see(place)
    if now.running != wanted:
        return f"runs {now.running}, not {wanted}"
    if now.disk != on_disk(place, wanted):
        return f"on disk {now.disk}, not {wanted}"
    if now.bystander != before.bystander or len(now.pids) != 1:
        return f"pids {now.pids}, bystander {now.bystander} (was {before.bystander})"
    left = sorted(path for path in place.files() if path not in files and not path.endswith(_MAY_STAY) and not _is_ours(path))
    return f"left: {', '.join(left)}" if left else ""
