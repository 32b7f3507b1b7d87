"""A disk is full: while a program is sent, before anything begins, and after the node runs the new program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.hosts.lab import Lab
from tests.hosts.moments import moment
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import Build
from cortops.testing.hosts import SystemHost

pytestmark = [pytest.mark.real, pytest.mark.proof]


@contextmanager
def full(host: SystemHost, *, but_mib: int = 0) -> Iterator[None]:
    """Its disk, as long as the context lasts, but for so much."""
    host.fill_disk()
    try:
        if but_mib:
            host.do(f"truncate --size=-{but_mib}M /var/tmp/filler")
        yield
    finally:
        host.free_disk()


def test_a_program_for_which_there_is_no_room_changes_nothing_and_is_sent_when_there_is(lab: Lab) -> None:
    may = Build(name="disk-1")
    new, host, before = lab.knows(may, mib=16), lab.fleet["f1"], lab.processes()
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with full(host, but_mib=4):
            bad = lab.upgrade(may.name, "f1-m1")
        assert bad.status == 1 and "No space left on device" in bad.out, bad.out + bad.err
        assert lab.processes() == before
        assert str(lab.env.installed["f1-m1"].release).startswith("found-")
        rest = lab.upgrade(may.name, "f1-m1")
        assert rest.status == 0 and lab.program_of("f1-m1") == new, rest.out + rest.err


def test_without_room_for_the_journal_nothing_begins(lab: Lab) -> None:
    may = Build(name="disk-2")
    lab.knows(may)
    host, before = lab.fleet["f1"], lab.processes()
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with full(host):
            bad = lab.upgrade(may.name, "f1-m1")
            plan = lab.me("plan", "lab.yaml")
            told = lab.me("generations", "lab.yaml")
    assert bad.status == 1 and "No space left on device" in bad.out + bad.err, bad.out + bad.err
    assert lab.processes() == before
    assert (plan.status, told.status) == (0, 0), "looking needs no room"
    assert lab.me("plan", "lab.yaml").status == 0


def test_without_room_for_the_manifest_it_is_not_known_and_the_next_run_records_what_runs(lab: Lab) -> None:
    may = Build(name="disk-3")
    new, host, before = lab.knows(may), lab.fleet["f1"], lab.processes()
    fills = '/usr/bin/systemctl "$@"; status=$?; cat /dev/zero >/var/tmp/filler 2>/dev/null; exit $status'
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with moment(host, "systemctl", "*restart*cortensor-1*", then=fills):
            bad = lab.upgrade(may.name, "f1-m1")
            host.free_disk()
        assert bad.status == 1 and "not known" in bad.out, bad.out + bad.err
        assert "No space left on device" in bad.out, bad.out
        rest = lab.upgrade(may.name, "f1-m1")
        assert rest.status == 0 and lab.program_of("f1-m1") == new, rest.out + rest.err
    assert lab.changed(before) == {"f1-m1"}
