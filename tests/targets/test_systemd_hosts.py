"""Services under a real systemd, through the deploy engine's own driver: the dance of tests/deploy/test_kinds.py and more."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.deploy import reloading

from cortops.deploy.kinds import desire
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step
from cortops.deploy.target_driver import TargetDriver
from cortops.surfaces.services import facts
from cortops.surfaces.services.facts import ServiceState
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import HostKeys
from cortops.targets.systemd import Systemd
from cortops.words.change import Action
from cortops.words.clock import SystemClock
from cortops.words.entity import Entity
from cortops.words.resource import Service

if TYPE_CHECKING:
    from cortops.testing.hosts import Fleet, SystemHost

pytestmark = pytest.mark.real
ROOT = "/var/lib/cortops/lab"
MANAGER = Systemd(ROOT, "cortops-lab-")
UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class Place:
    """A host with the folder where services work, reached over one connection, as root by sudo."""

    host: SystemHost
    driver: TargetDriver
    runner: asyncio.Runner

    def look(self, *items: Desired) -> list[Observed]:
        seen = self.runner.run(self.driver.observe(items))
        return [seen[item.resource.key] for item in items]

    def do(self, action: Action, *items: Desired) -> list[Progress]:
        async def main() -> list[Progress]:
            return [event async for event in self.driver.apply([Step(action=action, desired=item) for item in items], "a1")]

        return self.runner.run(main())

    def sh(self, script: str) -> str:
        return self.host.do(script).strip()

    def until(self, script: str) -> None:
        """Wait there until the script succeeds."""
        self.host.do(f"for i in $(seq 100); do if {script}; then exit 0; fi; sleep 0.05; done; exit 1")


@pytest.fixture(name="h")
def _place(test_hosts: Fleet) -> Iterator[Place]:
    host = test_hosts["h1"]
    host.do("mkdir -p /srv/lab")
    settings = SshSettings(address=SshAddress(host.address, "me"), sudo=True, identities=(test_hosts.key,), agent=False)
    with asyncio.Runner() as runner:
        target = SshTarget("h1", settings, SshDialer(HostKeys(test_hosts.known_hosts)), SystemClock())
        try:
            yield Place(host, TargetDriver(target, MANAGER, lambda blob: pytest.fail("no blob is sent")), runner)
        finally:
            runner.run(target.close())
    left = host.do(f"find {UNITS} -name 'cortops*'; find {ROOT} -type f ! -name journal.jsonl ! -name '*.flock' 2>/dev/null || :")
    host.do(
        f"cd {UNITS}; for unit in cortops*; do [ ! -e $unit ] || systemctl disable --quiet --now $unit; rm -f $unit; done; "
        f"rm -rf {ROOT} /srv/lab; systemctl daemon-reload"
    )
    assert left == ""


def service(name: str = "m1", argv: Sequence[str] = ("sleep", "3600"), **changes: Any) -> Service:
    made = Service(
        place="h1",
        entity=Entity("node", name),
        because="t:4",
        name=name,
        argv=tuple(argv),
        directory="/srv/lab",
        log_path=f"/srv/lab/{name}.log",
    )
    return replace(made, **changes)


def want(*services: Service) -> tuple[Desired, ...]:
    return desire(services, lambda content: b"", MANAGER)


def events(told: list[Progress]) -> list[str]:
    return [event.event for event in told]


def same(item: Desired, seen: Observed) -> bool:
    return isinstance(seen, Present) and all(seen.attributes.get(name) == value for name, value in item.attributes.items())


def pid(seen: Observed) -> str:
    assert isinstance(seen, Present), seen
    return seen.attributes["pid"]


def test_absent_created_drifted_mended_deleted(h: Place) -> None:
    (item,) = want(service())
    assert h.look(item) == [Absent()]
    assert events(h.do(Action.CREATE, item)) == ["begun", "done"]
    snapshot = f"find {UNITS} {ROOT} /srv/lab -printf '%p %i %T@\\n'"
    before = h.sh(snapshot)
    (seen,) = h.look(item)
    assert same(item, seen) and int(pid(seen)) > 1
    assert h.sh(snapshot) == before, "an observe wrote something"
    h.sh(f"echo TimeoutStopSec=3 >>{UNITS}/cortops-lab-m1.service")
    assert not same(item, *h.look(item))
    assert events(h.do(Action.RESTART, item)) == ["begun", "done"]
    assert same(item, *h.look(item))
    assert events(h.do(Action.DELETE, item)) == ["begun", "done"]
    assert h.look(item) == [Absent()]


def test_nothing_to_change_keeps_the_pid_and_force_does_not(h: Place) -> None:
    (item,) = want(service())
    h.do(Action.CREATE, item)
    (before,) = h.look(item)
    h.do(Action.START, item)
    assert pid(h.look(item)[0]) == pid(before)
    h.do(Action.RESTART, item)
    assert pid(h.look(item)[0]) != pid(before)
    h.do(Action.DELETE, item)


def test_a_reload_reaches_the_same_process_and_comes_after_its_check(h: Place) -> None:
    def wanted(text: str) -> tuple[Desired, ...]:
        file = reloading.config("h1", "/srv/lab", text)
        made = reloading.service(file, "/srv/lab", "/srv/lab/m1.log", python="python3")
        return desire((file, made), lambda content: "".join(str(part) for part in content).encode(), MANAGER)

    one, two, bad = wanted("one"), wanted("two"), wanted("bad")
    h.do(Action.CREATE, *one)
    before = pid(h.look(one[1])[0])
    h.until("grep -q 'read one' /srv/lab/m1.log")
    told = h.do(Action.RELOAD, *two)
    assert told[-1].text == f"pid {before} reads its files again"
    h.until("grep -q 'read two' /srv/lab/m1.log")
    assert same(two[1], *h.look(two[1])) and not same(one[1], *h.look(one[1]))
    assert h.do(Action.RELOAD, *bad)[-1].text == "refused by sh: unexpected bad in /srv/lab/m1.conf.cortops-new:1"
    assert same(two[0], *h.look(two[0])) and pid(h.look(two[1])[0]) == before
    h.do(Action.DELETE, two[1], two[0])


def test_one_service_changes_and_the_other_keeps_its_pid(h: Place) -> None:
    first, second = want(service("m1"), service("m2"))
    h.do(Action.CREATE, first, second)
    before = h.look(first, second)
    (changed,) = want(service("m1", ("sleep", "3601")))
    h.do(Action.RESTART, changed)
    after = h.look(changed, second)
    assert pid(before[1]) == pid(after[1]) and pid(before[0]) != pid(after[0])
    h.do(Action.DELETE, changed)
    assert pid(h.look(second)[0]) == pid(before[1])
    h.do(Action.DELETE, second)


def test_a_service_that_cannot_run_says_its_last_words(h: Place) -> None:
    (item,) = want(service(argv=("sh", "-c", "echo no such model; exit 1")))
    h.do(Action.CREATE, item)
    h.until("systemctl show -p SubState cortops-lab-m1.service | grep -q auto-restart")
    (seen,) = h.look(item)
    assert isinstance(seen, Present)
    assert (seen.attributes["running"], seen.attributes["log"]) == ("no", "no such model")
    h.do(Action.DELETE, item)
    (item,) = want(service(argv=("/no/such/program",)))
    told = h.do(Action.CREATE, item)
    assert told[-1].event == "failed" and "/no/such/program" in told[-1].text and "No such file" in told[-1].text
    h.do(Action.DELETE, item)


def test_a_log_that_cannot_be_written_is_named(h: Place) -> None:
    (item,) = want(service(log_path="/no/such/folder/m1.log"))
    told = h.do(Action.CREATE, item)
    assert told[-1].event == "failed" and "STDOUT" in told[-1].text
    h.do(Action.DELETE, item)


def test_one_that_ends_is_started_again(h: Place) -> None:
    (item,) = want(service())
    h.do(Action.CREATE, item)
    before = pid(h.look(item)[0])
    h.sh(f"kill -KILL {before}")
    h.until(f"[ $(systemctl show -p MainPID --value cortops-lab-m1.service) -gt 1 ] && ! kill -0 {before} 2>/dev/null")
    (seen,) = h.look(item)
    assert same(item, seen) and pid(seen) != before
    h.do(Action.DELETE, item)


def test_services_come_back_after_a_reboot_and_nothing_needs_to_be_done(h: Place) -> None:
    first, second = want(service("m1"), service("m2"))
    h.do(Action.CREATE, first, second)
    h.host.reboot()
    seen = h.look(first, second)
    assert [same(item, found) for item, found in zip((first, second), seen, strict=True)] == [True, True]
    assert h.sh("systemctl is-active cortops-lab-rotate.timer") == "active"
    h.do(Action.DELETE, first, second)


def test_a_change_that_was_cut_off_is_seen(h: Place) -> None:
    (item,) = want(service())
    h.do(Action.CREATE, item)
    for cut in (
        f"rm {ROOT}/run/defined/m1",  # the unit is there, and nobody said that it is in force
        f"touch -d '+1 hour' {UNITS}/cortops-lab-m1.service",  # systemd has not read it
        f"rm {UNITS}/multi-user.target.wants/cortops-lab-m1.service",  # it would not come back after a reboot
    ):
        h.sh(cut)
        (seen,) = h.look(item)
        assert isinstance(seen, Present) and seen.attributes["definition"] == "unfinished", cut
        h.do(Action.RESTART, item)
        assert same(item, *h.look(item))
    h.do(Action.DELETE, item)


def test_one_that_runs_without_its_unit_is_seen_and_removed(h: Place) -> None:
    (item,) = want(service())
    h.do(Action.CREATE, item)
    h.sh(f"rm {UNITS}/cortops-lab-m1.service; systemctl daemon-reload")
    (seen,) = h.look(item)
    assert isinstance(seen, Present) and (seen.attributes["definition"], seen.attributes["running"]) == ("none", "yes")
    assert events(h.do(Action.DELETE, item)) == ["begun", "done"]
    h.sh(f"rm -f {UNITS}/multi-user.target.wants/cortops-lab-m1.service")


def test_a_unit_that_systemd_refuses_leaves_the_old_one_in_force(h: Place) -> None:
    (item,) = want(service())
    h.do(Action.CREATE, item)
    before = pid(h.look(item)[0])
    script = f"lf='\n'\n{MANAGER.prelude}\necho '[Service]' >/srv/lab/bad.new\nmanager_set m1 /srv/lab/bad.new 1 5"
    refused = h.host.run(script)
    assert refused.returncode == 1 and "systemd refuses the unit: bad-setting" in refused.stdout
    (seen,) = h.look(item)
    assert same(item, seen) and pid(seen) == before
    h.do(Action.DELETE, item)


def test_user_directory_signal_and_environment_are_as_declared(h: Place) -> None:
    program = (
        "trap 'echo quit; exit' QUIT; id -un; pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; echo; echo ready; while :; do sleep 0.05; done"
    )
    (item,) = want(service(argv=("sh", "-c", program), user="plain", stop_signal="QUIT"))
    h.do(Action.CREATE, item)
    h.until("grep -q ready /srv/lab/m1.log")
    h.do(Action.DELETE, item)
    user, directory, names, *rest = h.sh("cat /srv/lab/m1.log").splitlines()
    assert (user, directory, rest[0], rest[-1]) == ("plain", "/srv/lab", "ready", "quit")
    assert "CORTOPS_INPUTS" in names and not {name for name in names.split() if name.startswith(("SSH", "SUDO"))}


def test_a_program_that_does_not_stop_is_killed_with_its_children(h: Place) -> None:
    (item,) = want(service(argv=("sh", "-c", "trap '' TERM; sleep 94.81 & echo ready; while :; do sleep 1; done"), stop_timeout_s=1))
    h.do(Action.CREATE, item)
    h.until("grep -q ready /srv/lab/m1.log")
    assert events(h.do(Action.DELETE, item)) == ["begun", "done"]
    assert h.sh("grep -l '94.8[1]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l") == "0"


def test_a_long_log_is_rotated_and_the_program_writes_on(h: Place) -> None:
    (item,) = want(service(log_max_mib=1, log_keep=2))
    h.do(Action.CREATE, item)
    rotate = "systemctl start cortops-lab-rotate.service"
    for text in ("a", "b", "c"):
        h.sh(f"head -c 1100000 /dev/zero | tr '\\0' {text} >>/srv/lab/m1.log; {rotate}")
    h.sh(f"echo short >>/srv/lab/m1.log; {rotate}")
    assert h.sh("cd /srv/lab; ls m1.log*; cat m1.log; head -c 1 m1.log.1; head -c 1 m1.log.2") == "m1.log\nm1.log.1\nm1.log.2\nshort\ncb"
    h.do(Action.DELETE, item)


def test_rotation_keeps_away_from_links_and_folders_of_others(h: Place) -> None:
    (item,) = want(service(log_max_mib=1))
    h.do(Action.CREATE, item)
    big = "head -c 2000000 /dev/zero"
    h.sh(f"{big} >/srv/theirs; ln -sf /srv/theirs /srv/lab/m1.log; systemctl start cortops-lab-rotate.service")
    assert h.sh("stat -c %s /srv/theirs; rm /srv/theirs /srv/lab/m1.log") == "2000000"
    h.sh(f"{big} >/srv/lab/m1.log; chown plain /srv/lab; systemctl start cortops-lab-rotate.service")
    assert h.sh("stat -c %s /srv/lab/m1.log") == "2000000"
    h.do(Action.DELETE, item)


WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.text(
    "%h$HOME{};#\\'\" \t\n\r=[]:`@-+!|x00", max_size=16
)


@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(words=["\ufdd0\uffff\U0010ffff", "é𐍈", "".join(map(chr, range(1, 256)))])
@given(words=st.lists(WORD, min_size=30, max_size=60))
def test_programs_get_every_argument_as_it_is(words: list[str], test_hosts: Fleet) -> None:
    """A unit of ours, but run once and waited for."""
    unit = MANAGER.unit(service(argv=("printf", "%s\\0", *words), directory="/", log_path="/run/out"), "")
    once = unit.replace("Type=exec", "Type=oneshot").replace("Restart=always", "Restart=no")
    script = (
        "unit=/run/systemd/system/words.service; cat >$unit; systemctl daemon-reload; systemctl start words.service >&2; "
        "base64 -w0 /run/out; rm -f /run/out $unit"
    )
    said = test_hosts["h1"].run(script, data=once.encode())
    assert base64.b64decode(said.stdout).decode().split("\0")[:-1] == words, said.stderr


def told(h: Place) -> dict[str, ServiceState]:
    """What the status script prints, in the words of every service manager."""
    return facts.read(h.host.run(MANAGER.status_script).stdout)


def test_status_tells_of_every_service_of_this_prefix_and_of_no_other(h: Place) -> None:
    assert h.host.run(MANAGER.status_script).returncode == facts.NO_MANAGER, "nothing of ours is there"
    well, ill = want(service(), service("m2", ("sh", "-c", "sleep 0.5; exit 3")))
    other = Systemd(ROOT, "cortops-lab-2.")
    h.do(Action.CREATE, well, ill)
    h.until("systemctl show --property=SubState cortops-lab-m2.service | grep -q auto-restart")
    found = told(h)
    assert set(found) == {"m1", "m2"}, "the rotation is not a service"
    assert (found["m1"].state, str(found["m1"].pid)) == ("RUNNING", pid(*h.look(well)))
    assert found["m2"].state in ("BACKOFF", "STARTING", "RUNNING")
    assert h.host.run(other.status_script).returncode == facts.NO_MANAGER
    h.do(Action.DELETE, well, ill)


def test_stopped_as_a_whole_stays_stopped_and_is_brought_back_by_the_next_apply(h: Place) -> None:
    assert h.host.run(MANAGER.stop_program).stdout == "", "nothing runs, nothing is stopped"
    (item,) = want(service())
    h.do(Action.CREATE, item)
    assert h.host.do(MANAGER.stop_program) == "stopped\n"
    assert told(h).get("m1", None) is None or told(h)["m1"].state == "STOPPED"
    assert h.sh(f"ls {UNITS}/multi-user.target.wants {UNITS}/timers.target.wants 2>/dev/null | grep cortops || :") == ""
    assert not same(item, *h.look(item)), "it would not come back with a reboot"
    assert events(h.do(Action.UPDATE, item)) == ["begun", "done"]
    assert same(item, *h.look(item)) and told(h)["m1"].state == "RUNNING"
    h.host.do(MANAGER.stop_program)
    h.host.do(MANAGER.purge_program)
    assert h.sh(f"ls -d {UNITS}/cortops* {ROOT} 2>/dev/null || :") == ""
