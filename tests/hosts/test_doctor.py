"""`cortops doctor` on real hosts: every fault that operators know is found, on the host that has it, and nothing is touched or told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.hosts.faults import NET, QUIET, ROUTER, ROUTER_COMPLETE, Fault, faulty_hosts
from tests.hosts.saturday import Saturday
from tests.hosts.shapes import Node, ansible, salt, systemd

from cortops.testing.cortensord import OLD, compiled
from cortops.testing.hosts import Fleet, SystemHost

pytestmark = pytest.mark.real

RUN_WITHIN_S = 120
LOG = "/var/log/cortensord.log"
CHANGED = (
    "find /etc /usr /opt /home ~root /srv /tmp /var/lib -xdev -newer /run/before -type f ! -path '*/logs/*' ! -path '*/systemd/timers/*'"
)


@dataclass(frozen=True)
class Run:
    """One run of the verb."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, object]]:
        return list(json.loads(self.out))

    def bad(self, entity: str = "") -> set[str]:
        """Names of the checks that are red, of all or of one entity."""
        return {str(row["check"]) for row in self.rows if row["outcome"] == "bad" and str(row["entity"]).endswith(entity)}


Doctor = Callable[..., Run]


def doctor_of(fleet: Fleet, home: Path) -> Doctor:
    """The verb as a person runs it who reaches these hosts by name."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "config").write_text(fleet.ssh_config)
    shutil.copy(fleet.known_hosts, folder / "known_hosts")
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "CORTOPS_DATA": str(home / "data")}

    def run(*words: str, verb: str = "doctor") -> Run:
        command = [sys.executable, "-m", "cortops.cli", verb, *words]
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=RUN_WITHIN_S, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    return run


# --- each fault of tests/hosts/faults.py ---

FOUND: Mapping[str, str] = {
    "shared-rpc": "shared RPC",
    "one-wallet": "wallets",
    "loopback": "published address",
    "chain-id": "chain ids",
    "quotes": "quotes",
    "router-lines": "router lines",
    "timer": "timers",
    "pointer": "pointers",
    "no-address": "wallet",
    "stopped": "process",
    "skewed": "clock",
}


@pytest.fixture(scope="module")
def each_alone(faulty: tuple[Fleet, dict[str, Fault]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Fault -> what doctor says of its host."""
    fleet, faults = faulty
    doctor = doctor_of(fleet, tmp_path_factory.mktemp("home"))
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(faults, threads.map(lambda name: doctor(f"me@{name}", "--sudo", "--json"), faults), strict=True))


@pytest.mark.parametrize("fault", FOUND)
def test_a_known_fault_is_found(fault: str, each_alone: dict[str, Run]) -> None:
    assert each_alone[fault].status == 3
    assert FOUND[fault] in each_alone[fault].bad()


@pytest.mark.parametrize("check", sorted({*FOUND.values()} - {"shared RPC", "published address", "quotes"}))
def test_it_is_found_nowhere_else(check: str, each_alone: dict[str, Run]) -> None:
    """Those left out are, by their nature, on several of these hosts."""
    has = {fault for fault, run in each_alone.items() if check in run.bad()}
    assert has == {fault for fault, found in FOUND.items() if found == check} | ({"pointer"} if check == "process" else set())


def test_every_red_line_has_a_cure(each_alone: dict[str, Run]) -> None:
    assert [row for run in each_alone.values() for row in run.rows if row["outcome"] == "bad" and not row["cure"]] == []


# --- what the installer's own scripts leave behind (operators 2.6), all on one host ---


def _after_the_scripts(host: SystemHost) -> None:
    """use-testnet1.sh on a router; an upgrade that replaced the binary under running nodes, with copies left; a log that only grows."""
    host.do(
        f"""
        cp -p /usr/local/bin/cortensord /usr/local/bin/cortensord.bak_20260422
        for n in 1 2 3 4 5 6 7 8; do truncate -s 140M /usr/local/bin/cortensord.bak_$n; done
        systemctl stop cortensord@old.service
        truncate -s 1200M {LOG}
        echo 'Error: lock /home/deploy/.ipfs/repo.lock: someone else has the ipfs lock' >> /var/log/cortensor/cortensord-locked.log
        systemctl disable --quiet cortensor-1.service  # which loads the units anew, so before the next line
        sed -i 's/ routerv1 1 docker/ minerv4 1 docker/' /etc/systemd/system/cortensor.service
        """
    )


def _scripted() -> tuple[Node, ...]:
    router = systemd("scripts", runs="routerv1", role="router", env=QUIET | ROUTER | ROUTER_COMPLETE | {"API_KEY": "k" * 24})
    bypass = ansible("scripts", 1, env=QUIET | {"DISABLE_VERSION_CHECK": "true"})
    left = salt("scripts", "left", env=QUIET | {"CONTRACT_ADDRESS_RUNTIME": "0x" + "8d" * 20})
    return router, bypass, left, salt("scripts", "locked", env=QUIET), salt("scripts", "old", env=QUIET)


@pytest.fixture(scope="module")
def scripts(nothing_left_behind: None, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SystemHost, Doctor]]:
    fault = Fault(name="scripts", nodes=_scripted(), after=_after_the_scripts)
    with faulty_hosts(programs, [fault]) as (fleet, _):
        host = fleet["scripts"]
        host.put("/usr/local/bin/cortensord.new", compiled(OLD, programs).read_bytes(), mode=0o755)
        host.do("mv /usr/local/bin/cortensord.new /usr/local/bin/cortensord && systemctl restart cortensord@locked.service")
        host.do("sleep 0.5; echo 'ipfs: cannot get repo.lock' >> /var/log/cortensor/cortensord-locked.log")
        yield host, doctor_of(fleet, tmp_path_factory.mktemp("home"))


def test_what_the_installers_scripts_leave_is_found(scripts: tuple[SystemHost, Doctor]) -> None:
    _, doctor = scripts
    run = doctor("me@scripts", "--sudo", "--json")
    assert run.status == 3
    assert run.bad() >= {
        "unit",  # edited, and not in force
        "replaced",  # still runs what the upgrade replaced
        "versions",  # after the restart of one
        "old copies",
        "process",  # the upgrade stopped all and started some
        "rotation",
        "ipfs",
        "version check",
        "starts at boot",
        "one network",  # a runtime that the script did not reach
    }
    reset = next(row for row in run.rows if row["check"] == "unit" and row["outcome"] == "bad")
    assert str(reset["entity"]).startswith("router/") and "daemon-reload" in str(reset["cure"])


def test_a_router_that_became_a_miner_is_found_by_its_env_file(scripts: tuple[SystemHost, Doctor]) -> None:
    host, doctor = scripts
    host.do("systemctl daemon-reload && systemctl restart cortensor.service")
    roles = [row for row in doctor("me@scripts", "--sudo", "--json").rows if row["check"] == "role" and row["outcome"] == "bad"]
    assert len(roles) == 1 and "runs as minerv4, and its env file is" in str(roles[0]["text"])


def test_the_cures_cure(scripts: tuple[SystemHost, Doctor]) -> None:
    host, doctor = scripts
    curable = {"process", "starts at boot", "rotation", "key files", "env file"}
    red = [row for row in doctor("me@scripts", "--sudo", "--json").rows if row["outcome"] == "bad" and row["check"] in curable]
    assert {str(row["check"]) for row in red} >= {"process", "starts at boot", "rotation"}
    for row in red:
        command = str(row["cure"]).partition("   (")[0]
        assert command.startswith("ssh me@scripts ")
        subprocess.run(command.replace("ssh ", f"ssh -F {host.config} ", 1), shell=True, capture_output=True, check=True, timeout=60)
    assert doctor("me@scripts", "--sudo", "--json").bad() & curable == set()


# --- a fleet that earns ---


def _file(made: Saturday, home: Path, *, sudo: bool = True) -> str:
    """An environment file of the Saturday, written by hand."""
    lines = ["format: 1", "environment: saturday", "owners: {default: ops@lab.example}", "hosts:"]
    lines += [f"  {host.name}: {{ssh: me@{host.name}, sudo: {str(sudo).lower()}}}" for host in made.fleet]
    lines += ["network:", f"  chain_id: {made.network.chain_id}", f'  rpc: {{url: "{made.network.url}"}}']
    lines += [f'  contracts: {{runtime: "{made.network.runtime}"}}', "nodes:"]
    for node in made.nodes:
        unit = f"unit: {node.unit}, " if node.unit else ""
        lines.append(
            f"  {node.name}: {{program: cortensord, role: {node.role}, runs: {node.runs}, host: {node.host}, shape: {node.shape}, {unit}"
            f'env_file: {node.env_file}, log: "{node.log}", binary: {node.binary}, address: "{node.address}"}}'
        )
    (home / "saturday.yaml").write_text("\n".join(lines) + "\n")
    return "saturday.yaml"


def test_a_fleet_that_earns_is_well_but_for_how_it_was_installed(saturday: Saturday, tmp_path: Path) -> None:
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path)
    run = doctor(file, "--json")
    # The shapes themselves: no quotes, env files that all may read, a pid file and its old role.
    assert run.bad() <= {"quotes", "key files", "starts at boot", "old roles", "time sync"}, [
        row for row in run.rows if row["outcome"] == "bad"
    ]
    asked = {str(row["check"]): row for row in run.rows if row["outcome"] == "ok"}
    assert {"chain", "code", "rpc", "runtime", "process", "role", "grows", "binary", "clock", "disk"} <= set(asked)
    assert sum(row["check"] == "process" and row["outcome"] == "ok" for row in run.rows) == len(saturday.nodes)
    assert f"chain {saturday.network.chain_id}" in str(asked["chain"]["text"])


def test_nothing_is_written_and_no_key_is_told(saturday: Saturday, tmp_path: Path) -> None:
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path)
    for host in saturday.fleet:
        host.do("touch /run/before; sleep 0.02")
    runs = [doctor(file, "--all"), doctor(file, "--json"), doctor("--share", file, verb="report")]
    for host in saturday.fleet:
        changed = [line for line in host.do(CHANGED).splitlines() if not line.startswith(("/var/lib/docker/", "/var/lib/systemd/"))]
        assert changed == [], host.name
    told = "".join(run.out + run.err for run in runs)
    assert not [node.name for node in saturday.nodes if node.private_key in told or node.private_key[2:] in told]
    shared = runs[2].out
    private = [
        "saturday",
        *(host.address for host in saturday.fleet),
        *(node.address for node in saturday.nodes),
        "me@",
        "/home/",
        str(tmp_path),
    ]
    assert not [value for value in private if value.lower() in shared.lower()]
    assert shared.count(" miner 0x") >= len(saturday.nodes)


def test_without_sudo_what_could_not_be_read_is_unknown(saturday: Saturday, tmp_path: Path) -> None:
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path, sudo=False)
    run = doctor(file, "--json")
    assert "unreadable" in {str(row["check"]) for row in run.rows if row["outcome"] == "inconclusive"}
    assert run.bad() & {"wallet", "binary", "process"} == set(), [row for row in run.rows if row["outcome"] == "bad"]


def test_one_silent_host_hides_no_other_and_none_is_accused(saturday: Saturday, tmp_path: Path) -> None:
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path)
    with saturday.fleet["h2"].cut_off():
        run = doctor(file, "--json")
    assert run.status == 3
    by_host = {str(row["entity"]): row for row in run.rows if row["check"] == "answers"}
    assert {name: row["outcome"] for name, row in by_host.items()} == {"host/h1": "ok", "host/h2": "inconclusive", "host/h3": "ok"}
    assert not [row for row in run.rows if row["outcome"] == "bad" and "h2" in str(row["entity"])]


def test_when_no_host_answers_the_exit_says_that_our_eyes_failed(saturday: Saturday, tmp_path: Path) -> None:
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path)
    with saturday.fleet["h3"].cut_off():
        run = doctor("h3", file)
    assert run.status == 1 and "No host answered" in run.out and "next: ssh me@h3" in run.out


def test_another_chain_and_a_contract_that_is_not_there(saturday: Saturday, tmp_path: Path) -> None:
    wrong = replace(saturday.net, chain_id="1", runtime="0x" + "99" * 20)
    doctor, file = doctor_of(saturday.fleet, tmp_path), _file(saturday, tmp_path)
    text = (
        (tmp_path / file)
        .read_text()
        .replace(saturday.network.runtime, wrong.runtime)
        .replace(f"chain_id: {saturday.net.chain_id}", "chain_id: 7")
    )
    (tmp_path / file).write_text(text)
    run = doctor("h1", file, "--json")
    assert run.bad() >= {"chain", "code", "rpc", "runtime"}
    assert NET.runtime not in run.out
