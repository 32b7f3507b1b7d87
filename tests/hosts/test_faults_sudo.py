"""sudo begins to ask for a password on a host with adopted nodes: nothing is changed there, and people are told what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.hosts.lab import FILE, Lab

from cortops.testing.cortensord import Build
from cortops.testing.hosts import SystemHost

pytestmark = [pytest.mark.real, pytest.mark.proof]

FAILED, ATTENTION = 1, 3
WHY = "f1: sudo asks me for a password"


@contextmanager
def sudoers(host: SystemHost, line: str) -> Iterator[None]:
    """This line for the user `me`, as long as the context lasts."""
    before = host.do("cat /etc/sudoers.d/me")
    host.put("/etc/sudoers.d/me", f"{line}\n".encode(), mode=0o440)
    try:
        yield
    finally:
        host.put("/etc/sudoers.d/me", before.encode(), mode=0o440)


def test_sudo_asks_for_a_password_and_every_verb_says_so_and_leaves_the_host_alone(lab: Lab) -> None:
    may = Build(name="sudo")
    lab.knows(may)
    before, written = lab.processes(), (lab.me.home / FILE).read_bytes()
    with sudoers(lab.fleet["f1"], "me ALL=(ALL) ALL"):
        plan, upgrade = lab.me("plan", FILE), lab.upgrade(may.name, "f1-m1")
        back, left = lab.me("rollback", "f1", FILE, "--to", "0", "--yes"), lab.me("generations", FILE)
    assert plan.status == ATTENTION and WHY in plan.out and "f2" not in plan.out, plan.out + plan.err
    assert upgrade.status == ATTENTION and WHY in upgrade.out + upgrade.err, upgrade.out + upgrade.err
    assert back.status == FAILED and WHY in back.out + back.err, back.out + back.err
    assert left.status == ATTENTION and "f1  could not be asked" in left.out and "f2  1 generations" in left.out
    assert lab.processes() == before and (lab.me.home / FILE).read_bytes() == written
    assert lab.me("plan", FILE).status == 0, "and all is well once sudo is"
