"""A host was edited by hand: every verb that looks says so, and nothing is overwritten without a plan that names it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.hosts.lab import FILE, Lab
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import OLD, Build, compiled, sha256
from cortops.testing.hosts import SystemHost

pytestmark = [pytest.mark.real, pytest.mark.proof]

EDITED = "f1-m2"
DROP_IN = "/etc/systemd/system/cortensor-2.service.d/10-mine.conf"
PROGRAM = "/usr/local/bin/cortensord"


def files(host: SystemHost) -> set[str]:
    """Hash and name of what is the operator's."""
    return set(host.do("find /etc/systemd/system /home /opt /usr/local -type f ! -name '*.log' -print0 | xargs -0 sha256sum").splitlines())


@pytest.fixture
def edited(lab: Lab) -> Iterator[Lab]:
    """Unit and env file of one node of f1, each with a line more, and a drop-in of its operator's own."""
    host, node = lab.fleet["f1"], lab.env.installed[EDITED]
    unit = f"/etc/systemd/system/{node.unit}"
    host.do(f"cp -p {unit} /var/tmp/unit; cp -p {node.env_file} /var/tmp/env; echo '# mine' >>{unit}; echo MINE=1 >>{node.env_file}")
    host.put(DROP_IN, b"[Service]\nNice=5\n")
    host.do("systemctl daemon-reload")
    yield lab
    host.do(f"cat /var/tmp/unit >{unit}; cat /var/tmp/env >{node.env_file}; rm -rf {DROP_IN.rpartition('/')[0]}; systemctl daemon-reload")


def test_it_is_shown_by_each_verb_that_looks_and_kept(edited: Lab) -> None:
    may = Build(name="drift-1")
    edited.knows(may)
    before, lay = edited.processes(), files(edited.fleet["f1"])
    plan, doctor, upgrade = edited.me("plan", FILE), edited.me("doctor", FILE, "f1"), edited.me("upgrade", may.name, FILE, "f1")
    assert "next: cortops adopt f1-m2 lab.yaml    records what was edited by hand as it is" in plan.out, plan.out
    assert "next: cortops adopt f1-m2 lab.yaml" in doctor.out, doctor.out
    for one in (plan, doctor, upgrade):
        assert one.status == 3, one.out + one.err
        for noun in ("unit", "env file"):
            assert any(EDITED in line and f"its {noun} was edited by hand" in line for line in one.out.splitlines()), one.out
    assert (edited.processes(), files(edited.fleet["f1"])) == (before, lay)


def test_another_node_is_upgraded_and_this_one_stays_as_its_operator_left_it(edited: Lab) -> None:
    may = Build(name="drift-2")
    new, host = edited.knows(may), edited.fleet["f1"]
    with rounds(edited.network, edited.addresses) as earning:
        earning.wait_for(2)
        before, lay = edited.processes(), files(host)
        done = edited.upgrade(may.name, "f1-m1")
        assert done.status == 0 and edited.program_of("f1-m1") == new, done.out + done.err
    assert edited.changed(before) == {"f1-m1"}
    assert {line.split()[1] for line in files(host) ^ lay} == {"/etc/systemd/system/cortensor-1.service.d/50-cortops.conf"}
    plan = edited.me("plan", FILE)
    assert any(EDITED in line and "edited by hand" in line for line in plan.out.splitlines()), "and it is still told: " + plan.out


def test_the_node_itself_is_upgraded_with_what_its_operator_wrote_and_a_way_back_names_what_it_puts_back(edited: Lab) -> None:
    may = Build(name="drift-3")
    new, host, node = edited.knows(may), edited.fleet["f1"], edited.env.installed[EDITED]
    with rounds(edited.network, edited.addresses) as earning:
        earning.wait_for(2)
        mine = host.do(f"cat {node.env_file} {DROP_IN}")
        done = edited.upgrade(may.name, EDITED)
        assert done.status == 0 and edited.program_of(EDITED) == new, done.out + done.err
        assert host.do(f"cat {node.env_file} {DROP_IN}") == mine
        assert "MINE=1" in host.do(f"tr '\\0' '\\n' </proc/{edited.process_of(EDITED).split()[0]}/environ")
        back = edited.me("rollback", EDITED, FILE)
        assert re.search("its (unit|env file|unit and env file)( is| are)? put back as recorded", back.out), back.out


def test_a_program_that_its_operator_put_there_is_named_and_not_replaced_by_the_upgrade_of_another_node(lab: Lab) -> None:
    may, host = Build(name="drift-4"), lab.fleet["f1"]
    new, own = lab.knows(may), compiled(OLD, lab.programs)
    host.do(f"cp -p {PROGRAM} /var/tmp/program")
    host.do(f"cat >{PROGRAM}.new && chmod 755 {PROGRAM}.new && mv {PROGRAM}.new {PROGRAM}", data=own.read_bytes())
    host.do("systemctl restart cortensor-2")
    try:
        with rounds(lab.network, lab.addresses) as earning:
            earning.wait_for(2)
            plan, doctor, left_out = lab.me("plan", FILE), lab.me("doctor", FILE, "f1"), lab.me("upgrade", may.name, FILE, "f1")
            assert f"runs {sha256(own)[:6]}, and {lab.found[:6]} is recorded" in doctor.out, doctor.out
            assert f"runs {sha256(own)[:6]}" in next(line for line in plan.out.splitlines() if EDITED in line), plan.out
            assert f"{EDITED}: it runs {sha256(own)[:6]}, which is not what was recorded" in left_out.out, left_out.out
            before = lab.processes()
            done = lab.upgrade(may.name, "f1-m1")
            assert done.status == 0 and lab.program_of("f1-m1") == new, done.out + done.err
        assert lab.changed(before) == {"f1-m1"}, "its operator's program runs on"
    finally:
        host.do(f"mv /var/tmp/program {PROGRAM}; systemctl restart cortensor-2")


def test_a_node_that_its_operator_stopped_is_not_started_by_the_upgrade_of_another(lab: Lab) -> None:
    may, host = Build(name="drift-5"), lab.fleet["f1"]
    lab.knows(may)
    host.do("systemctl stop cortensor-2")
    try:
        with rounds(lab.network, [lab.address("f1-m1"), lab.address("f2-m3")]) as earning:
            earning.wait_for(2)
            done = lab.upgrade(may.name, "f1-m1")
            assert done.status == 0, done.out + done.err
        assert lab.process_of(EDITED) == "", "it was stopped by its operator, and nobody was told of a start"
    finally:
        host.do("systemctl start cortensor-2")
