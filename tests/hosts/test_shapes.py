"""Nodes installed by hand in all five shapes run as their operators' do, earn, and keep their keys where they are."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from tests.hosts.saturday import Saturday
from tests.hosts.shapes import Node

from cortops.testing.cortensord import sha256
from cortops.testing.cortensord.network import wait_until

pytestmark = pytest.mark.real

WITHIN_S = 20.0
ROWS = """
h1  systemd  cortensor.service         minerv4  deploy
h1  ansible  cortensor-1.service       minerv4  cortensor
h1  ansible  cortensor-2.service       minerv4  cortensor
h1  docker   cortensor-1               minerv4  root
h2  nohup    -                         minerv2  ops
h2  salt     cortensord@alpha.service  minerv4  cortensor
h2  salt     cortensord@beta.service   minerv4  cortensor
h2  docker   cortensor-1               minerv4  root
h2  docker   cortensor-2               minerv4  root
h3  ansible  cortensor-7.service       minerv4  cortensor
h3  salt     cortensord@gamma.service  minerv4  cortensor
h3  nohup    -                         minerv2  ops
"""


def _pid(saturday: Saturday, node: Node) -> int:
    """Its process on its host: of its unit, pid file or container."""
    ways = {
        "nohup": f"cat {node.folder}/cortensord.pid",
        "docker": f"pgrep -P $(docker inspect --format '{{{{.State.Pid}}}}' {node.unit})",
    }
    return int(saturday.fleet[node.host].do(ways.get(node.shape, f"systemctl show --value --property=MainPID {node.unit}")))


def _log(saturday: Saturday, node: Node) -> str:
    name = node.log.removeprefix("docker:")
    return saturday.fleet[node.host].do(f"docker logs {name}" if node.log != name else f"cat {name}")


def test_twelve_run_on_three_hosts_in_five_shapes(saturday: Saturday) -> None:
    rows = [(node.host, node.shape, node.unit or "-", node.runs, node.user) for node in saturday.nodes]
    assert rows == [tuple(row.split()) for row in ROWS.strip().splitlines()]
    for host in saturday.fleet:
        assert int(host.do("pgrep --count --full 'cortensord [^ ]*env'")) == len(saturday.on(host.name))
        assert host.do("systemctl --failed --no-legend") == ""


def test_each_process_is_the_program_with_its_own_words(saturday: Saturday) -> None:
    for node in saturday.nodes:
        host, pid = saturday.fleet[node.host], _pid(saturday, node)
        words = host.do(f"tr '\\0' '\\n' < /proc/{pid}/cmdline").split()
        env_word = node.env_file if node.shape == "nohup" else PurePosixPath(node.env_file).name
        assert words == [node.binary, env_word, node.runs, "1", "docker"], node.name
        assert host.do(f"sha256sum < /proc/{pid}/exe").split()[0] == sha256(saturday.program), node.name
        assert host.do(f"stat --format=%U /proc/{pid}").strip() == node.user, node.name
        assert host.do(f"readlink /proc/{pid}/exe").strip() == node.binary, node.name


def test_all_earn(saturday: Saturday) -> None:
    _, committed = saturday.network.round(saturday.addresses, step_s=WITHIN_S)
    assert {node.name for node in saturday.nodes if node.address not in committed} == set()
    for node in saturday.nodes:
        wait_until(lambda node=node: "* Event: Commit" in _log(saturday, node), WITHIN_S)  # type: ignore[misc]
        assert "* Event: Commit" in _log(saturday, node), node.name
        assert saturday.network.last_ping_at(node.address), node.name


def test_units_are_enabled_and_containers_restart(saturday: Saturday) -> None:
    for node in saturday.nodes:
        host = saturday.fleet[node.host]
        if node.shape == "docker":
            said = host.do(f"docker inspect --format '{{{{.HostConfig.RestartPolicy.Name}}}} {{{{.State.Running}}}}' {node.unit}")
            assert said == "unless-stopped true\n"
        elif node.unit:
            assert host.do(f"systemctl is-enabled {node.unit}; systemctl is-active {node.unit}").split() == ["enabled", "active"]


@pytest.mark.parametrize(("shape", "mode"), [("systemd", "644"), ("ansible", "600"), ("salt", "600"), ("nohup", "644")])
def test_env_files_stand_where_they_stand_and_are_read_by_whom_they_are(saturday: Saturday, shape: str, mode: str) -> None:
    for node in (node for node in saturday.nodes if node.shape == shape):
        assert saturday.fleet[node.host].do(f"stat --format='%a %U' {node.env_file}").split() == [mode, node.user]


def test_a_key_stands_in_its_env_file_and_nowhere_else(saturday: Saturday) -> None:
    for host in saturday.fleet:
        for node in saturday.on(host.name):
            script = "grep --recursive --files-with-matches --file=- /etc /home /opt /var /proc/[0-9]*/cmdline"
            found = host.run(script, data=node.private_key.encode())
            places = {line for line in found.stdout.split() if node.shape != "docker" or "/overlay2/" in line}
            assert len(places) == 1 and places.pop().endswith(node.env_file), node.name


def test_a_unit_that_is_killed_comes_back_and_the_others_keep_their_pids(saturday: Saturday) -> None:
    host, nodes = saturday.fleet["h1"], saturday.on("h1")
    before = {node.name: _pid(saturday, node) for node in nodes}
    host.do(f"kill -SEGV {before['h1-ansible-1']}")
    wait_until(lambda: _pid(saturday, nodes[1]) not in (0, before["h1-ansible-1"]), WITHIN_S)
    after = {node.name: _pid(saturday, node) for node in nodes}
    assert after.pop("h1-ansible-1") not in (0, before.pop("h1-ansible-1"))
    assert after == before
    assert host.do("systemctl show --value --property=NRestarts cortensor-1").strip() != "0"


def test_an_unprivileged_operator_reads_neither_keys_nor_docker(saturday: Saturday) -> None:
    host = saturday.fleet["h1"]
    assert "Permission denied" in host.ssh(f"cat {saturday.on('h1')[1].env_file}", user="plain").stderr
    assert "permission denied while trying to connect to the Docker daemon socket" in host.ssh("docker ps", user="plain").stderr
    assert host.ssh("sudo docker ps --quiet").stdout.count("\n") == 2
