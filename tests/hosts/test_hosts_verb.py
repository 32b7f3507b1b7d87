"""`cortops hosts` over real SSH, on hosts that the whole run shares: it only looks."""

from __future__ import annotations

import json

import pytest
from tests.hosts.operator import Operator, everywhere, operator
from tests.hosts.saturday import Saturday

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def me(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return operator(saturday.fleet, tmp_path_factory.mktemp("home"))


def test_every_host_is_a_line_one_silent_host_hides_no_other_and_nothing_is_written(me: Operator, saturday: Saturday) -> None:
    before = everywhere(saturday.fleet)
    said = me("hosts", "h1", "h2", "h3", "nobody@127.0.0.1:1", "--sudo")
    lines = said.out.splitlines()
    assert said.status == 3 and lines[0].startswith("hosts · 3 of 4 hosts answer · "), said.out + said.err
    table = [line.split() for line in lines[2:6]]
    assert [row[1] for row in table] == ["h1", "h2", "h3", "127-0-0-1"]
    assert [" ".join(row[-5:]) for row in table[:3]] == ["4 of 4 run nothing", "5 of 5 run nothing", "3 of 3 run nothing"]
    assert table[3][0] == "◌" and "did not answer" in lines[-1] and "next: " in lines[-1]
    assert everywhere(saturday.fleet) == before


def test_the_same_for_programs(me: Operator) -> None:
    rows = json.loads(me("hosts", "h2", "--sudo", "--json").out)
    assert [row["host"] for row in rows] == ["h2"]
    row = rows[0]
    assert (row["root"], row["sudo"], row["systemd"], row["nodes"]) == (True, "root", True, {"found": 5, "running": 5})
    assert row["python"].startswith("3.11") and row["cpus"] >= 1 and row["ours"] == []
    assert row["clock_offset_s"]["least"] <= 0 <= row["clock_offset_s"]["most"], "the same clock"
    assert row["memory_mib"]["total"] > row["memory_mib"]["free"] > 0
