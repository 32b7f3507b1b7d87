"""A Saturday, by the clock: from nothing to the first table of who earns, adopted, a bad release on one of twelve, back, and the way out.

cortensord itself is not available to tests: its stand-in is (src/cortops/testing/cortensord), with its argument line and log forms.
Run with -s to read the story as it goes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.hosts.operator import Operator, everywhere, installed, operator
from tests.hosts.rounds import Rounds, rounds
from tests.hosts.saturday import Saturday
from tests.hosts.test_discover import LOGINS, Run, no_key_in, tree

from cortops.testing.cortensord import PINGS, sha256

pytestmark = pytest.mark.real

FILE = "lab.yaml"
FIRST_TABLE_WITHIN_S = 300.0  # five minutes, as the operator was promised
BACK_WITHIN_S = 60.0


@dataclass(slots=True)
class Story:
    """What happened when, since the begin."""

    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.begun

    def tell(self, text: str) -> None:
        self.lines.append(f"{self.now_s:7.1f} s  {text}")
        sys.stdout.write(self.lines[-1] + "\n")

    def quote(self, run: Run) -> None:
        for line in (run.err + run.out).splitlines():
            sys.stdout.write(f"             | {line}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The whole of it, done once. before, bad, after: `PID SHA256` of every cortensord by host; left: the same after the way out."""

    story: Story
    saturday: Saturday
    seen: Rounds
    runs: dict[str, Run]
    at: dict[str, float]
    pids: dict[str, dict[str, frozenset[str]]]
    strays: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, dict[str, set[str]]]


def lay(saturday: Saturday) -> dict[str, set[str]]:
    """Every file where nodes live, with inode, mode, owner, time and hash; without what logins and the nodes themselves write."""
    logs = tuple(node.log for node in saturday.nodes if node.log.startswith("/"))
    but = (*LOGINS, *logs, "/var/lib/docker-standin", "/var/lib/docker", "/var/lib/cortops", "/var/lib/sudo")
    return {host.name: {line for line in tree(host, but) if not line.endswith(" /var/lib")} for host in saturday.fleet}


@pytest.fixture(scope="module")
def day(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """What an operator does on a Saturday, while the network goes on selecting all twelve."""
    folder, home = tmp_path_factory.mktemp("install"), tmp_path_factory.mktemp("home")
    with rounds(saturday.network, saturday.addresses) as seen:
        seen.wait_for(2)
        yield live(saturday, seen, folder, home)


def live(saturday: Saturday, seen: Rounds, folder: Path, home: Path) -> Day:
    story = Story()
    story.tell("a laptop with ssh to h1, h2, h3, where twelve nodes in five shapes run since long ago")
    python = installed(folder)
    story.tell("cortops is installed: pip install" if python else "no package index here: the installation is not timed")
    me = operator(saturday.fleet, home, *([python] if python else []))
    day = Day(
        story=story,
        saturday=saturday,
        seen=seen,
        runs={},
        at={},
        pids={"before": everywhere(saturday.fleet)},
        files={"before": lay(saturday)},
    )
    five_minutes(day, me)
    adopt(day, me)
    bad_release(day, me)
    way_out(day, me)
    return day


def five_minutes(day: Day, me: Operator) -> None:
    day.runs["discover"] = me("discover", "h1", "h2", "h3", "--sudo", "--write", FILE)
    day.story.tell(f"cortops discover h1 h2 h3 --sudo --write {FILE}: {day.runs['discover'].out.splitlines()[-1]}")
    day.runs["nodes"] = me("nodes", FILE)
    day.at["first table"] = day.story.now_s
    day.story.tell("cortops nodes: the first table of who earns")
    day.story.quote(day.runs["nodes"])


def adopt(day: Day, me: Operator) -> None:
    day.runs["adopt"] = me("adopt", FILE, "--yes")
    day.story.tell("cortops adopt: generation 0 is what was there")
    day.story.quote(day.runs["adopt"])
    day.pids["adopted"] = everywhere(day.saturday.fleet)
    day.strays["adopt"] = day.saturday.strays("lab", me.home)


def bad_release(day: Day, me: Operator) -> None:
    """One that starts, pings, and never earns: the kind that no process check sees."""
    me.knows("april", PINGS, day.saturday.programs, FILE)
    day.runs["plan"] = me("upgrade", "april", FILE, "--soak", "10s")
    day.story.tell("cortops upgrade april: what it would do, and for how long")
    day.story.quote(day.runs["plan"])
    day.at["upgrade"] = time.monotonic()
    day.runs["upgrade"] = me("upgrade", "april", FILE, "--soak", "10s", "--plan", day.runs["plan"].out.split("digest ")[1][:12])
    day.story.tell("the same with --plan")
    day.story.quote(day.runs["upgrade"])
    day.pids["after"] = everywhere(day.saturday.fleet)
    day.at["taken back"] = time.monotonic()
    day.strays["upgrade"] = day.saturday.strays("lab", me.home)
    day.seen.wait_for(2)
    day.runs["nodes after"] = me("nodes", FILE)
    day.story.quote(day.runs["nodes after"])


def way_out(day: Day, me: Operator) -> None:
    for host in day.saturday.fleet:
        day.runs[f"leave {host.name}"] = me("leave", host.name, FILE, "--yes")
    day.story.tell("cortops leave h1, h2, h3: nothing of ours is left there, and nodes go on")
    day.strays["leave"] = day.saturday.strays("lab", me.home)
    day.pids["left"], day.files["left"] = everywhere(day.saturday.fleet), lay(day.saturday)
    day.story.tell("the end")


def test_the_first_table_comes_within_five_minutes_of_nothing(day: Day) -> None:
    assert day.at["first table"] < FIRST_TABLE_WITHIN_S
    assert day.runs["discover"].out.splitlines()[-1] == "12 nodes on 3 hosts, 0 files written there, 0 keys read here"
    table = day.runs["nodes"].out.splitlines()
    assert table[0].startswith("12 nodes on 3 hosts · lab · last ")
    assert sum(" yes " in line for line in table) == 12


def test_adopting_restarts_nobody(day: Day) -> None:
    assert day.runs["adopt"].status == 0, day.runs["adopt"].err
    assert day.pids["adopted"] == day.pids["before"]


def test_it_says_beforehand_who_goes_first_and_how_long_it_takes(day: Day) -> None:
    plan = day.runs["plan"]
    assert plan.status == 3
    first = next(line for line in plan.out.splitlines() if "wave 1" in line)
    assert "selected about every " in first and ": its gate closes at " in first and first.endswith(" UTC at the latest")
    assert "4 waves: " in plan.out and "All of it can be taken back." in plan.out


def test_a_bad_release_reaches_one_of_twelve(day: Day) -> None:
    upgrade = day.runs["upgrade"]
    assert upgrade.status == 1
    assert "april (" in upgrade.out and " is bad." in upgrade.out
    assert "it was selected twice since the change and did not precommit, while others committed" in upgrade.out
    assert "11  what they ran before, not touched" in upgrade.out
    changed = [line for host, lines in day.pids["after"].items() for line in lines - day.pids["before"][host]]
    gone = [line for host, lines in day.pids["before"].items() for line in lines - day.pids["after"][host]]
    assert (len(changed), len(gone)) == (1, 1), "eleven keep their pids"
    assert changed[0].split()[1] == gone[0].split()[1] == sha256(day.saturday.program), "the old one is back, with an equal hash"


def test_the_others_went_on_committing_meanwhile(day: Day) -> None:
    during = [one for one in day.seen.since(day.at["upgrade"]) if one.at < day.at["taken back"]]
    assert len(during) >= 3
    slowest = min(len(one.committed) for one in during)
    assert slowest == 11, [len(one.committed) for one in during]
    missed = {miner for one in during for miner in set(day.saturday.addresses) - one.committed}
    assert len(missed) == 1, "always the same one"


def test_it_was_taken_back_within_a_minute(day: Day) -> None:
    lines = day.runs["upgrade"].err.splitlines()
    bad = next(float(line.split()[0]) for line in lines if " bad: " in line)
    again = next(float(line.split()[0]) for line in lines if line.endswith(" again"))
    assert again - bad < BACK_WITHIN_S
    table = day.runs["nodes after"].out
    assert sum(" yes " in line for line in table.splitlines()) == 12, table


def test_no_work_was_broken_off(day: Day) -> None:
    assert day.seen.broken == []


def test_the_way_out_leaves_everything_as_it_was(day: Day) -> None:
    for host in day.saturday.fleet:
        assert day.runs[f"leave {host.name}"].status == 0, day.runs[f"leave {host.name}"].err
        assert host.run("ls -d /var/lib/cortops /etc/systemd/system/*.d/50-cortops.conf").stdout == ""
    assert day.pids["left"] == day.pids["after"]
    for name, files in day.files["before"].items():
        now = day.files["left"][name]
        assert {line for line in files ^ now if len(line.split()[0]) == 64} == set(), "every file has its hash"


def test_no_key_stands_where_it_should_not_after_adopting_upgrading_and_leaving(day: Day) -> None:
    assert day.strays == {"adopt": [], "upgrade": [], "leave": []}


def test_no_key_came_here(day: Day) -> None:
    no_key_in(day.saturday.nodes, *day.runs.values())
