"""The way to a host is cut in the middle of an upload: what runs there goes on, and a later run sends only the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hosts.lab import FAST, FILE, ROOT, Lab
from tests.hosts.moments import TAKEN_BYTES, goes_on_taking, in_an_upload, reached
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import Build
from cortops.testing.hosts import Fleet, SystemHost

pytestmark = [pytest.mark.real, pytest.mark.proof]

MIB = 24


def sent_to(host: SystemHost) -> int:
    """Bytes that went over its cable to it."""
    return int(Path(f"/sys/class/net/{host.machine.link}/statistics/tx_bytes").read_text())


def test_the_cable_is_pulled_during_an_upload_and_the_next_run_sends_only_the_rest(lab: Lab) -> None:
    may = Build(name="link")
    new, host, before = lab.knows(may, mib=MIB), lab.fleet["f1"], lab.processes()
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with in_an_upload(host, then=goes_on_taking(5)), lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
            reached(host, run)
            with host.cut_off():
                out, err = run.communicate(timeout=120)
        assert run.returncode == 1 and "not known" in out, out + err
        assert lab.processes() == before, "nobody noticed"
        have, sent = int(host.do(f"stat --format=%s {ROOT}/blobs/*.part")), sent_to(host)
        assert TAKEN_BYTES <= have < MIB << 20
        rest = lab.upgrade(may.name, "f1-m1")
        assert rest.status == 0, rest.out + rest.err
        assert sent_to(host) - sent < (MIB << 20) - have + (4 << 20)
        assert f"resumed at {have} of " in host.do(f"tail -n 40 {ROOT}/journal.jsonl")
        assert lab.program_of("f1-m1") == new
        assert lab.changed(before) == {"f1-m1"}


@contextmanager
def laptop(fleet: Fleet) -> Iterator[tuple[str, ...]]:
    """A place with a cable of its own to the hosts: words before a command that runs there."""
    name, address = f"{fleet.run}l", f"{fleet.gateway.rpartition('.')[0]}.250/24"
    steps = (
        f"netns add {name}",
        f"link add {name} type veth peer name eth0 netns {name}",
        f"link set {name} master {fleet.run} up",
        f"-n {name} addr add {address} dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} link set lo up",
    )
    try:
        for step in steps:
            subprocess.run(["ip", *step.split()], check=True)
        yield ("ip", "netns", "exec", name)
    finally:
        subprocess.run(["ip", "link", "del", name], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


def test_the_laptop_is_lost_during_an_upload_and_another_one_need_not_wait_for_it(lab: Lab) -> None:
    """The host hears nothing of it and waits for the rest, which never comes."""
    may = Build(name="lost-link")
    new, host = lab.knows(may, mib=MIB), lab.fleet["f1"]
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with laptop(lab.fleet) as words, in_an_upload(host, then=goes_on_taking(3)):
            with replace(lab.me, machine=words).running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
                reached(host, run)
                subprocess.run(["ip", "link", "set", words[-1], "down"], check=True)
            before = lab.processes()
            found = lab.upgrade(may.name, "f1-m1")
        assert found.status == 0 and "took over the lock of " in found.err, found.out + found.err
        assert "resumed at " in host.do(f"tail -n 40 {ROOT}/journal.jsonl")
    assert lab.program_of("f1-m1") == new and lab.changed(before) == {"f1-m1"}
