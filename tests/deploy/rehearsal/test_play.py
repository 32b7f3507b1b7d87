"""An upgrade played on copies of nodes on this machine: the good one, bad ones, and the way back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.deploy.rehearsal.copied import demand_box, file_of, lab, old_program, stage, told

from cortops.deploy.node_programs import Program
from cortops.deploy.rehearsal.copies import plan_of
from cortops.deploy.rehearsal.made import CRASHES, STEADY
from cortops.deploy.rehearsal.play import go_back, play
from cortops.deploy.rehearsal.stage import now
from cortops.deploy.waves.machine import Phase
from cortops.deploy.waves.run import Stopping
from cortops.testing import cortensord

pytestmark = [pytest.mark.real, pytest.mark.proof]


def test_copies_are_switched_and_go_back(tmp_path: Path) -> None:
    demand_box(tmp_path)
    old = old_program(tmp_path)
    was, said = cortensord.sha256(old), list[str]()
    files = {made.sha256: file_of(made, tmp_path) for made in (STEADY, CRASHES)}

    async def played() -> None:
        async with stage(tmp_path, old, files) as set_up:
            assert not set_up.ended
            before = await now(set_up)
            assert {one.program for one in before.values()} == {was}

            bad = Program(sha256=CRASHES.sha256, release=CRASHES.name, size=len(CRASHES.data))
            done = await play(set_up, plan_of(lab(), bad.release, bad.sha256, set_up.copies, 1.0), bad, Stopping(), told(said))
            assert done.upgrade.outcome == "bad", said
            after = await now(set_up)
            assert {one.program for one in after.values()} == {was}, "the old one runs"
            assert after["m08"] == before["m08"], "and the other was not touched"
            assert after["m07"].pid != before["m07"].pid
            assert any("made-crashes ends at once, as it was made to" in line for line in said), said

            good = Program(sha256=STEADY.sha256, release=STEADY.name, size=len(STEADY.data))
            done = await play(set_up, plan_of(lab(), good.release, good.sha256, set_up.copies, 1.0), good, Stopping(), told(said))
            assert done.upgrade.named(Phase.PASSED) == ("m07", "m08"), said
            assert set(done.switch_s) == {"m07", "m08"}
            assert {one.program for one in (await now(set_up)).values()} == {good.sha256}

            back = await go_back(set_up, Stopping(), told(said))
            assert (back.equal, back.failed) == (("m07", "m08"), {})
            assert {one.program for one in (await now(set_up)).values()} == {was}

    asyncio.run(played())
    assert list(tmp_path.glob("cortops-rehearsal-*")) == []
