"""An upgrade is handed over to the host with the installed watch: it is done there by the same plan, while nobody else is connected."""

from __future__ import annotations

import pytest
from tests.hosts.lab import FILE, NODES, Lab
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import OLD
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

HOST = "f2"
DONE_WITHIN_S = 240.0
LOG = "/var/lib/cortops/lab.watch/log/upgrade.log"
UNIT = "cortops-upgrade-lab.service"


def test_the_laptop_may_close(lab: Lab) -> None:
    program = lab.knows(OLD)
    alone = lab.upgrade(OLD.name, "--detach", HOST)
    assert alone.status == 1 and f"no watch of lab that may act is installed on {HOST}" in alone.err
    assert f"cortops watch {FILE} --install {HOST} --may-act" in alone.err
    plan = lab.me("watch", FILE, "--install", HOST, "--may-act")
    assert "A second key on f2 may run anything on all of them" in plan.out, plan.err
    installed = lab.me("watch", FILE, "--install", HOST, "--may-act", "--yes")
    assert installed.status == 0, installed.out + installed.err
    try:
        with rounds(lab.network, lab.addresses):
            handed = lab.upgrade(OLD.name, "--detach", HOST)
            assert handed.status == 0, handed.out + handed.err
            assert f"{HOST} does it now, and goes on when this machine closes." in handed.out
            again = lab.upgrade(OLD.name, "--detach", HOST)
            assert again.status == 1 and f"an upgrade is under way on {HOST}" in again.err, again.out + again.err
            early = lab.me("watch", FILE, "--uninstall", HOST, "--yes")
            assert early.status == 1 and f"an upgrade is under way on {HOST}" in early.err, early.out + early.err
            wait_until(lambda: not is_under_way(lab), DONE_WITHIN_S)
        told = lab.fleet[HOST].do(f"cat {LOG}")
        assert {lab.program_of(node) for node in NODES} == {program}, told
        assert {node.release for node in lab.env.installed.values()} == {OLD.name}, "our file says so too"
        assert lab.me("upgrade", FILE).status == 0, "and there is nothing left to do"
    finally:
        gone = lab.me("watch", FILE, "--uninstall", HOST, "--yes")
    assert gone.status == 0, gone.err
    for host in lab.fleet:
        assert "cortops" not in host.do("cat /home/me/.ssh/authorized_keys ~root/.ssh/authorized_keys")


def is_under_way(lab: Lab) -> bool:
    return lab.fleet[HOST].run(f"systemctl is-active --quiet {UNIT}").returncode == 0
