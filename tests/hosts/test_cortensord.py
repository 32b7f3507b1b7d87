"""The stand-in for cortensord keeps its argument line, env file and log forms, and does a miner's duty on a chain."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cortops.contracts.keccak import keccak_hex
from cortops.testing import cortensord
from cortops.testing.cortensord import CRASHES, DIES, GOOD, OLD, PINGS, Build, compiled, lfs_pointer, sha256
from cortops.testing.cortensord import network as shipped
from cortops.testing.cortensord.network import CortensorNetwork, address_of, cortensor_network, wait_until
from cortops.words.errors import CallReverted

pytestmark = pytest.mark.real

WITHIN_S = 20.0
BUILDS = (OLD, GOOD, CRASHES, PINGS, DIES)
ME = address_of("m1")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if why := cortensord.why_not():
        pytest.skip(why)
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="module")
def net() -> Iterator[CortensorNetwork]:
    with cortensor_network() as network:
        yield network


def _env(folder: Path, **lines: str) -> Path:
    path = folder / ".env"
    usual = {"HOST": "http://127.0.0.1:9", "NODE_PUBLIC_KEY": ME, "STANDIN_POLL_MS": "50", "STANDIN_PING_EVERY_S": "1"}
    path.write_text("".join(f"{key}={value}\n" for key, value in (usual | lines).items()))
    return path


def _tool(program: Path, env: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, env, *words], capture_output=True, text=True, timeout=WITHIN_S, check=False)


def _read_until(program: Path, env: Path, pattern: str, *, role: str = "minerv4") -> tuple[str, int]:
    """What a node prints up to the first line that matches, and its exit status after SIGINT."""
    with subprocess.Popen([program, env, role, "1", "docker"], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout
        said = ""
        for line in node.stdout:
            said += line
            if re.search(pattern, line):
                break
        node.send_signal(signal.SIGINT)
        said += node.stdout.read()
    return said, node.returncode


def test_each_build_has_a_hash_of_its_own(builds: Path) -> None:
    hashes = {sha256(compiled(build, builds)) for build in BUILDS}
    assert len(hashes) == len(BUILDS)
    assert sha256(compiled(Build(name=GOOD.name), builds)) in hashes, "the same build is the same file"


def test_a_pointer_names_the_hash_of_the_program(builds: Path) -> None:
    program = compiled(GOOD, builds)
    lines = lfs_pointer(program).splitlines()
    assert lines[0] == "version https://git-lfs.github.com/spec/v1"
    assert lines[1:] == [f"oid sha256:{sha256(program)}", f"size {program.stat().st_size}"]


@pytest.mark.parametrize("form", ['"{}"', "'{}'", "{}", "{}   # mine", "{}\nEXTRA"])
def test_it_reads_an_address_in_every_form(builds: Path, tmp_path: Path, form: str) -> None:
    env = _env(tmp_path, NODE_PUBLIC_KEY=form.format(ME))
    assert _tool(compiled(GOOD, builds), env, "tool", "id").stdout == f"Node ID: {ME}\n"


def test_it_says_what_it_cannot_do(builds: Path, tmp_path: Path) -> None:
    program = compiled(GOOD, builds)
    assert "usage: cortensord ENV-FILE ROLE" in _tool(program, tmp_path).stderr
    assert _tool(program, tmp_path / "none", "minerv4").returncode == 1
    assert _tool(program, _env(tmp_path), "tool", "fly").returncode == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_when_asked(builds: Path, tmp_path: Path, stop: signal.Signals) -> None:
    env = _env(tmp_path, STANDIN_POLL_MS="600000")
    with subprocess.Popen([compiled(GOOD, builds), env, "minerv4"], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout and "Starting" in node.stdout.readline()
        node.stdout.readline()
        node.send_signal(stop)
        assert node.stdout.read().endswith("Stopping...\n")
    assert node.returncode == 0


@pytest.mark.parametrize(
    ("build", "state"),
    [
        (GOOD, r"\x1b\[92m\* Latest ID: \d+ / Latest State: [346]\x1b\[0m"),
        (OLD, r"\* Latest ID: \d+\n\* Latest State: [346]"),
        (Build(name="2025-06-17", log_form=1), r"Session ID: \d+ - State: [346]"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_it_writes_each_log_form_that_parsers_know(builds: Path, tmp_path: Path, build: Build, state: str) -> None:
    said, _ = _read_until(compiled(build, builds), _env(tmp_path, STANDIN_ROUND_EVERY_S="3"), r"'Commit': 1")
    for form in (
        state,
        f"Assigned Miners: {ME}",
        r"\nTX: 0x[0-9a-f]{64}\n",
        r"\* Event: Commit",
        r"Event Stats: \{'Ping': 0, 'Precommit': 1, 'Commit': 1\}",
        r"Pinging network\.\.\.",
        r"Cognitive Level: 3",
    ):
        assert re.search(form, said), (form, said)


def test_a_bad_release_crashes_at_its_start(builds: Path, tmp_path: Path) -> None:
    done = _tool(compiled(CRASHES, builds), _env(tmp_path), "minerv4", "1", "docker")
    assert (done.returncode, "Traceback (most recent call last):" in done.stdout) == (1, True)


def test_an_rpc_that_is_down_is_said_and_survived(builds: Path, tmp_path: Path) -> None:
    said, status = _read_until(compiled(GOOD, builds), _env(tmp_path), "Error: RPC: Connection refused")
    assert (status, "Traceback" in said) == (0, False)


class Nodes:
    """Stand-ins that run beside a test: label -> build."""

    def __init__(self, stack: ExitStack, folder: Path, net: CortensorNetwork) -> None:
        self.stack, self.folder, self.net = stack, folder, net

    def start(self, label: str, program: Path, **lines: str) -> tuple[str, subprocess.Popen[bytes], Path]:
        """Address, process and log of a funded, registered node."""
        address, folder = address_of(label), self.folder / label
        folder.mkdir()
        self.net.fund(address)
        self.net.register(address)
        where = {"HOST": self.net.url, "CONTRACT_ADDRESS_RUNTIME": f'"{self.net.runtime}"', "NODE_PUBLIC_KEY": address}
        env = _env(folder, **where, STANDIN_GAS_PRICE_WEI="1000000000", **lines)
        log = folder / "log"
        node = subprocess.Popen([program, env, "minerv4", "1", "docker"], stdout=self.stack.enter_context(log.open("wb")))
        self.stack.callback(node.wait)
        self.stack.callback(node.terminate)
        return address, node, log


@pytest.fixture
def nodes(tmp_path: Path, net: CortensorNetwork) -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(stack, tmp_path, net)


def test_a_good_one_earns_and_pays_and_one_that_pings_does_not(builds: Path, nodes: Nodes, net: CortensorNetwork) -> None:
    good, _, log = nodes.start("good", compiled(GOOD, builds))
    pings, _, other = nodes.start("pings", compiled(PINGS, builds))
    session, committed = net.round([good, pings], step_s=3)
    assert committed == {good}
    assert net.last_ping_at(good) and net.last_ping_at(pings)
    assert int(net.rpc("eth_getBalance", good, "latest"), 16) < shipped.NODE_WEI
    sent = re.findall(r"^TX: (0x[0-9a-f]{64})$", log.read_text(), re.MULTILINE)
    assert [net.rpc("eth_getTransactionReceipt", tx)["status"] for tx in sent] == ["0x1", "0x1"]
    inputs = [net.rpc("eth_getTransactionByHash", tx)["input"][:10] for tx in sent]
    assert inputs == ["0xf21a494b", "0x65c815a5"], "the selectors of precommit and commit (operators 2.4)"
    assert "TX:" not in other.read_text() and f"Latest ID: {session} / " in other.read_text()


def test_a_step_that_is_over_already_is_no_failure(net: CortensorNetwork) -> None:
    session = net.begin([shipped.address_of("never there")])
    with pytest.raises(CallReverted):
        net.begin([shipped.address_of("another")])
    for _ in range(2):
        net.end_precommit(session)
    for _ in range(2):
        net.end(session)
    assert net.latest() == (session, shipped.ENDED)


def test_one_dies_after_its_rounds(builds: Path, nodes: Nodes, net: CortensorNetwork) -> None:
    address, node, log = nodes.start("dies", compiled(DIES, builds), STANDIN_ROUNDS="2")
    assert [net.round([address])[1] for _ in range(2)] == [{address}, {address}]
    assert node.wait(WITHIN_S) == 1
    assert log.read_text().rstrip().endswith("RuntimeError: out of memory")


def test_a_user_task_is_acked_precommitted_and_committed(builds: Path, nodes: Nodes, net: CortensorNetwork) -> None:
    address, _, log = nodes.start("serves", compiled(GOOD, builds))
    session, task = net.user_task([address])
    wait_until(lambda: net.task_committed(session, task), WITHIN_S)
    assert net.task_committed(session, task) == {address}
    assert "* Task Mode: USER" in log.read_text()


def test_rounds_go_on_beside_a_test(builds: Path, nodes: Nodes, net: CortensorNetwork) -> None:
    address, _, log = nodes.start("goes-on", compiled(GOOD, builds))
    with net.rounds([address]):
        wait_until(lambda: log.read_text().count("* Event: Commit") >= 2, WITHIN_S)
    assert log.read_text().count("* Event: Commit") >= 2


def test_the_shipped_contracts_are_what_the_sources_give() -> None:
    kept = json.loads(shipped.SHIPPED.read_text())
    assert kept.pop("source_sha256") == shipped.source_sha256(), "run: python -m cortops.testing.cortensord.network"
    assert kept == shipped.compiled_contracts()


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        ("ping()", "5c36b186"),
        ("precommit(uint256,bytes32,bytes,uint256)", "f21a494b"),
        ("commit(uint256,string,bytes,uint256)", "65c815a5"),
    ],
)
def test_cognitive_has_the_public_selectors(signature: str, selector: str) -> None:
    assert keccak_hex(signature.encode())[2:10] == selector
    assert selector in json.loads(shipped.SHIPPED.read_text())["cognitive"]
