"""A host dies in the middle of an upgrade: it comes back with one program for each node, and the next run does what is left."""

from __future__ import annotations

import pytest
from tests.hosts.lab import FAST, FILE, ROOT, Lab
from tests.hosts.moments import TAKEN_BYTES, before_a_restart, in_an_upload, reached
from tests.hosts.rounds import rounds

from cortops.testing.cortensord import Build
from cortops.testing.cortensord.network import wait_until

pytestmark = [pytest.mark.real, pytest.mark.proof]

WITHIN_S = 120.0


def test_power_fails_between_the_files_and_the_restart_and_the_next_run_finishes(lab: Lab) -> None:
    may = Build(name="power-files")
    new, host, other = lab.knows(may), lab.fleet["f1"], lab.process_of("f2-m3")
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with before_a_restart(host, "cortensor-1"):
            with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
                reached(host, run)
                assert lab.program_of("f1-m1") == lab.found, "nothing was restarted yet"
                host.kill()
                out, err = run.communicate(timeout=WITHIN_S)
            host.start()
        lab.wait_until_up(host)
        assert run.returncode == 1 and "1  not known  f1-m1" in out, out + err
        assert lab.env.installed["f1-m1"].release == may.name, "the file names what may run"
        assert (lab.program_of("f1-m1"), lab.is_whole("f1-m1")) == (new, True)
        assert {lab.program_of(node) for node in ("f1-m2", "f1-alpha")} == {lab.found}
        rest = lab.upgrade(may.name, "f1-m1")
        assert rest.status == 0 and "1 node runs power-files" in rest.out, rest.out + rest.err
    assert {node: lab.program_of(node) for node in ("f1-m1", "f1-m2", "f1-alpha")} == {
        "f1-m1": new,
        "f1-m2": lab.found,
        "f1-alpha": lab.found,
    }
    assert lab.process_of("f2-m3") == other


def test_power_fails_during_an_upload_and_the_next_run_sends_only_the_rest(lab: Lab) -> None:
    may = Build(name="power-upload")
    new, host = lab.knows(may, mib=16), lab.fleet["f1"]
    with rounds(lab.network, lab.addresses) as earning:
        earning.wait_for(2)
        with in_an_upload(host):
            with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
                reached(host, run)
                host.kill()
                out, err = run.communicate(timeout=WITHIN_S)
            host.start()
        lab.wait_until_up(host)
        assert run.returncode == 1 and "1  not known  f1-m1" in out, out + err
        assert lab.is_as_found(), "every node runs what it ran"
        rest = lab.upgrade(may.name, "f1-m1")
        assert rest.status == 0 and lab.program_of("f1-m1") == new, rest.out + rest.err
        assert f"resumed at {TAKEN_BYTES} of " in host.do(f"tail -n 40 {ROOT}/journal.jsonl")


def test_a_host_that_reboots_while_a_gate_is_open_is_no_crash_of_the_release(lab: Lab) -> None:
    may = Build(name="power-gate")
    new, host = lab.knows(may), lab.fleet["f1"]
    with lab.me.running("upgrade", may.name, FILE, *FAST, "--yes", "f1-m1") as run:
        wait_until(lambda: lab.program_of("f1-m1") == new and not host.run(f"ls {ROOT}/lock.json").stdout, WITHIN_S)
        assert lab.program_of("f1-m1") == new, "and nobody selects it yet: its gate stays open"
        host.reboot()
        lab.wait_until_up(host)
        with rounds(lab.network, lab.addresses):
            out, err = run.communicate(timeout=WITHIN_S)
    assert run.returncode == 0 and "1 node runs power-gate" in out, out + err
    assert lab.program_of("f1-m1") == new
