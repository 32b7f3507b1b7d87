"""Twelve nodes on three hosts in five shapes, as `cortops nodes` sees them over SSH: one of them stands still, eleven earn."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.saturday import Saturday

from cortops.cli.common import Common
from cortops.cli.fleet import fleet
from cortops.cli.nodes import as_text
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.probes.nodes import Observed, observe
from cortops.surfaces.nodes.assemble import page_of
from cortops.surfaces.nodes.page import NodesPage, as_json

pytestmark = pytest.mark.real

DAY_S = 86_400.0
STILL = "h2-salt-alpha"
LOOKS_MAX = 3


def environment(saturday: Saturday) -> Environment:
    hosts = [f"  {host.name}: {{ssh: {host.name}, sudo: true}}" for host in saturday.fleet]
    nodes = [
        f"  {node.name}: {{program: cortensord, role: {node.role}, runs: {node.runs}, host: {node.host}, shape: {node.shape}, "
        f'instance: "{node.instance}", unit: "{node.unit}", env_file: "{node.env_file}", log: "{node.log}", binary: "{node.binary}", '
        f'address: "{node.address}"}}'
        for node in saturday.nodes
    ]
    net = saturday.network
    network = f'network: {{chain_id: {net.chain_id}, rpc: {{url: "{net.url}"}}, contracts: {{runtime: "{net.runtime}"}}}}'
    head = ["format: 1", "environment: saturday", "owners: {default: ops@lab.example}", "hosts:", *hosts, network, "nodes:"]
    loaded = load("\n".join([*head, *nodes, ""]), "saturday.yaml")
    assert not isinstance(loaded, Invalid), loaded.text
    return loaded


def look(env: Environment) -> tuple[NodesPage, Observed]:
    async def run() -> tuple[NodesPage, Observed]:
        async with fleet(env, Common(json=True)) as hosts:
            seen = await observe(env, hosts.ask, hosts.http, hosts.clock, since_s=DAY_S)
        return page_of(env, seen.chain, seen.hosts, seen.found, at=seen.at, since_s=DAY_S, released={}), seen

    return asyncio.run(run())


@pytest.fixture(scope="module")
def home(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose SSH configuration names the hosts."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".ssh").mkdir(mode=0o700)
    (folder / ".ssh" / "config").write_text(saturday.fleet.ssh_config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def seen(saturday: Saturday, home: Path) -> Iterator[tuple[NodesPage, Observed]]:
    """After two rounds for which every node was selected, while one process was stopped in its tracks."""
    still = next(node for node in saturday.nodes if node.name == STILL)
    pid = saturday.fleet[still.host].do(f"systemctl show -p MainPID --value {still.unit}").strip()
    saturday.fleet[still.host].do(f"kill -STOP {pid}")
    try:
        for _ in range(2):
            _, committed = saturday.network.round(saturday.addresses, step_s=6)
            assert len(committed) == len(saturday.nodes) - 1
        for _ in range(LOOKS_MAX):  # a busy machine may not answer within the verb's own deadline: that is unknown, never red
            found = look(environment(saturday))
            if all(row.earning.earning is not None for row in found[0].rows):
                break
        yield found
    finally:
        saturday.fleet[still.host].do(f"kill -CONT {pid}")


def test_eleven_earn_and_the_one_that_stands_still_is_named(seen: tuple[NodesPage, Observed]) -> None:
    page, _ = seen
    assert {row.node: row.earning.earning for row in page.rows if row.earning.earning is not True} == {STILL: False}
    red = page.rows[0]
    assert (red.node, red.earning.verdict) == (STILL, "me")
    assert red.selected is not None and red.commits is not None and red.selected - red.commits >= 2
    assert page.network.moving is True


def test_each_shape_tells_its_log_its_rpc_and_its_process(saturday: Saturday, seen: tuple[NodesPage, Observed]) -> None:
    page, observed = seen
    assert set(observed.found) == {node.name for node in saturday.nodes}, "every process was found"
    for host, said in observed.hosts.items():
        assert said.logs is not None, host
        for name, log in said.logs.nodes.items():
            assert log.facts is not None and log.facts.pack == "one-line/3" and log.facts.session is not None, (name, log)
            assert [said.logs.probes[sha].error for sha in log.rpcs] == [""], name
    assert {row.binary for row in page.rows} == {observed.found[STILL].running_sha256}
    assert all(row.gas_days is None or row.gas_days > 0 for row in page.rows)


def test_people_see_a_line_for_the_red_one_and_the_next_command(seen: tuple[NodesPage, Observed]) -> None:
    text = as_text(seen[0])
    assert text.splitlines()[0].startswith("12 nodes on 3 hosts · saturday · last ")
    assert text.splitlines()[2].startswith(f"■  {STILL}")
    assert text.splitlines()[-1] == "next: cortops doctor h2"


def test_no_private_key_left_its_host(saturday: Saturday, seen: tuple[NodesPage, Observed]) -> None:
    text = repr(seen) + repr(as_json(seen[0]))
    assert [node.name for node in saturday.nodes if node.private_key in text or node.private_key[2:] in text] == []


@pytest.mark.usefixtures("seen")
def test_the_command_itself_and_a_host_that_is_gone_hides_no_other(saturday: Saturday, home: Path) -> None:
    """The same by `cortops nodes`, with a fourth host that nobody answers for."""
    text = environment(saturday).text.replace("hosts:\n", 'hosts:\n  h9: {ssh: "me@127.0.0.1:9"}\n')
    node = text[text.index("  h2-nohup:") :].split("\n", 1)[0]
    gone = node.replace("h2-nohup", "gone").replace("host: h2", "host: h9").split(", address:")[0] + "}"
    file = home / "saturday.yaml"
    file.write_text(f"{text}{gone}\n")
    command = [str(Path(sys.prefix) / "bin" / "cortops"), "nodes", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    rows = {row["node"]: row for row in json.loads(done.stdout)}
    assert len(rows) == 13 and rows["gone"]["state"] == "unknown" and rows["gone"]["earning"] is None
    assert sum(row["earning"] is True for row in rows.values()) == 11 and rows[STILL]["earning"] is False
