"""What is off on a host, each with its cure; and how that is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortops.cli.hosts import as_text
from cortops.deploy.host_page import Role, as_json, row
from cortops.deploy.journal import ApplyRecord
from cortops.deploy.lock import Holder
from cortops.deploy.ours import OnHost, Ours
from cortops.surfaces.fleet.doctor.ailments import HostSeen
from cortops.surfaces.fleet.doctor.examine import Offset
from cortops.surfaces.fleet.found.discover import HostFound, read

NOW = 1_795_803_700.0
SAID = ("@host\th1", "uid\t0", "user\troot", "system\tDebian 12", "machine\tx86_64", "systemd\t1", "python\t3.11.2", "disk_free_mib\t40000")
WELL = read("\n".join([*SAID, "@end\t1"]), "h1")
OURS = Ours(cpus=2, load=0.5, sudo="root", services={}, places=(), complete=True)
RUN = ApplyRecord(apply="20261127T100000-aaaa", begun=1795803600, by="me@laptop", digest="", steps=(), finished="ok")
HOLDER = Holder(
    who="me@laptop", pid=7, pid_started=9, machine="m", boot="b", apply="20261127T100000-aaaa", since=1795803600, lease_until=1795803660
)


def seen(found: HostFound | None = WELL, offset: Offset | None = None) -> HostSeen:
    return HostSeen(name="h1", way="ssh me@h1", word="me@h1", sudo=True, found=found, look=None, offset=offset, why="connection timed out")


def off(host: HostSeen, ours: Ours | None = OURS, role: Role | None = None) -> list[tuple[str, str]]:
    return [(one.what, one.cure) for one in row(host, ours, role or Role(), NOW).off]


def test_nothing_is_off_where_all_is_well() -> None:
    well = OnHost(path="/var/lib/cortops/lab", mib=254, generation=3, last=RUN, holder=replace(HOLDER, lease_until=1795803800))
    agrees = Offset(least_s=-0.4, most_s=0.1)
    ours = replace(OURS, places=(well,), services={"cortops-lab.a.service": "active"})
    host = row(seen(offset=agrees), ours, Role(own=True, adopted=True, python="3.11"), NOW)
    assert host.off == ()
    text = as_text("lab", {"h1": host}, NOW).splitlines()
    assert text[0].startswith("lab · 1 of 1 hosts answer")
    assert text[2].endswith("lab: generation 3 by me@laptop 27 Nov 18:20 UTC, 254 MiB, locked by me@laptop; 1 of 1 services run")
    assert text[-1].startswith("Nothing is off.")


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (Offset(least_s=7199.8, most_s=7200.2), "its clock is 7200 s ahead of this machine's"),
        (Offset(least_s=-31.0, most_s=-30.5), "its clock is 30 s behind this machine's"),
    ],
)
def test_a_clock_that_is_off(offset: Offset, what: str) -> None:
    assert off(seen(offset=offset)) == [(what, "ssh me@h1 'sudo timedatectl set-ntp true'")]
    assert off(seen(offset=Offset(least_s=1.9, most_s=2.4))) == [], "not for certain"


def test_a_full_disk_and_what_our_own_programs_lack() -> None:
    assert WELL.systemd
    poor = replace(WELL, disk_free_mib=700, python="3.9.2", systemd=False)
    found = [what for what, _ in off(seen(poor), role=Role(own=True, python="3.11"))]
    assert found == [
        "700 MiB of its disk are free",
        "has Python 3.9.2, and our programs need 3.11",
        "has no systemd, under which our programs run there",
    ]
    assert [what for what, _ in off(seen(replace(WELL, python="")))] == [], "nodes of others need none"


def test_rights_that_are_missing_where_we_change_something() -> None:
    free = replace(OURS, sudo="free")
    told = "we are not root there, and what cortops changes there needs it"
    assert off(seen(), free) == []
    assert off(seen(), free, Role(adopted=True)) == [(told, "set sudo: true for it in the environment file")]
    assert off(replace(seen(), way=""), free, Role(own=True)) == [], "on this machine our programs run as whoever we are"


def test_what_an_apply_left() -> None:
    cut = OnHost(path="/var/lib/cortops/lab", last=replace(RUN, finished=None))
    under_way = replace(cut, holder=replace(HOLDER, lease_until=1795803800))
    old = replace(cut, holder=HOLDER)
    assert off(seen(), replace(OURS, places=(cut,))) == [("lab: the apply 20261127T100000-aaaa by me@laptop was cut off", "cortops plan")]
    assert off(seen(), replace(OURS, places=(under_way,))) == []
    assert off(seen(), replace(OURS, places=(old,))) == [("lab: the lock of me@laptop is 40 s over its lease", "cortops apply")]


def test_a_silent_host_is_a_line_too() -> None:
    silent = row(seen(found=None), None, Role(), NOW)
    assert silent.silent and [one.what for one in silent.off] == ["did not answer: connection timed out"]
    text = as_text("lab", {"h1": silent}, NOW)
    assert "◌  h1" in text and "next: ssh me@h1" in text
    assert as_json({"h1": silent})[0]["answers"] is False
