"""Two operators at once, and one who is gone: who applies is told, nobody half-applies, and a host's record is everybody's."""

from __future__ import annotations

import json
import re
import shutil
import signal

import pytest
from tests.hosts.lab import FAST, FILE, ROOT, Lab
from tests.hosts.moments import before_a_restart, reached
from tests.hosts.operator import Operator, stop_at_once
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import Build
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

WITHIN_S = 90.0


@pytest.fixture
def you(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Another operator, on another machine."""
    return lab.another(tmp_path_factory.mktemp("home"))


def generations(of: Operator, host: str) -> list[dict[str, object]]:
    told = json.loads(of("generations", host, FILE, "--json").out)[0]
    return list(told["generations"])


def test_two_at_once_one_upgrades_and_the_other_is_told_who_since_when_and_what_next(lab: Lab, you: Operator) -> None:
    may, june = Build(name="two-1"), Build(name="two-2")
    new = lab.knows(may)
    lab.knows(june)
    given(lab, you)
    written = (you.home / FILE).read_bytes()
    with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
        wait_until(lambda: lab.program_of("f1-m1") == new, WITHIN_S)  # nobody selects it: its gate stays open
        before = lab.processes()
        refused = lab.upgrade(june.name, "f1", by=you)
        plan = you("plan", FILE)
        assert refused.status == 1 and re.search(r"root@\S+ \(pid [0-9]+\) has been applying since [0-9:]{8} UTC", refused.err), refused.err
        assert "next:  Wait until the other apply has finished, then run the same command again." in refused.err
        assert (lab.processes(), (you.home / FILE).read_bytes()) == (before, written), "nothing of the second one was done"
        assert plan.status == 3, "looking is free"
        stop_at_once(run)
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        done = lab.upgrade(may.name, "f1-m1", by=you)
    assert done.status == 0, "the second one brings the first one's gate to its end: " + done.out + done.err


def test_two_applies_on_one_host_at_once_never_mix(lab: Lab, you: Operator) -> None:
    """The first one stands still between the files and the restart, and dies so."""
    may = Build(name="two-3")
    lab.knows(may)
    host = lab.fleet["f1"]
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        assert lab.upgrade(may.name, "f1-m2").status == 0
        shutil.copy(lab.me.home / FILE, you.home / FILE)
        before = lab.processes()
        with before_a_restart(host, "cortensor-1"):
            with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
                reached(host, run)
                refused = you("rollback", "f1-m2", FILE, "--now", "--yes")
            told = re.search(r"has been applying since [0-9:]{8} UTC", refused.out)
            assert refused.status == 1 and told, refused.out + refused.err
            assert lab.processes() == before
            host.do(f"""sed -i 's/"lease_until":[0-9]*/"lease_until":1/' {ROOT}/lock.json""")  # a minute later
            still = you("rollback", "f1-m2", FILE, "--now", "--yes")
            assert still.status == 1 and "an earlier apply is still working here" in still.out + still.err, still
            assert lab.processes() == before
        back = you("rollback", "f1-m2", FILE, "--now", "--yes")
    assert back.status == 0 and lab.program_of("f1-m2") == lab.found, back.out + back.err
    assert lab.program_of("f1-m1") == lab.found, "the plan for the other node did not touch it"
    plan = lab.me("plan", FILE)
    assert plan.status == 3 and "node-program:f1-m1" in plan.out, plan.out


def given(lab: Lab, you: Operator) -> None:
    """The file as it is now, and the programs of its releases."""
    shutil.copy(lab.me.home / FILE, you.home / FILE)
    shutil.copytree(lab.me.home / "cache", you.home / "cache", dirs_exist_ok=True)


def minutes_later(lab: Lab, lock: str) -> None:
    """The lease of a lock is over."""
    lab.fleet["f1"].do(f"""[ ! -e {lock} ] || sed -i 's/"lease_until":[0-9]*/"lease_until":1/' {lock}""")


@pytest.mark.parametrize("recorded", [False, True], ids=["before-it-is-recorded", "in-its-gate"])
def test_the_laptop_that_upgraded_is_lost_and_another_one_with_the_file_alone_takes_it_back(
    lab: Lab, you: Operator, recorded: bool
) -> None:
    may = Build(name="lost-gate" if recorded else "lost-apply")
    new, before = lab.knows(may), generations(lab.me, "f1")
    with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
        wait_until(lambda: lab.program_of("f1-m1") == new and (not recorded or generations(you, "f1") != before), WITHIN_S)
        run.send_signal(signal.SIGKILL)
    seen = generations(you, "f1")
    assert seen == generations(lab.me, "f1") and (seen != before) is recorded, "both see the same"
    plan = you("plan", FILE)
    assert plan.status == 3 and "node-program:f1-m1" in plan.out, "its file says what ran before: " + plan.out
    minutes_later(lab, f"{ROOT}/lock.json")
    back = you("rollback", "f1-m1", FILE, "--yes")
    assert back.status == 0 and lab.program_of("f1-m1") == lab.found, back.out + back.err
    assert "node-program:f1-m1" not in you("plan", FILE).out, "others may differ from it as they did before"
    given(lab, you)
    waits = lab.upgrade(may.name, "f1-m1", by=you)
    assert waits.status == 1 and re.search(r"its lease ends in [0-9]+ s unless renewed", waits.err), waits.err
    minutes_later(lab, f"{ROOT}/upgrade/lock.json")
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        done = lab.upgrade(may.name, "f1-m1", by=you)
    assert done.status == 0 and "took over the lock of " in done.err, done.out + done.err
