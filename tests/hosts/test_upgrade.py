"""Upgrades over real SSH on twelve adopted nodes: bad ones of each kind, held ones, cut off ones, a good one, and back again."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.hosts.operator import Operator, everywhere, operator
from tests.hosts.rounds import Rounds, rounds
from tests.hosts.saturday import Saturday
from tests.hosts.test_discover import Run, no_key_in

from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.testing.cortensord import CRASHES, DIES, PINGS, Build, sha256
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

FILE = "fleet.yaml"
MAY = Build(name="2026-05-06")
FAST = ("--soak", "3s")


@dataclass(slots=True)
class Fleet12:
    """Twelve adopted nodes that earn. builds: release -> sha256."""

    me: Operator
    saturday: Saturday
    builds: dict[str, str]

    @property
    def env(self) -> Environment:
        env = load_file(self.me.home / FILE)
        assert isinstance(env, Environment)
        return env

    def upgrade(self, release: str, *words: str) -> Run:
        return self.me("upgrade", release, FILE, *FAST, "--yes", *words)

    def runs(self, sha: str) -> int:
        """How many nodes run a build now."""
        return sum(line.endswith(sha) for lines in everywhere(self.saturday.fleet).values() for line in lines)

    @property
    def releases(self) -> dict[str, str | None]:
        return {name: node.release for name, node in self.env.installed.items()}


@pytest.fixture(scope="module")
def fleet12(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet12]:
    me = operator(saturday.fleet, tmp_path_factory.mktemp("home"))
    assert me("discover", "h1", "h2", "h3", "--sudo", "--write", FILE).status == 0
    assert me("adopt", FILE, "--yes").status == 0
    builds = {"crashes": CRASHES, "pings": PINGS, "dies": DIES, "may": MAY}
    known = {name: me.knows(name, build, saturday.programs, FILE) for name, build in builds.items()}
    yield Fleet12(me, saturday, {**known, "found": sha256(saturday.program)})
    assert saturday.strays("fleet", me.home) == [], "after upgrades of every kind"
    me("rollback", FILE, "--to", "0", "--now", "--yes")
    for host in saturday.fleet:
        assert me("leave", host.name, FILE, "--yes").status == 0
        assert host.run("ls -d /var/lib/cortops").stdout == ""


@pytest.fixture
def earning(fleet12: Fleet12) -> Iterator[Rounds]:
    """All twelve are selected again and again; no work that was begun is broken off."""
    with rounds(fleet12.saturday.network, fleet12.saturday.addresses) as seen:
        seen.wait_for(2)
        yield seen
    assert seen.broken == []


@pytest.mark.parametrize(
    ("release", "why"),
    # On a busy machine its two rounds may be over before the switch is.
    [("crashes", "it did not stay up with "), ("dies", "it died: its manager started it again|it did not stay up with ")],
)
def test_one_that_dies_at_once_or_after_it_earned_reaches_one_of_twelve(fleet12: Fleet12, earning: Rounds, release: str, why: str) -> None:
    before, declared, at = everywhere(fleet12.saturday.fleet), fleet12.releases, time.monotonic()
    bad = fleet12.upgrade(release)
    ended = time.monotonic()
    assert bad.status == 1 and re.search(why, bad.out) and f"{release} (" in bad.out.splitlines()[0], bad.out + bad.err
    after = everywhere(fleet12.saturday.fleet)
    changed = [line for host, lines in after.items() for line in lines - before[host]]
    assert len(changed) == 1 and changed[0].endswith(fleet12.builds["found"]), "eleven keep their pids, the twelfth its program"
    assert fleet12.releases == declared, "and the file says so"
    assert bad.took_s < 60
    earning.wait_for(1)
    others = [len(one.committed) for one in earning.since(at) if one.at < ended]
    assert others and min(others) >= 11, "the others went on"


def test_a_release_that_was_found_bad_is_refused_until_people_want_it_again(fleet12: Fleet12) -> None:
    refused = fleet12.upgrade("crashes")
    assert refused.status == 1 and "crashes was found bad on " in refused.err and "--again" in refused.err


def test_what_nobody_selects_is_held_and_waits_for_people(fleet12: Fleet12) -> None:
    held = fleet12.upgrade("may", "--within", "4s", "--canary", "h3-m7", "--json")
    told = json.loads(held.out)
    assert (held.status, told["outcome"]) == (3, "held")
    assert {node["node"]: node["state"] for node in told["nodes"] if node["state"] != "waiting"} == {"h3-m7": "held"}
    assert fleet12.runs(fleet12.builds["may"]) == 1, "neither undone nor spread"
    assert fleet12.releases["h3-m7"] == "may"
    again = fleet12.me("upgrade", "may", FILE)
    assert again.status == 3 and "its gate is due" in next(line for line in again.out.splitlines() if "h3-m7" in line)
    accepted = fleet12.upgrade("may", "h3-m7", "--accept", "h3-m7")
    assert accepted.status == 0 and accepted.out.splitlines()[0].startswith("1 node runs may")
    gates = json.loads(fleet12.me("generations", "h3", FILE, "--json").out)[0]["gates"]
    assert [one["outcome"] for one in gates if one["node"] == "h3-m7"] == ["begun", "held", "accepted"]
    back = fleet12.me("rollback", "h3-m7", FILE, "--yes")
    assert back.status == 0 and back.out.startswith("1 node back"), back.out + back.err
    assert (fleet12.runs(fleet12.builds["may"]), str(fleet12.releases["h3-m7"])[:6]) == (0, "found-")
    assert fleet12.me("plan", FILE).status == 0, "what runs is what the file says"


def test_killed_in_the_middle_it_is_finished_by_the_next_run(fleet12: Fleet12, earning: Rounds) -> None:
    with fleet12.me.running("upgrade", "may", FILE, *FAST, "--yes", "h1") as process:
        wait_until(lambda: fleet12.runs(fleet12.builds["may"]) > 0, 60)
        process.send_signal(signal.SIGKILL)
    seen = fleet12.runs(fleet12.builds["may"])
    assert seen == 1
    rest = fleet12.upgrade("may", "h1")
    assert rest.status == 0, rest.out + rest.err
    assert "took over the lock of " in rest.err and rest.out.splitlines()[0].startswith("All 4 nodes run may")
    assert fleet12.runs(fleet12.builds["may"]) == 4


def test_a_closed_terminal_stops_it_after_the_current_node(fleet12: Fleet12, earning: Rounds) -> None:
    with fleet12.me.running("upgrade", "may", FILE, *FAST, "--yes", "h3") as process:
        wait_until(lambda: fleet12.runs(fleet12.builds["may"]) > 4, 60)
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "was stopped: you asked for no further node" in out
    assert fleet12.runs(fleet12.builds["may"]) == 5


def test_a_good_one_reaches_all_and_all_go_back_with_equal_hashes(fleet12: Fleet12, earning: Rounds) -> None:
    good = fleet12.upgrade("may", "--per-host", "5", "--wave", "11")
    assert good.status == 0, good.out + good.err
    assert good.out.splitlines()[0].startswith("All 12 nodes run may")
    assert fleet12.runs(fleet12.builds["may"]) == 12 and set(fleet12.releases.values()) == {"may"}
    assert fleet12.upgrade("may").out.splitlines()[-1] == "Nothing to do."
    back = fleet12.me("rollback", FILE, "--yes")
    assert back.status == 0 and back.out.startswith("12 nodes back"), back.out + back.err
    assert fleet12.runs(fleet12.builds["found"]) == 12
    told = fleet12.me("generations", FILE)
    assert told.status == 0 and told.out.count(" adopted") == 3
    no_key_in(fleet12.saturday.nodes, good, back, told)


def test_a_host_that_is_down_hides_no_other(fleet12: Fleet12, tmp_path: Path) -> None:
    fleet12.saturday.fleet["h2"].down()
    try:
        seen = fleet12.me("upgrade", "may", FILE)
        told = fleet12.me("generations", FILE)
    finally:
        fleet12.saturday.fleet["h2"].up()
    assert seen.status == 3 and "left out: h2-alpha, h2-beta, h2-m1, h2-m2, h2-miner: h2 could not be asked" in seen.out, seen.out
    assert "7 nodes on 2 hosts" in seen.out.splitlines()[0]
    assert told.status == 3 and "h2  could not be asked" in told.out
