"""Bad releases: one that crashes, one that never earns, one that earns and dies. The old one serves meanwhile and afterwards, by what
came over the wire: each transaction with the build that sent it."""

from __future__ import annotations

import time

import pytest
from tests.hosts.lab import FILE, Lab
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import GOOD, Build
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

BACK_WITHIN_S = 60.0
BAD = "f1-m1"


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (Build(name="bad-crashes", mode="crashes"), "it did not stay up with "),
        (Build(name="bad-pings", mode="pings"), "it was selected twice since the change and did not precommit, while others committed"),
        (Build(name="bad-dies", mode="dies"), "it died: its manager started it again"),
    ],
    ids=["crashes", "never-earns", "earns-then-dies"],
)
def test_the_old_program_serves_during_and_after(lab: Lab, build: Build, why: str) -> None:
    lab.knows(build)
    every = {address.lower() for address in lab.addresses}
    others = every - {lab.address(BAD)}
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        assert lab.wire.by(GOOD.name, since=0.0) == every, "the old one serves on every node before"
        before, begun = lab.processes(), time.monotonic()
        bad = lab.me("upgrade", build.name, FILE, "--soak", "90s", "--yes", "--canary", BAD)
        ended = time.monotonic()
        assert bad.status == 1 and why in bad.out, bad.out + bad.err
        during = lab.wire.by(GOOD.name, since=begun, until=ended)
        assert others <= during, "and on every other node during"
        earned = any(lab.address(BAD) in {miner.lower() for miner in one.committed} for one in earning.since(begun) if one.at < ended)
        assert earned or build.mode != "dies", "the one that dies later earned before"
        assert lab.wire.by(build.name, since=0.0) <= {lab.address(BAD)}, "the bad one reached one node"
        wait_until(lambda: lab.wire.by(GOOD.name, since=ended) == every, BACK_WITHIN_S)
        assert lab.wire.by(GOOD.name, since=ended) == every, "and on every node after"
        assert lab.wire.by(build.name, since=ended) == set()
    assert lab.changed(before) == {BAD} and lab.program_of(BAD) == lab.found
    assert [one for one in earning.broken if one[1].lower() in others] == []
