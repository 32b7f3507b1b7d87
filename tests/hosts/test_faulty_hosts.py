"""Each fault is there on its host, seen without cortops, and on no other."""

from __future__ import annotations

import time

import pytest
from tests.hosts.faults import Fault

from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import Fleet

pytestmark = pytest.mark.real

WITHIN_S = 20.0
Faulty = tuple[Fleet, dict[str, Fault]]

# fault -> a script that succeeds on its host and on no other one.
SEEN = {
    "shared-rpc": "test $(cat /home/*/.cortensor/.env-* | grep -c '^HOST=https://rpc.example/arbitrum_sepolia/[0-9a-f]\\{64\\}$') = 2",
    "one-wallet": "cat /home/*/.cortensor/.env-* | sed -n 's/^NODE_PUBLIC_KEY=//p' | sort | uniq -d | grep -q 0x",
    "loopback": "cat /home/deploy/.cortensor/.env | grep -q '^ROUTER_EXTERNAL_IP=\"127'",
    "chain-id": "cat /home/*/.cortensor/.env-1 | grep -q '^CHAINID=12515$'",
    "quotes": 'cat /opt/cortensor/nodes/*/.env | grep -q "^NODE_PUBLIC_KEY=\'0x"',
    "router-lines": "systemctl cat cortensor | grep -q 'routerv1' && ! grep -q '^API_' /home/deploy/.cortensor/.env",
    "timer": "systemctl list-timers --all --no-legend | grep -q cortensord-restart.timer && ! systemctl cat cortensord.service",
    "pointer": "head -c 7 /usr/local/bin/cortensord | grep -q version",
    "no-address": "ls /home/*/.cortensor/.env-1 && ! grep -q NODE_PUBLIC_KEY /home/*/.cortensor/.env-1",
    "stopped": "systemctl is-enabled cortensor-1 && ! systemctl is-active cortensor-1",
    "skewed": "test $(date +%s) -gt $(($(/usr/bin/date +%s) + 7000))",
}


@pytest.mark.parametrize("name", SEEN)
def test_the_fault_is_on_its_host_alone(faulty: Faulty, name: str) -> None:
    fleet, faults = faulty
    assert set(faults) == {*SEEN, "well"}
    seen = [host.name for host in fleet if name == host.name or host.name == "well" if host.run(SEEN[name]).returncode == 0]
    assert seen == [name]


def test_nodes_run_but_where_the_fault_forbids(faulty: Faulty) -> None:
    fleet, faults = faulty
    for host in fleet:
        wanted = 0 if host.name in ("pointer", "stopped") else len(faults[host.name].nodes)
        assert host.run("pgrep --count --full 'cortensord [^ ]*env'").stdout.strip() == str(wanted), host.name


def test_a_pointer_cannot_be_started(faulty: Faulty) -> None:
    host = faulty[0]["pointer"]
    wait_until(lambda: "failed" in host.run("systemctl is-failed cortensor").stdout, WITHIN_S)
    assert "203" in host.do("systemctl show --value --property=ExecMainStatus cortensor")


def test_a_clock_is_off_for_those_who_ask_over_ssh(faulty: Faulty) -> None:
    assert 7000 < int(faulty[0]["skewed"].ssh("date +%s").stdout) - time.time() < 7400
