"""A real host is searched for the keys that its own env files hold: files, units, arguments, the journal. No key comes here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.operator import operator

from cortops.cli.secrets_check import ATTENTION, ILL
from cortops.testing.hosts import Fleet, SystemHost
from cortops.testing.secret_grep import strays_on

pytestmark = pytest.mark.real

FOLDER = "/home/me/.cortensor"
KEY = hashlib.sha256(b"a key of a host of these tests").hexdigest()
ENV = f'NODE_PUBLIC_KEY=0x{"1" * 40}\nNODE_PRIVATE_KEY="0x{KEY}"\nAPI_KEY=default-dev-token\n'
COPIES = "/var/lib/cortops/lab/adopted/m1"
PLACES = {
    "file": "/var/log/a.log",
    "unit": "/etc/systemd/system/leak.service",
    "backup": f"{FOLDER}/.env.bak",
    "history": "/root/.bash_history",
}


@pytest.fixture(scope="module")
def host(test_hosts: Fleet) -> Iterator[SystemHost]:
    """With an env file of one node, its copy as adopting makes it, and everything of it gone afterwards."""
    host = test_hosts["h3"]
    host.put(f"{FOLDER}/.env", ENV.encode(), mode=0o600)
    host.put(f"{COPIES}/env", ENV.encode(), mode=0o600)
    yield host
    host.do(
        f"rm -rf {FOLDER} /var/lib/cortops {' '.join(PLACES.values())}; journalctl -q --rotate; journalctl -q --vacuum-time=1s 2>/dev/null"
    )


def strays(host: SystemHost) -> list[str]:
    return strays_on(host, {"m1": f"{FOLDER}/.env"}, "lab")


def test_the_env_file_and_our_copy_of_it_are_the_places_where_a_key_may_stand(host: SystemHost) -> None:
    assert strays(host) == []
    host.do(f"chmod 640 {COPIES}/env")
    try:
        assert strays(host) == [f"m1 NODE_PRIVATE_KEY in {COPIES}/env on h3 (mode 0640)"]
    finally:
        host.do(f"chmod 600 {COPIES}/env")


@pytest.mark.parametrize("place", PLACES)
def test_every_other_file_is_found(host: SystemHost, place: str) -> None:
    host.put(PLACES[place], f"Environment=KEY={KEY.upper() if place == 'file' else KEY}\n".encode(), mode=0o644)
    found = strays(host)
    host.do(f"rm {PLACES[place]}")
    assert found == [f"m1 NODE_PRIVATE_KEY in {PLACES[place]} on h3 (mode 0644)"]


def test_an_argument_and_a_line_of_the_journal_are_found(host: SystemHost) -> None:
    host.do(f"systemd-run --quiet --unit leak -- sh -c 'sleep 300; true' {KEY}")
    try:
        (process,) = (stray for stray in strays(host) if "pid" in stray)
        assert process.startswith("m1 NODE_PRIVATE_KEY in pid ")
    finally:
        host.do("systemctl stop leak; systemctl reset-failed leak 2>/dev/null; true")
    host.do("systemd-cat -t leak cat", data=f"key is {KEY}\n".encode())
    assert "m1 NODE_PRIVATE_KEY in the journal on h3" in strays(host)


FILE = f"""format: 1
environment: lab
owners: {{default: ops@lab.example}}
network: testnet-0
hosts: {{h3: {{ssh: me@h3, sudo: true}}}}
nodes:
  m1:
    program: cortensord
    role: miner
    runs: minerv4
    host: h3
    shape: systemd
    unit: cortensor.service
    env_file: {FOLDER}/.env
    log: /var/log/cortensord.log
    binary: /usr/local/bin/cortensord
"""


def test_the_command_finds_the_same_through_ssh_and_no_key_comes_here(host: SystemHost, test_hosts: Fleet, tmp_path: Path) -> None:
    me = operator(test_hosts, tmp_path)
    (tmp_path / "lab.yaml").write_text(FILE)
    host.do("journalctl -q --rotate; journalctl -q --vacuum-time=1s 2>/dev/null; true")
    host.do(f"chmod 644 {FOLDER}/.env")
    open_to_all = me("secrets", "check", "lab.yaml", "--json")
    host.do(f"chmod 600 {FOLDER}/.env")
    host.put(PLACES["backup"], ENV.encode(), mode=0o600)
    leaked = me("secrets", "check", "lab.yaml")
    host.do(f"rm {PLACES['backup']}")
    assert open_to_all.status == ATTENTION, open_to_all.out + open_to_all.err
    (remark,) = json.loads(open_to_all.out)["remarks"]
    assert (remark["secret"], remark["where"]) == ("m1 NODE_PRIVATE_KEY", f"h3:{FOLDER}/.env")
    assert remark["what"] == "others can read it (mode 0644)"
    assert {"machine": "h3", "searched_for": 1, "why": ""} in json.loads(open_to_all.out)["machines"]
    assert leaked.status == ILL and f"h3:{PLACES['backup']}" in leaked.out
    assert KEY not in open_to_all.out + open_to_all.err + leaked.out + leaked.err
