"""What verbs say of an environment whose programs stand on hosts that SSH reaches, without asking any."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cortops.cli.common import Common, environment
from cortops.cli.compose import here, own_places, state_host
from cortops.cli.up import up
from cortops.cli.validate import validate
from cortops.local.here import host_here
from cortops.targets.supervisord import Supervisord
from cortops.targets.systemd import Systemd
from cortops.words.errors import BadInput, Refused

FILE = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts:
  here: {local: true}
  h2: {ssh: root@h2.example}
  h1: {ssh: root@h1.example, address: 10.0.0.1}
network: {chain_id: 31338, rpc: {url: "http://rpc.example"}, contracts: {runtime: deploy}}
nodes:
  engine-1: {role: engine, host: h1, port: 8090, release: small, model: small}
  router-1: {role: router, host: h1, port: 5010, ws_port: 9001, sessions: {small: [1]}}
  miner-1: {role: miner, host: h2, port: 5101, engine: engine-1, routers: [router-1]}
  oracle-1: {role: oracle, host: here, port: 5201}
releases:
  small: {from: "pip:small==1.0", archive_sha256: HASH, file: small/model.gguf, sha256: HASH, size: 8192}
"""
SESSIONS = "  sessions:\n    1: {name: small, model: small, nodes: [miner-1], routers: [router-1]}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    network = 'network: {chain_id: 31338, rpc: {url: "http://rpc.example"}, contracts: {runtime: deploy}}\n'
    spelled = 'network:\n  chain_id: 31338\n  rpc: {url: "http://rpc.example"}\n  contracts: {runtime: deploy}\n'
    path = tmp_path / "lab.yaml"
    path.write_text(FILE.replace(network, spelled + SESSIONS).replace("HASH", "a1" * 32))
    return path


def test_validate_names_what_is_reached_in_plain_http(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(file) == 0
    assert capsys.readouterr().out.endswith(
        "Other hosts connect to engine-1, router-1 in plain HTTP: the network of hosts.*.address is trusted.\n"
    )


def test_up_is_for_this_machine_and_says_where_to_go_on(file: Path) -> None:
    with pytest.raises(Refused, match="lab runs programs on h2, h1, and `up` is for environments of this machine") as refused:
        up(file)
    assert refused.value.next == f"cortops plan {file}" and refused.value.where.endswith("lab.yaml:6")


def test_other_ports_are_for_this_machine(file: Path) -> None:
    common = Common(port_base=100)

    async def enter() -> None:
        async with here(environment(file, common), common):
            raise AssertionError("it was let in")

    with pytest.raises(BadInput, match="--port-base moves ports of this machine only, and lab has programs on h2, h1"):
        asyncio.run(enter())


def test_each_host_has_its_service_manager_and_the_first_by_ssh_the_state(file: Path, tmp_path: Path) -> None:
    env, manager = environment(file, Common()), Supervisord(str(tmp_path), "python")
    sites, managers = own_places(env, tmp_path, manager, tmp_path, only_asked=True)
    assert state_host(env) == "h2", "in the order of the file"
    assert sites["here"] == host_here("here", tmp_path, manager) and managers["here"] == manager
    assert {name for name, one in managers.items() if isinstance(one, Systemd)} == {"h1", "h2"}
    assert {sites[name].root for name in ("h1", "h2")} == {"/var/lib/cortops-programs/lab"}
