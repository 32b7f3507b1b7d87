"""Test hosts are what they say: real systemd and sshd, alone on their bridge, and nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.testing.hosts import Fleet, SystemHost, hosts
from cortops.testing.hosts.fleet import leftovers
from cortops.testing.hosts.needs import cgroup_trees

pytestmark = pytest.mark.real

WITHIN_S = 30.0


def _until(look: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < end, f"not in {WITHIN_S:.0f} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def own(test_hosts: Fleet) -> SystemHost:
    """The last of the shared hosts; what a test here changes it takes back."""
    return test_hosts["h3"]


def test_each_has_systemd_an_address_and_a_name(test_hosts: Fleet) -> None:
    assert [host.name for host in test_hosts] == ["h1", "h2", "h3"]
    for host in test_hosts:
        assert host.do("systemctl is-system-running; cat /proc/1/comm; hostname; systemctl is-active ssh").split() == [
            "running",
            "systemd",
            host.name,
            "active",
        ]
    assert len({host.do("cat /etc/machine-id") for host in test_hosts}) == 3
    assert len({host.known_hosts.rpartition(" ")[2] for host in test_hosts}) == 3


def test_ssh_reaches_it_by_the_config_of_the_fleet(test_hosts: Fleet) -> None:
    for host in test_hosts:
        done = host.ssh("hostname; id -un")
        assert (done.returncode, done.stdout.split()) == (0, [host.name, "me"]), done.stderr


@pytest.mark.parametrize(("user", "sudo"), [("me", 0), ("plain", 1), ("asks", 1)])
def test_users_differ_in_sudo(test_hosts: Fleet, user: str, sudo: int) -> None:
    done = test_hosts["h1"].ssh("sudo -n id -un", user=user)
    assert (done.returncode, done.stdout.strip()) == (sudo, "" if sudo else "root")


def test_one_asks_for_the_password_of_the_run(test_hosts: Fleet) -> None:
    done = test_hosts["h1"].ssh(f"echo '{test_hosts.password}' | sudo -S -p '' id -un", user="asks")
    assert done.stdout.strip() == "root"
    assert test_hosts["h1"].ssh("echo wrong | sudo -S -p '' id -un", user="asks").returncode == 1


def test_no_route_leads_out_and_hosts_reach_each_other(test_hosts: Fleet) -> None:
    first, second, _ = test_hosts
    assert "default" not in first.do("ip route")
    assert "unreachable" in first.run("ip route get 192.0.2.1").stderr
    assert first.do(f"timeout 5 bash -c 'head -c 3 < /dev/tcp/{second.address}/22'") == "SSH"
    assert first.do(f"getent hosts {second.name}").split() == [second.address, second.name]


def test_a_unit_is_restarted_and_counted(own: SystemHost) -> None:
    own.do("systemd-run --quiet --unit=fails --property=Restart=on-failure --property=RestartSec=1ms --collect sh -c 'sleep 0.01; exit 3'")
    _until(lambda: int(own.do("systemctl show --value --property=NRestarts fails") or 0) >= 2, "restarts are counted")
    own.run("systemctl stop fails; systemctl reset-failed fails")


def test_a_cut_link_is_silence_and_heals(own: SystemHost) -> None:
    probe = ("ssh", "-F", str(own.config), "-o", "ConnectTimeout=1", own.name, "true")
    with own.cut_off():
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        assert (done.returncode, "timed out" in done.stderr or "No route" in done.stderr) == (255, True), done.stderr
    _until(lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0, "the link heals")


def test_it_reboots_and_comes_back_after_a_power_cut_with_its_files(own: SystemHost) -> None:
    own.put("/var/lib/kept", b"kept")
    boots = {own.do("cat /proc/sys/kernel/random/boot_id; systemctl show --value --property=UserspaceTimestampMonotonic")}
    own.reboot()
    boots.add(own.do("cat /proc/sys/kernel/random/boot_id; systemctl show --value --property=UserspaceTimestampMonotonic"))
    own.kill()
    assert own.machine.leader() is None
    own.start()
    assert own.do("cat /var/lib/kept") == "kept"
    assert len(boots) == 2
    own.do("rm /var/lib/kept")


def test_its_disk_fills_up_and_is_freed(own: SystemHost) -> None:
    own.fill_disk()
    assert "No space left" in own.run("head -c 100000 /dev/zero > /var/tmp/more").stderr
    own.free_disk()
    own.do("head -c 100000 /dev/zero > /var/tmp/more && rm /var/tmp/more")


def test_its_clock_can_be_off(own: SystemHost) -> None:
    own.skew_clock(7200)
    assert abs(int(own.ssh("date +%s").stdout) - time.time() - 7200) < 60
    age_s = own.ssh("touch new; echo $(($(date +%s) - $(stat -L -c %Y new)))").stdout
    assert abs(int(age_s)) < 60, "of files too"
    own.skew_clock(0)
    assert abs(int(own.ssh("date +%s").stdout) - time.time()) < 60


def test_nothing_is_left_of_a_fleet_and_two_go_side_by_side(test_hosts: Fleet) -> None:
    with hosts(names=("other",)) as fleet:
        assert fleet.run != test_hosts.run and fleet.gateway != test_hosts.gateway
        assert fleet["other"].run(f"curl --max-time 1 telnet://{test_hosts['h1'].address}:22").returncode != 0
        trees = cgroup_trees()
        assert trees and len(leftovers(fleet.run, fleet.folder, trees)) > 5, "the look at what is left sees a fleet"
    assert leftovers(fleet.run, fleet.folder, trees) == []


def test_nothing_is_left_when_its_process_is_killed(test_hosts: Fleet, tmp_path: Path) -> None:
    script = (
        "import time\nfrom cortops.testing.hosts import hosts\nwith hosts(1) as fleet:\n"
        "    print(fleet.run, fleet.folder, flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        run, folder = child.stdout.readline().split()
        os.kill(child.pid, signal.SIGKILL)
    trees = cgroup_trees()
    assert trees
    _until(lambda: not leftovers(run, Path(folder), trees), "all of it goes")
