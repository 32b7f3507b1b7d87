"""The clock of a host is two hours off, ahead or behind: locks, gates, records and what is seen of nodes hold."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.hosts.lab import FAST, FILE, Lab
from tests.hosts.operator import stop_at_once
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import Build
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

TWO_HOURS_S = 7200
NEAR_S = 120.0


@pytest.fixture(params=[TWO_HOURS_S, -TWO_HOURS_S], ids=["ahead", "behind"])
def skewed(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """f1 has another time than everybody else."""
    lab.fleet["f1"].skew_clock(request.param)
    yield lab
    lab.fleet["f1"].skew_clock(0)


def test_what_is_seen_of_its_nodes_is_as_elsewhere(skewed: Lab) -> None:
    with rounds(skewed.network, skewed.addresses) as earning:
        earning.wait_for(3)
        seen = skewed.me("nodes", FILE, "--json")
    rows = json.loads(seen.out)
    rows = rows["nodes"] if isinstance(rows, dict) else rows
    assert {row["node"]: row["earning"] for row in rows} == dict.fromkeys((row["node"] for row in rows), True)
    doctor = skewed.me("doctor", FILE, "f1")
    assert re.search(r"clock", doctor.out), doctor.out


def test_an_upgrade_passes_its_gate_and_is_recorded_and_goes_back(skewed: Lab) -> None:
    may = Build(name=f"clock-{skewed.fleet['f1'].do('date +%H').strip()}")
    new = skewed.knows(may)
    with rounds(skewed.network, skewed.addresses) as earning:
        earning.wait_for(2)
        done = skewed.upgrade(may.name, "f1-m1")
        assert done.status == 0 and skewed.program_of("f1-m1") == new, done.out + done.err
        assert skewed.upgrade(may.name, "f1-m1").out.splitlines()[-1] == "Nothing to do."
        told = json.loads(skewed.me("generations", "f1", FILE, "--json").out)[0]
        assert abs(time.time() - max(one["at"] for one in told["generations"])) < NEAR_S, "recorded in our time"
        back = skewed.me("rollback", "f1-m1", FILE, "--yes")
        assert back.status == 0 and skewed.program_of("f1-m1") == skewed.found, back.out + back.err


def test_a_lock_lasts_as_long_as_it_says_and_its_refusal_is_in_our_time(skewed: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    may = Build(name="clock-lock")
    new, you = skewed.knows(may), skewed.another(tmp_path_factory.mktemp("home"))
    begun = time.time()
    with skewed.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
        wait_until(lambda: skewed.program_of("f1-m1") == new, 60)
        refused = skewed.upgrade(may.name, "f1-m1", by=you)
        stop_at_once(run)
    assert refused.status == 1, refused.out + refused.err
    since = re.search(r"has been applying since ([0-9:]{8}) UTC \(([0-9]+) s\)", refused.err)
    assert since, refused.err
    at = datetime.fromtimestamp(begun, UTC)
    told = at.replace(hour=int(since[1][:2]), minute=int(since[1][3:5]), second=int(since[1][6:]))
    assert abs((told - at).total_seconds()) < NEAR_S, refused.err
    assert int(since[2]) < NEAR_S
