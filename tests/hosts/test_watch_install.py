"""A watch is installed on a host: it sees a node stop on another one, by a key that can do nothing else, and goes without a trace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.hosts.operator import Operator, operator
from tests.hosts.rounds import rounds
from tests.hosts.saturday import PACE
from tests.hosts.shapes import Net, ansible, install
from tests.hosts.test_discover import Run, tree

from cortops.deploy.observing import WatchPlace, questions_of
from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.targets.bootstrap import opening
from cortops.targets.shell import program
from cortops.testing.cortensord import GOOD, compiled
from cortops.testing.cortensord.network import cortensor_network, wait_until
from cortops.testing.hosts import Fleet, SystemHost, hosts

pytestmark = [pytest.mark.real, pytest.mark.proof]

FILE = "watched.yaml"
PLACE = WatchPlace(environment="watched", host="w1", port=8500)
KEYS = "/home/me/.ssh/authorized_keys"
NODES = (ansible("w1", 1, env=PACE), ansible("w2", 1, env=PACE), ansible("w2", 2, env=PACE))
STOPPED, ENTITY = "cortensor-2.service", "miner/w2-m2"
SEEN_WITHIN_S = 90.0
WRITTEN_ALL_THE_TIME = ("/var/log", "/var/lib/systemd", "/var/lib/sudo", "/tmp")
HOOK = "http://127.0.0.1:8600/hook"  # on the watch's own host
_SINK = (
    "import http.server as h\n"
    "class H(h.BaseHTTPRequestHandler):\n"
    "    def do_POST(self):\n"
    "        body = self.rfile.read(int(self.headers['content-length']))\n"
    "        open('/run/hooked', 'ab').write(body + b'\\n')\n"
    "        self.send_response(200); self.end_headers()\n"
    "h.HTTPServer(('127.0.0.1', 8600), H).serve_forever()\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """before: what lay on each host. plan, done: of the install."""

    fleet: Fleet
    me: Operator
    before: dict[str, set[str]]
    plan: Run
    done: Run

    @property
    def env(self) -> Environment:
        env = load_file(self.me.home / FILE)
        assert isinstance(env, Environment)
        return env

    def states(self) -> dict[str, str]:
        """Entity -> state, as the watch says."""
        text = self.fleet["w1"].do("curl -sS http://127.0.0.1:8500/status.json")
        return {one["entity"]: one["state"] for one in json.loads(text)["entities"]}

    def messages(self) -> list[dict[str, Any]]:
        """What reached the channel."""
        return [json.loads(line) for line in self.fleet["w1"].run("cat /run/hooked").stdout.splitlines()]

    def by_key(self, words: str, *, data: bytes = b"") -> subprocess.CompletedProcess[str]:
        """What the watch's key does for whoever holds it; words: of ssh, the host and the command among them."""
        ssh = f"ssh -F {PLACE.ssh_config} -i {PLACE.key} -o UserKnownHostsFile={PLACE.known_hosts} -o BatchMode=yes"
        return self.fleet["w1"].run(f"timeout 20 {ssh} {words}", data=data)


def lay(host: SystemHost) -> set[str]:
    """All that lies there, but for what is written all the time, and the times of folders in which something came and went."""
    logs = tuple(node.log for node in NODES)
    folders = (" /var/lib", " /home/me/.ssh", f" {KEYS}", " /etc/systemd/system", ".target.wants")
    return {line for line in tree(host, (*WRITTEN_ALL_THE_TIME, *logs)) if not line.endswith(folders)}


def hook(me: Operator, fleet: Fleet) -> None:
    """A channel whose service listens on the watch's own host."""
    fleet["w1"].put("/run/sink.py", _SINK.encode())
    fleet["w1"].do("systemd-run --quiet --unit=sink python3 /run/sink.py")
    argv = [me.python, "-m", "cortops.cli", "notify", "add", "webhook", FILE, "--no-test"]
    done = subprocess.run(argv, input=f"{HOOK}\n", text=True, cwd=me.home, env=me._environ, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def watched(nothing_left_behind: None, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home, cortensord = tmp_path_factory.mktemp("home"), compiled(GOOD, programs)
    addresses = [node.address for node in NODES]
    with hosts(names=("w1", "w2")) as fleet, cortensor_network(fleet.gateway) as network:
        net = Net(rpc_url=network.url, chain_id=str(network.chain_id), runtime=network.runtime)
        network.fund(*addresses)
        network.register(*addresses)
        with ThreadPoolExecutor(len(fleet)) as threads:
            on = {host.name: [node for node in NODES if node.host == host.name] for host in fleet}
            done = [threads.submit(install, host, on[host.name], cortensord.read_bytes(), net) for host in fleet]
        for each in done:
            each.result()
        with rounds(network, addresses):
            me = operator(fleet, home)
            assert me("discover", "me@w1", "me@w2", "--sudo", "--write", FILE).status == 0
            hook(me, fleet)
            before = {host.name: lay(host) for host in fleet}
            plan = me("watch", FILE, "--install", "w1")
            assert {host.name: lay(host) for host in fleet} == before, "a plan writes nothing"
            made = me("watch", FILE, "--install", "w1", "--plan", plan.out.split("digest ")[1][:12])
            yield Watched(fleet=fleet, me=me, before=before, plan=plan, done=made)


def test_it_is_shown_before_and_then_looks_at_every_node(watched: Watched) -> None:
    plan, done = watched.plan, watched.done
    assert (plan.status, done.status) == (3, 0), plan.err + done.out + done.err
    assert "authorized-key:me:cortops:watch:watched:w1" in plan.out and "It tells webhook." in plan.out
    assert "the watch of watched runs on w1, and looks at 1 other host." in done.out
    again = watched.me("watch", FILE, "--install", "w1")
    assert (again.status, again.out.splitlines()[0].partition(":")[0]) == (0, "Nothing to do"), again.out
    wait_until(lambda: set(watched.states().values()) == {"ok"}, SEEN_WITHIN_S)
    assert set(watched.states().values()) == {"ok"}, watched.fleet["w1"].do("curl -sS http://127.0.0.1:8500/nodes.json")
    assert watched.messages() == [], "all is well, so nobody is told anything"


def test_a_node_that_stops_is_told_once_and_so_is_its_end(watched: Watched) -> None:
    there = watched.fleet["w2"]
    there.do(f"systemctl stop {STOPPED}")
    wait_until(watched.messages, SEEN_WITHIN_S)
    assert watched.states()[ENTITY] == "down"
    assert [(one["entity"], one["state"]) for one in watched.messages()] == [(ENTITY, "down")]
    watched.fleet["w1"].do("systemctl restart cortops-watch-watched-watch.service")
    there.do(f"systemctl start {STOPPED}")
    wait_until(lambda: len(watched.messages()) > 1, SEEN_WITHIN_S)
    assert [one["state"] for one in watched.messages()] == ["down", "ok"], "also over a restart of the watch"


def test_its_key_stays_there_and_only_root_reads_it(watched: Watched) -> None:
    host = watched.fleet["w1"]
    assert host.do(f"stat -c '%U %a' {PLACE.key} {PLACE.root}").split() == ["root", "600", "root", "700"]
    private = host.do(f"cat {PLACE.key}").splitlines()[1]
    assert watched.fleet["w2"].run(f"grep -rlF {private} /home ~root /etc /var/lib").stdout == ""
    assert private not in "".join(path.read_text("utf-8", "replace") for path in watched.me.home.rglob("*.json*"))


def test_its_key_asks_what_is_listed_and_can_do_nothing_else(watched: Watched) -> None:
    listed = questions_of(watched.env)["w2"][0]
    asked = watched.by_key("w2", data=opening(program([listed]), 10.0))
    assert asked.returncode == 0 and "% /" in asked.stdout, "its own question"
    evil = opening("echo hacked >/tmp/hacked; id", 10.0)
    for what, data, words in (
        ("another program", evil, "w2"),
        ("a command", b"", "w2 id"),
        ("a command and a program", evil, "w2 sh"),
        ("its own question with more", opening(program([listed]) + "\nid", 10.0), "w2"),
        ("a terminal", b"", "-tt w2 id"),
        ("files", b"", "-s w2 sftp"),
    ):
        done = watched.by_key(words, data=data)
        assert done.returncode != 0 and "uid=" not in done.stdout, what
    for forwards in ("-W 127.0.0.1:22 w2", "-R 9998:127.0.0.1:22 -o ExitOnForwardFailure=yes w2"):
        done = watched.by_key(forwards, data=b"")
        assert done.returncode != 0 and ("prohibited" in done.stderr or "forwarding failed" in done.stderr), done.stderr
    assert watched.fleet["w2"].run("cat /tmp/hacked").returncode != 0
    assert watched.by_key("-o User=root w2 id").returncode == 255, "it is nobody else there"


def test_nothing_of_it_is_left_when_it_goes(watched: Watched) -> None:
    watched.fleet["w1"].do(f"rm -r {PLACE.root}/manifests")  # as after an install that was killed before its end
    assert watched.me("watch", FILE, "--install", "w1").status == 3, "there is something left to do: to record it"
    plan = watched.me("watch", FILE, "--uninstall", "w1")
    assert plan.status == 3 and "cortops watch --uninstall w1" in plan.out
    done = watched.me("watch", FILE, "--uninstall", "w1", "--yes")
    assert done.status == 0, done.out + done.err
    for host in watched.fleet:
        assert host.run("ls /var/lib/cortops").returncode != 0
        assert host.do("systemctl list-units --all 'cortops*' --no-legend") == ""
        assert "cortops" not in host.do(f"cat {KEYS}")
        assert lay(host) ^ watched.before[host.name] == set()
    assert watched.me("watch", FILE, "--uninstall", "w1").out.startswith("Nothing to do")
