"""A rehearsal and a drill of twelve adopted nodes in all five shapes, over real SSH: programs are read back, and no host is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.hosts.operator import Operator, everywhere, operator
from tests.hosts.saturday import Saturday

from cortops.testing.cortensord import Build, sha256

pytestmark = [pytest.mark.real, pytest.mark.proof]

FILE = "fleet.yaml"
NEXT = Build(name="2026-06-01")


@pytest.fixture(scope="module")
def me(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    me = operator(saturday.fleet, tmp_path_factory.mktemp("home"))
    assert me("discover", "h1", "h2", "h3", "--sudo", "--write", FILE).status == 0
    assert me("adopt", FILE, "--yes").status == 0
    me.knows("june", NEXT, saturday.programs, FILE)
    yield me
    for host in saturday.fleet:
        assert me("leave", host.name, FILE, "--yes").status == 0


def ours(saturday: Saturday) -> dict[str, str]:
    """Every file of ours on every host, with its hash; the lock's own file is touched by who only asks."""
    return {
        host.name: host.run("find /var/lib/cortops -type f ! -name '*.flock' -exec sha256sum {} + | sort").stdout for host in saturday.fleet
    }


def test_the_upgrade_is_played_on_copies_of_nodes_in_every_shape(me: Operator, saturday: Saturday) -> None:
    before, files = everywhere(saturday.fleet), ours(saturday)
    said = me("upgrade", "june", FILE, "--rehearse", "--json")
    assert said.status == 0, said.out + said.err
    told = json.loads(said.out)
    rehearsed = told["rehearsed"]
    assert rehearsed["outcome"] == "passed" and len(rehearsed["nodes"]) == 8
    assert all(node["state"] == "passed" and node["back"] for node in rehearsed["nodes"])
    planned = [step["node"] for wave in told["plan"]["waves"] for step in wave]
    assert [node["node"] for node in rehearsed["nodes"]] == planned[:8], "those first that the upgrade changes first"
    assert [one["node"] for one in rehearsed["left"]] == planned[8:]
    assert (everywhere(saturday.fleet), ours(saturday)) == (before, files)


def test_a_drill_of_bad_releases_needs_no_program_but_theirs(me: Operator, saturday: Saturday) -> None:
    before, files = everywhere(saturday.fleet), ours(saturday)
    said = me("drill", "bad-release", "h2", FILE, "--json")
    assert said.status == 0, said.out + said.err
    drill = json.loads(said.out)
    assert [step["outcome"] for step in drill["steps"]] == ["ok", "ok", "ok"]
    assert all("4 others kept their processes" in step["text"] for step in drill["steps"][:2])
    assert drill["releases"][0]["sha256"] == sha256(saturday.program), "read back from where it runs"
    assert (everywhere(saturday.fleet), ours(saturday)) == (before, files)
