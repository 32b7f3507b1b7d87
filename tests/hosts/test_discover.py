"""`cortops discover` over real SSH: every node of every shape once, nothing touched there, no key here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.hosts.faults import NET, QUIET, Fault
from tests.hosts.saturday import Saturday
from tests.hosts.shapes import Node, ansible, docker, install, nohup, salt, systemd

from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.testing.cortensord import GOOD, compiled, sha256
from cortops.testing.hosts import Fleet, SystemHost, hosts

pytestmark = pytest.mark.real

RUN_WITHIN_S = 120
LAST_LINE = "{}, 0 files written there, 0 keys read here"
FIELDS = ("host", "shape", "instance", "role", "runs", "user", "unit", "env_file", "log", "binary", "address")
# What a login by SSH itself writes, and what the nodes and the system write all the time.
LOGINS = ("/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp", "/var/log/journal")


@dataclass(frozen=True)
class Run:
    """One run of the verb."""

    status: int
    out: str
    err: str
    took_s: float

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def kinds(self) -> set[str]:
        return {str(flag["kind"]) for flag in self.told["flags"]}


Discover = Callable[..., Run]


def discover_of(fleet: Fleet, home: Path) -> Discover:
    """The verb as a person runs it who reaches these hosts by name; files are relative to `home`."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "config").write_text(fleet.ssh_config)
    shutil.copy(fleet.known_hosts, folder / "known_hosts")
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "CORTOPS_DATA": str(home / "data")}

    def run(*words: str, verb: str = "discover") -> Run:
        begun = time.monotonic()
        command = [sys.executable, "-m", "cortops.cli", verb, *words]
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=RUN_WITHIN_S, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def discover(saturday: Saturday, home: Path) -> Discover:
    return discover_of(saturday.fleet, home)


def wanted(nodes: tuple[Node, ...]) -> list[tuple[str, ...]]:
    return sorted(tuple(str(getattr(node, field)) for field in FIELDS) for node in nodes)


def found(run: Run) -> list[tuple[str, ...]]:
    return sorted(tuple(str(node[field]) for field in FIELDS) for node in run.told["nodes"])


def no_key_in(saturday_nodes: tuple[Node, ...], *runs: Run) -> None:
    for run in runs:
        for node in saturday_nodes:
            assert node.private_key.removeprefix("0x") not in run.out + run.err, node.name


def tree(host: SystemHost, but: tuple[str, ...]) -> set[str]:
    """Inode, mode, owner, time of change, size, name and hash of all below the folders where nodes live."""
    left_out = " ".join(f"-path {path} -prune -o" for path in but)
    folders = "/home ~root /etc /opt /usr/local /var/log /var/lib /tmp"
    listed = host.do(f"find {folders} {left_out} -printf '%i %m %u %T@ %s %p\\n' | sort -k 6")
    hashed = host.do(f"find {folders} {left_out} -type f -print0 | sort -z | xargs -0 sha256sum")
    return {*listed.splitlines(), *hashed.splitlines()}


def pids(host: SystemHost) -> str:
    return host.do("pgrep --full 'cortensord [^ ]*env' | sort")


@pytest.fixture(scope="module")
def looked(saturday: Saturday, discover: Discover) -> tuple[Run, Mapping[str, tuple[set[str], str]], Mapping[str, tuple[set[str], str]]]:
    """One look at all three hosts; what lay and ran on each before and after."""

    def now() -> dict[str, tuple[set[str], str]]:
        logs = tuple(node.log for node in saturday.nodes if node.log.startswith("/"))
        containers = "/var/lib/docker-standin", "/var/lib/docker"
        return {host.name: (tree(host, (*LOGINS, *logs, *containers)), pids(host)) for host in saturday.fleet}

    before = now()
    run = discover("me@h1", "me@h2", "me@h3", "--sudo", "--json")
    return run, before, now()


def test_twelve_nodes_in_five_shapes_each_once(saturday: Saturday, looked: tuple[Run, Any, Any]) -> None:
    run, _, _ = looked
    assert run.status == 0, run.err
    assert found(run) == wanted(saturday.nodes)
    program = sha256(saturday.program)
    for node in run.told["nodes"]:
        assert (node["running"], node["binary_sha256"], node["running_sha256"]) == (True, program, program), node["node"]
    assert all(host["complete"] and host["root"] for host in run.told["hosts"])


def test_nothing_is_changed_there_and_no_key_is_here(saturday: Saturday, looked: tuple[Run, Any, Any]) -> None:
    run, before, after = looked
    for name, (lay, ran) in before.items():
        assert after[name][0] ^ lay == set(), name
        assert after[name][1] == ran, name
    no_key_in(saturday.nodes, run)


def test_for_people(saturday: Saturday, discover: Discover) -> None:
    run = discover("me@h1", "me@h2", "me@h3", "--sudo")
    assert run.status == 0, run.err
    lines = run.out.splitlines()
    assert lines[-1] == LAST_LINE.format("12 nodes on 3 hosts")
    assert any(line.endswith("starts as minerv2, an old role; today's is minerv4") for line in lines)
    assert sum(node.env_file in run.out for node in saturday.nodes) == 12
    no_key_in(saturday.nodes, run)


def test_without_sudo_every_node_is_still_found_and_what_is_not_known_is_said(saturday: Saturday, discover: Discover) -> None:
    run = discover("plain@h1", "plain@h2", "plain@h3", "--json")
    assert run.status == 0, run.err
    by_place = sorted((node.host, node.shape, node.env_file, node.runs) for node in saturday.nodes)
    assert sorted((node["host"], node["shape"], node["env_file"], node["runs"]) for node in run.told["nodes"]) == by_place
    assert {"unreadable", "docker-silent"} <= run.kinds
    unread = [node for node in run.told["nodes"] if not node["address"]]
    assert unread and all(node["env_sha256"] == "" and node["env"] == {} for node in unread)
    no_key_in(saturday.nodes, run)


def test_the_file_is_valid_and_a_second_look_changes_no_byte(saturday: Saturday, discover: Discover, home: Path) -> None:
    words = ("me@h1", "me@h2", "me@h3", "--sudo", "--write", "saturday.yaml")
    first = discover(*words)
    assert "saturday.yaml written: 12 nodes." in first.out, first.out + first.err
    env = load_file(home / "saturday.yaml")
    assert isinstance(env, Environment)
    assert {(node.host, node.unit, node.env_file, node.address) for node in env.installed.values()} == {
        (node.host, node.unit, node.env_file, node.address) for node in saturday.nodes
    }
    assert (env.network.chain_id, env.network.contracts.runtime, env.network.rpc.url) == (
        saturday.network.chain_id,
        saturday.network.runtime,
        saturday.network.url,
    )
    before = (home / "saturday.yaml").read_bytes()
    for again in (discover(*words), discover("me@h3", "plain@h2", "me@h1", "--write", "saturday.yaml")):
        assert "says all this already" in again.out, again.out + again.err
        assert (home / "saturday.yaml").read_bytes() == before
    valid = discover("saturday.yaml", verb="validate")
    assert valid.status == 0, valid.out
    for node in saturday.nodes:
        assert node.private_key.removeprefix("0x").encode() not in before


def test_a_host_that_fails_hides_no_other(saturday: Saturday, discover: Discover) -> None:
    with saturday.fleet["h2"].cut_off():
        run = discover("me@h1", "me@h2", "nobody@h3", "me@nowhere.invalid", "--sudo", "--json")
        text = discover("me@h1", "me@nowhere.invalid", "--sudo")
    assert run.status == 3
    assert {node["host"] for node in run.told["nodes"]} == {"h1"}
    assert {failure["host"] for failure in run.told["failures"]} == {"h2", "h3", "nowhere"}
    assert text.status == 3 and any(line.startswith("nowhere: no address is known") for line in text.out.splitlines())
    assert text.out.splitlines()[-1] == LAST_LINE.format("4 nodes on 1 host")


# --- 25 nodes on one host ---


def crowd() -> tuple[Node, ...]:
    return (
        systemd("many", env=QUIET),
        *(ansible("many", number, env=QUIET) for number in range(1, 11)),
        *(salt("many", name, env=QUIET) for name in ("a", "b", "c", "d", "e", "f")),
        *(docker("many", number, env=QUIET) for number in range(1, 7)),
        nohup("many", env=QUIET),
        nohup("many", user="me", env=QUIET),
    )


@pytest.fixture(scope="module")
def many(nothing_left_behind: None, programs: Path) -> Iterator[tuple[Fleet, tuple[Node, ...]]]:
    with hosts(names=("many",)) as fleet:
        install(fleet["many"], crowd(), compiled(GOOD, programs).read_bytes(), NET)
        yield fleet, crowd()


def test_twenty_five_nodes_on_one_host(
    many: tuple[Fleet, tuple[Node, ...]], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fleet, nodes = many
    run = discover_of(fleet, tmp_path)("me@many", "--sudo", "--json", "--write", "many.yaml")
    record_property("discover_25_s", round(run.took_s, 2))
    assert run.status == 0, run.err
    places = {(node.shape, node.unit, node.env_file) for node in nodes}
    told = [(node["shape"], node["unit"], node["env_file"]) for node in run.told["nodes"]]
    assert len(nodes) == len(told) == 25 and set(told) == places
    assert len(run.told["written"]["added"]) == 25
    assert run.told["network"]["name"] == "testnet-0"


# --- faults that operators have ---

FLAGS = {
    "shared-rpc": "rpc-shared",
    "one-wallet": "wallet-twice",
    "loopback": "loopback-published",
    "chain-id": "chain-id",
    "quotes": "address-unquoted",
    "router-lines": "router-lines-missing",
    "timer": "restart-timer",
    "pointer": "lfs-pointer",
    "skewed": "clock",
}


@pytest.fixture(scope="module")
def each_alone(faulty: tuple[Fleet, dict[str, Fault]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Fault -> what discover says of its host."""
    fleet, faults = faulty
    verb = discover_of(fleet, tmp_path_factory.mktemp("home"))
    return {name: verb(f"me@{name}", "--sudo", "--json") for name in faults}


@pytest.mark.parametrize("fault", FLAGS)
def test_a_fault_is_flagged_with_its_next_command(fault: str, each_alone: dict[str, Run]) -> None:
    (flag, *_) = [flag for flag in each_alone[fault].told["flags"] if flag["kind"] == FLAGS[fault]] or [None]
    assert flag is not None, each_alone[fault].told["flags"]
    assert flag["next"]


@pytest.mark.parametrize("kind", sorted({*FLAGS.values()} - {"rpc-shared", "address-unquoted"}))
def test_a_flag_is_raised_nowhere_else(kind: str, each_alone: dict[str, Run]) -> None:
    assert {fault for fault, run in each_alone.items() if kind in run.kinds} == {fault for fault, own in FLAGS.items() if own == kind}


def test_stopped_nodes_and_nodes_without_an_address_are_found(each_alone: dict[str, Run]) -> None:
    (stopped,) = each_alone["stopped"].told["nodes"]
    assert (stopped["running"], stopped["pid"], stopped["shape"]) == (False, None, "ansible")
    (without,) = each_alone["no-address"].told["nodes"]
    assert (without["running"], without["address"]) == (True, "")
