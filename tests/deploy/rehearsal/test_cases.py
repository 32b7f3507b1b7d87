"""What a drill must show: a step is ok only when what ran before runs again, and nothing else was touched."""

from __future__ import annotations

from dataclasses import replace

from tests.deploy.rehearsal.copied import KEY, lab

from cortops.deploy.rehearsal.cases import deployed, lingered, taken_back, went_back
from cortops.deploy.rehearsal.copies import Runs, cast, plan_of
from cortops.deploy.rehearsal.play import Played, WentBack
from cortops.deploy.rehearsal.stage import Now
from cortops.deploy.waves.machine import NodeState, Phase, Upgrade

OLD, NEW = "3f" * 32, "9a" * 32
RUNS = Runs(program=OLD, release="march")
WAS = {"m07": OLD, "m08": OLD}
BEFORE = {"m07": Now(OLD, "10"), "m08": Now(OLD, "11")}
CHANGED = {"m07": Now(NEW, "20"), "m08": Now(NEW, "21")}


def played(**phases: tuple[Phase, str]) -> Played:
    chosen = cast(lab(), ["m07", "m08"], {}, {"m07": RUNS, "m08": RUNS}, {"m07": KEY, "m08": KEY}, "")
    plan = plan_of(lab(), "april", NEW, chosen.copies)
    nodes = {
        step.node: NodeState(
            step=step, phase=phases.get(step.node, (Phase.WAITING, ""))[0], text=phases.get(step.node, (Phase.WAITING, ""))[1]
        )
        for step in plan.steps
    }
    return Played(upgrade=Upgrade(plan=plan, nodes=nodes), switch_s={"m07": 3.0, "m08": 4.5})


def test_all_must_run_the_new_program() -> None:
    good = played(m07=(Phase.PASSED, ""), m08=(Phase.PASSED, ""))
    step = deployed(good, CHANGED, NEW, 20.04)
    assert (step.outcome, step.took_s, step.text) == ("ok", 20.0, "2 copies run 9a9a9a, a switch took 3.0 to 4.5 s")
    assert deployed(good, BEFORE, NEW, 1.0).outcome == "failed", "the machine says so, and they do not"
    held = deployed(played(m07=(Phase.PASSED, ""), m08=(Phase.HELD, "its host is silent")), CHANGED, NEW, 1.0)
    assert (held.outcome, held.text) == ("failed", "m08: its host is silent")


def test_all_must_be_back() -> None:
    back = WentBack(equal=("m07", "m08"), failed={}, took_s=3.0)
    assert went_back(back, BEFORE, WAS).outcome == "ok"
    assert went_back(back, BEFORE | {"m08": CHANGED["m08"]}, WAS).text == "m08 runs 9a9a9a"
    assert went_back(replace(back, failed={"m07": "its env file differs"}), BEFORE, WAS).text == "m07: its env file differs"


def test_a_bad_one_must_be_taken_back_from_one_and_touch_no_other() -> None:
    bad = played(m07=(Phase.TAKEN_BACK, "it died: it does not run 4 s after the change"))
    after = BEFORE | {"m07": Now(OLD, "30")}
    step = taken_back("ends 4 s after its start", bad, BEFORE, after, 9.0)
    assert (step.outcome, step.step) == ("ok", "one that ends 4 s after its start is taken back")
    assert step.text == "m07: it died: it does not run 4 s after the change; 3f3f3f runs again; 1 other kept their processes"
    assert taken_back("", played(m07=(Phase.PASSED, "")), BEFORE, after, 9.0).outcome == "failed", "nobody noticed that it is bad"
    assert taken_back("", bad, BEFORE, BEFORE | {"m07": Now("", "")}, 9.0).text == "m07 runs nothing"
    assert taken_back("", bad, BEFORE, after | {"m08": Now(OLD, "99")}, 9.0).text == "m08 was touched"


def test_one_that_is_slow_to_end_must_end_too() -> None:
    slow = played(m07=(Phase.PASSED, ""))
    back = WentBack(equal=("m07", "m08"), failed={}, took_s=6.2)
    assert lingered("takes 3 s to end", slow, back, BEFORE, WAS).text == "m07 runs 3f3f3f again, after 6 s"
    assert lingered("", slow, replace(back, failed={"m07": "it ended not"}), BEFORE, WAS).outcome == "failed"
