"""Stand-in nodes on a real chain, seen through their logs, their RPCs and the chain: which earns, which only pings, whose RPC is behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.probes.nodes import observe
from cortops.protocol.http import HttpClient
from cortops.surfaces.judging import Ask
from cortops.surfaces.nodes.assemble import page_of
from cortops.surfaces.nodes.page import NodeRow, NodesPage, as_json
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.testing.cortensord import GOOD, PINGS, compiled, why_not
from cortops.testing.cortensord.network import CortensorNetwork, address_of, cortensor_network
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, NoAnswer, Question, Reply, Shell, Silence

pytestmark = pytest.mark.real

NODES = ("earns", "pings", "behind", "idle")
DAY_S = 86_400.0


class _Behind(BaseHTTPRequestHandler):
    """An RPC of the same chain whose newest block is the first."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = {"eth_chainId": hex(31338), "eth_getBlockByNumber": {"number": "0x1", "timestamp": "0x1"}}.get(asked["method"], "0x")
        body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def rpc_behind() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Behind) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v2/kEy"
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Lab:
    net: CortensorNetwork
    env: Environment
    folder: Path


def environment(net: CortensorNetwork, folder: Path) -> Environment:
    entries = [
        f"  {name}: {{program: cortensord, role: miner, runs: minerv4, host: here, shape: nohup, env_file: {folder}/{name}.env, "
        f'log: {folder}/{name}.log, binary: {folder}/cortensord, address: "{address_of(name)}"}}'
        for name in NODES
    ]
    url = net.url.replace("127.0.0.1", "localhost")  # another name than the nodes use, so that the two count as two
    network = f'{{chain_id: {net.chain_id}, rpc: {{url: "{url}"}}, contracts: {{runtime: "{net.runtime}"}}}}'
    text = "\n".join(
        [
            "format: 1",
            "environment: lab",
            "owners: {default: ops@lab.example}",
            "hosts: {here: {local: true}}",
            f"network: {network}",
            "nodes:",
        ]
    )
    loaded = load("\n".join([text, *entries, ""]), "lab.yaml")
    assert not isinstance(loaded, Invalid), loaded.text
    return loaded


@contextmanager
def running(program: Path, folder: Path, name: str, net: CortensorNetwork, rpc: str) -> Iterator[None]:
    """A stand-in node with its env file and log in `folder`."""
    settings = {"HOST": f'"{rpc}"', "CHAINID": net.chain_id, "NODE_PUBLIC_KEY": address_of(name), "CONTRACT_ADDRESS_RUNTIME": net.runtime}
    settings |= {"STANDIN_POLL_MS": 50, "STANDIN_PING_EVERY_S": 1}
    (folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    with (folder / f"{name}.log").open("wb") as log:
        node = subprocess.Popen([program, folder / f"{name}.env", "minerv4", "1", "docker"], stdout=log, stderr=log)
    try:
        yield
    finally:
        node.terminate()
        node.wait()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two network rounds and one user task have been worked on; the nodes still run."""
    if why := why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("nodes")
    good, pings = compiled(GOOD, folder), compiled(PINGS, folder)
    with cortensor_network() as net, rpc_behind() as behind:
        net.fund(*map(address_of, NODES))
        net.register(*map(address_of, NODES))
        with (
            running(good, folder, "earns", net, net.url),
            running(pings, folder, "pings", net, net.url),
            running(good, folder, "behind", net, behind),
            running(good, folder, "idle", net, net.url),
        ):
            for _ in range(2):
                _, committed = net.round([address_of(name) for name in NODES if name != "idle"], step_s=2)
                assert committed == {address_of("earns")}
            net.user_task([address_of("earns")])
            yield Lab(net, environment(net, folder), folder)


async def _ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
    """Logs are asked here for real; of processes nothing is said, as this machine may run nodes of others."""
    clock = SystemClock()
    asked = [question for question in questions if isinstance(question, Shell) and question.id.startswith("logs:")]
    silent = {item.id: NoAnswer(question=item.id, at=clock.now(), elapsed_s=0, silence=Silence.LOST, why="not asked") for item in questions}
    return silent | dict(await ask_shell(LocalTarget("here"), asked, clock))


def look(env: Environment, ask: Ask = _ask) -> NodesPage:
    async def run() -> NodesPage:
        clock = SystemClock()
        http = HttpClient(clock=clock)
        try:
            seen = await observe(env, ask, http, clock, since_s=DAY_S)
        finally:
            await http.close()
        return page_of(env, seen.chain, seen.hosts, seen.found, at=seen.at, since_s=DAY_S, released={})

    return asyncio.run(run())


@pytest.fixture(scope="module")
def page(lab: Lab) -> NodesPage:
    return look(lab.env)


def row(page: NodesPage, name: str) -> NodeRow:
    return next(row for row in page.rows if row.node == name)


def test_who_commits_earns(page: NodesPage) -> None:
    found = row(page, "earns")
    assert (found.earning.earning, found.earning.verdict, found.selected) == (True, "ok", 3)
    assert found.commits in (2, 3), "the user's task may still be under way"
    assert found.precommits is not None and found.precommits >= 2


def test_who_only_pings_is_named_with_the_time_of_the_first_missed_selection(lab: Lab, page: NodesPage) -> None:
    found = row(page, "pings")
    assert (found.selected, found.precommits, found.commits) == (2, 0, 0)
    assert (found.earning.earning, found.earning.headline, found.earning.verdict) == (False, "PING ONLY", "me")
    started = int(lab.net.rpc("eth_getBlockByNumber", "earliest", False)["timestamp"], 16)
    assert found.earning.since is not None and started <= found.earning.since <= page.at


def test_whose_rpc_is_behind_is_told_so_against_another(page: NodesPage) -> None:
    found = row(page, "behind")
    assert (found.earning.earning, found.earning.verdict) == (False, "rpc")
    assert found.earning.cause.startswith("my RPC is ") and found.earning.cause.endswith(" blocks behind another")
    assert {"chain:behind", "rpc:behind", "reference"} == set(found.earning.evidence)


def test_who_was_not_selected_is_not_red(page: NodesPage) -> None:
    found = row(page, "idle")
    assert (found.earning.earning, found.earning.headline, found.selected) == (None, "not selected", 0)


def test_the_network_moves_and_every_evidence_can_be_looked_up(page: NodesPage) -> None:
    assert page.network.moving is True and page.window.complete
    for item in as_json(page):
        evidence, observed = item["evidence"], item["observed"]
        assert isinstance(evidence, list) and isinstance(observed, dict)
        assert evidence and set(evidence) <= set(observed)


def test_no_key_of_an_endpoint_is_shown(page: NodesPage) -> None:
    assert "kEy" not in json.dumps(as_json(page)) + repr(page)


def test_an_env_file_names_the_contract_that_no_runtime_names(lab: Lab) -> None:
    """Our own registry knows no Cognitive; then users' tasks alone are counted, and that is said."""
    text = lab.env.text.replace(lab.net.runtime, lab.net.network.addresses.runtime)
    env = load(text, "lab.yaml")
    assert not isinstance(env, Invalid)
    found = look(env)
    assert row(found, "earns").selected == 1
    assert [note for note in found.notes if note.startswith("Cognitive (network tasks) is not watched")]


def test_when_no_rpc_answers_nobody_is_red(lab: Lab) -> None:
    env = load(lab.env.text.replace(lab.net.url.replace("127.0.0.1", "localhost"), "http://localhost:9"), "lab.yaml")
    assert not isinstance(env, Invalid)
    found = look(env)
    assert found.network.moving is None
    assert {(item.earning.earning, item.earning.state.value) for item in found.rows} == {(None, "unknown")}
    assert all("http://localhost:9" in item.earning.cause for item in found.rows)


def test_a_host_that_says_nothing_hides_nothing_that_the_chain_says(lab: Lab) -> None:
    async def nobody(questions: Sequence[Question]) -> Mapping[str, Reply]:
        refused = NoAnswer(question="", at=0, elapsed_s=0, silence=Silence.REFUSED, why="connection refused")
        return {item.id: replace(refused, question=item.id) for item in questions}

    found = look(lab.env, nobody)
    assert row(found, "earns").earning.earning is True and row(found, "pings").earning.earning is False
    assert "connection refused" in row(found, "idle").earning.cause


def test_gas_lasts_as_long_as_the_last_day_says_and_a_clock_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """A chain that is a day ahead of this machine: the times are the chain's, and the tenth of a balance that a day took is told."""
    node = address_of("earns")
    with cortensor_network() as net:
        net.fund(node, wei=11 * 10**17)
        net.rpc("evm_increaseTime", int(DAY_S))
        net.mine()
        net.rpc("eth_sendTransaction", {"from": node, "to": address_of("idle"), "value": hex(10**17), "gasPrice": "0x0"})
        net.mine(2)
        found = look(environment(net, tmp_path))
        head_at = int(net.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    earns = row(found, "earns")
    assert earns.gas_days == pytest.approx(10, rel=0.02)
    assert found.at == pytest.approx(head_at, abs=60)
    assert [note for note in found.notes if note.startswith("this machine's clock is ") and "behind the chain's" in note]


def test_the_answer_comes_from_the_hosts_shell() -> None:
    """The fake above asks for real: without it the tests here would prove little."""
    asked = Shell(id="logs:here", target="here", script="echo 1", timeout_s=5)
    replies = asyncio.run(_ask([asked]))  # type: ignore[arg-type]
    assert isinstance(replies["logs:here"], Answer)
