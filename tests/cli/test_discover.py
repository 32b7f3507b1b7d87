"""`cortops discover`: which hosts are meant, what people and programs get, and the file that is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.surfaces.fleet.nodes_found import ENV, address, host, node

from cortops.cli import discover as verb
from cortops.cli import main
from cortops.cli.discover import wanted_hosts, write_file
from cortops.cli.discovered import Found, Written, as_json, as_text, last_line, span
from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.environment.model import Host
from cortops.environment.networks import known_networks
from cortops.environment.reason import Invalid
from cortops.surfaces.fleet.found.discover import HostFound, question_id
from cortops.surfaces.fleet.found.flags import flags
from cortops.surfaces.fleet.found.naming import name_nodes
from cortops.surfaces.fleet.found.networks import meant, most_meant
from cortops.words.errors import BadInput
from cortops.words.question import Answer, NoAnswer, Silence

RECORDS = known_networks()
NOW = 1_700_003_600.0  # an hour after the nodes have started
DEVNET_7 = {**ENV, "CONTRACT_ADDRESS_RUNTIME": "0x8d67608D0F674F359DE0e420857739ECBDeb6B90"}
FILE = """\
format: 1
environment: lab
owners: {default: ops@lab.example}
network: testnet-0
hosts:
  alpha: {ssh: me@h1.example, sudo: true}   # the old one
  here: {local: true}
nodes: {}
"""


def found_on(*hosts: HostFound, failures: dict[str, str] | None = None, known: Environment | None = None) -> Found:
    nodes = [one for each in hosts for one in each.nodes]
    names = name_nodes(nodes, verb._identities(known))
    ways = {each.host: f"ssh me@{each.host}.example" for each in hosts}
    return Found(
        at=NOW,
        hosts=hosts,
        failures=failures or {},
        names=names,
        ways=ways,
        meant=most_meant(told for one in nodes if (told := meant(one.env, RECORDS)).runtime),
        flags=flags(hosts, names, ways, RECORDS),
        records=RECORDS,
    )


def env_of(text: str) -> Environment:
    result = load(text, "lab.yaml")
    assert not isinstance(result, Invalid), result.text
    return result


def test_hosts_get_short_names_or_those_that_they_have() -> None:
    known = env_of(FILE)
    asked = wanted_hosts(["me@h1.example", "me@h1.other", "root@10.0.0.7:2222", "local", "me@h1.example"], known, sudo=False)
    assert {name: (one.ssh, one.sudo, one.local) for name, one in asked.items()} == {
        "alpha": ("me@h1.example", True, False),
        "h1": ("me@h1.other", False, False),
        "10-0-0-7": ("root@10.0.0.7:2222", False, False),
        "here": (None, False, True),
    }
    assert list(wanted_hosts(["a.x", "a.y", "A.x.z", "me@a.x"], None, sudo=False)) == ["a", "a-y", "a-x", "a-2"]
    assert wanted_hosts(["h1", "local"], None, sudo=True) == {"h1": Host(ssh="h1", sudo=True), "here": Host(local=True)}


def test_another_user_of_a_machine_is_the_same_host_and_the_file_keeps_its_own(tmp_path: Path) -> None:
    known, file = env_of(FILE), tmp_path / "lab.yaml"
    asked = wanted_hosts(["plain@h1.example"], known, sudo=False)
    assert asked == {"alpha": Host(ssh="plain@h1.example")}
    file.write_text(FILE)
    write_file(file, found_on(host(node(1, host="alpha")), known=known), asked, known, "")
    assert "alpha: {ssh: me@h1.example, sudo: true}   # the old one" in file.read_text()


def test_without_hosts_those_of_the_file_are_meant() -> None:
    assert list(wanted_hosts([], env_of(FILE), sudo=False)) == ["alpha", "here"]
    with pytest.raises(BadInput, match=r"no host given, and there is no \./cortops\.yaml"):
        wanted_hosts([], None, sudo=False)
    with pytest.raises(BadInput, match="is no SSH host"):
        wanted_hosts(["-oProxyCommand=x"], None, sudo=False)


def test_what_people_read() -> None:
    text = as_text(found_on(host(node(1), node(2, running=False)), failures={"h9": "h9: no answer from h9 port 22"}), None)
    assert text.splitlines() == [
        "h1 · Debian GNU/Linux 12 (bookworm) · x86_64 · systemd · asked as root",
        "  NODE   RUNS     SHAPE    STATE                              BINARY  ADDRESS      ENV FILE",
        "  h1-m1  minerv4  ansible  runs since 14 Nov 22:13 UTC (1 h)  9a9a9a  0xa000…0001  /home/deploy/.cortensor/.env-1",
        "  h1-m2  minerv4  ansible  stopped                            9a9a9a  0xa000…0002  /home/deploy/.cortensor/.env-2",
        "",
        "h9: no answer from h9 port 22",
        "",
        "network: testnet-0 (Arbitrum Sepolia, chain 421614), by CONTRACT_ADDRESS_RUNTIME 0xa438cE…; 2 of 2 nodes",
        "",
        "next: the same command with --write FILE, for an environment file that says all this",
        "",
        "2 nodes on 1 host, 0 files written there, 0 keys read here",
    ]


def test_flags_stand_below_each_with_its_next_command() -> None:
    lines = as_text(found_on(host(node(1, runs="minerv2", env_mode="644"))), None).splitlines()
    at = lines.index("!  h1-m1: starts as minerv2, an old role; today's is minerv4")
    assert lines[at + 1] == "   next: ssh -t me@h1.example sudo systemctl edit --full cortensor-1.service"
    assert lines[at + 2].startswith("!  h1-m1: every user of h1 may read the env file")


@pytest.mark.parametrize(
    ("nodes", "hosts", "line"),
    [(0, 1, "0 nodes on 1 host"), (1, 1, "1 node on 1 host"), (3, 3, "3 nodes on 3 hosts")],
)
def test_the_last_line(nodes: int, hosts: int, line: str) -> None:
    found = found_on(*(host(*([node(1, host=f"h{n}")] if n <= nodes else []), host=f"h{n}") for n in range(1, hosts + 1)))
    assert last_line(found) == f"{line}, 0 files written there, 0 keys read here"


def test_an_empty_host_and_one_that_tells_little() -> None:
    assert "  no node was found" in as_text(found_on(host()), None)
    blind = node(1, env={}, kept={}, address="", env_sha256="", env_mode="", running_sha256="", binary_sha256="", binary_kind="unreadable")
    text = as_text(found_on(host(blind)), None)
    assert "unreadable not told /home/deploy/.cortensor/.env-1 (not read)" in " ".join(text.split())
    assert "network: unknown, since no env file could be read" in text


def test_what_programs_get() -> None:
    told = as_json(found_on(host(node(1)), failures={"h9": "gone"}), Written(file="lab.yaml", state="new", added=("h1-m1",)))
    again = json.loads(json.dumps(told))
    assert set(again) == {"asked_at", "network", "hosts", "nodes", "flags", "failures", "written", "files_written_there", "keys_read_here"}
    assert again["network"]["name"] == "testnet-0" and again["failures"] == [{"host": "h9", "why": "gone"}]
    (one,) = again["nodes"]
    assert (one["node"], one["network"], one["shape"], one["address"]) == ("h1-m1", "testnet-0", "ansible", address(1))
    assert {field.name for field in dataclasses.fields(node(1))} <= set(one)
    assert (again["hosts"][0]["host"], again["hosts"][0]["nodes"], again["written"]["state"]) == ("h1", 1, "new")


def test_replies_are_read_and_a_silent_host_is_a_failure() -> None:
    hosts = {"h1": Host(ssh="me@h1:2222"), "h2": Host(ssh="h2")}
    text = b"@host\th1\nuid\t0\n@end\t1\n"
    replies = {
        question_id("h1"): Answer(question=question_id("h1"), at=NOW, elapsed_s=1, status=0, body=text),
        question_id("h2"): NoAnswer(question=question_id("h2"), at=NOW, elapsed_s=1, silence=Silence.LOST, why="h2: refused"),
    }
    found = verb.found_in(hosts, replies, None, at=NOW, records=RECORDS)
    assert [one.host for one in found.hosts] == ["h1"] and found.failures == {"h2": "h2: refused"}
    assert found.ways == {"h1": "ssh -p 2222 me@h1", "h2": "ssh h2"}


def test_a_new_file_is_valid_and_a_second_look_changes_nothing(tmp_path: Path) -> None:
    file, hosts = tmp_path / "Lab One.yaml", {"h1": Host(ssh="me@h1.example", sudo=True)}
    found = found_on(host(*(node(number) for number in range(1, 4))))
    first = write_file(file, found, hosts, None, "")
    assert (first.state, first.added, first.left) == ("new", ("h1-m1", "h1-m2", "h1-m3"), ())
    env = load_file(file)
    assert isinstance(env, Environment)
    assert (env.name, env.network.chain_id, env.hosts["h1"].sudo, len(env.installed)) == ("lab-one", 421614, True, 3)
    before, stamp = file.read_bytes(), file.stat().st_mtime_ns
    again = write_file(file, found_on(host(*(node(number) for number in range(1, 4))), known=env), hosts, env, "")
    assert (again.state, again.added, again.changed) == ("same", (), ())
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before, stamp)
    assert f"{file} says all this already; it was not changed." in as_text(found, again)


def test_an_own_file_is_completed_and_what_is_gone_is_told(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(FILE)
    known = env_of(FILE)
    hosts = wanted_hosts(["me@h1.example"], known, sudo=False)
    found = found_on(host(node(1, host="alpha"), node(2, host="alpha")), known=known)
    done = write_file(file, found, hosts, known, "")
    assert (done.state, done.added) == ("changed", ("alpha-m1", "alpha-m2"))
    assert "# the old one" in file.read_text()
    known = env_of(file.read_text())
    done = write_file(file, found_on(host(node(2, host="alpha")), known=known), hosts, known, "")
    assert (done.state, done.left) == ("same", ("alpha-m1 is in the file and no longer on alpha",))
    known = env_of(file.read_text())
    done = write_file(file, found_on(host(node(2, host="alpha"), complete=False), known=known), hosts, known, "")
    assert done.left == (), "an answer that was cut off says nothing of what is gone"


def test_one_file_holds_one_network(tmp_path: Path) -> None:
    hosts = {"h1": Host(ssh="h1")}
    found = found_on(host(node(1), node(2), node(3, env=DEVNET_7), node(4, env={})))
    assert write_file(tmp_path / "a.yaml", found, hosts, None, "").added == ("h1-m1", "h1-m2", "h1-m4")
    assert write_file(tmp_path / "b.yaml", found, hosts, None, "devnet-7").added == ("h1-m3",)
    env = load_file(tmp_path / "b.yaml")
    assert isinstance(env, Environment) and env.network.contracts.runtime == DEVNET_7["CONTRACT_ADDRESS_RUNTIME"]
    with pytest.raises(BadInput, match="no node of testnet-1a was found"):
        write_file(tmp_path / "c.yaml", found, hosts, None, "testnet-1a")
    assert not (tmp_path / "c.yaml").exists()


def test_without_any_env_file_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="of none could its env file be read") as caught:
        write_file(tmp_path / "a.yaml", found_on(host(node(1, env={}))), {"h1": Host(ssh="h1")}, None, "")
    assert "--sudo" in caught.value.next
    assert not (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0 s"), (59, "59 s"), (90, "1 min"), (7200, "2 h"), (200_000, "2 d")])
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_no_host_and_no_file_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["discover"])
    assert ended.value.code == 2
    assert "next:  Name hosts: cortops discover USER@HOST ..." in capsys.readouterr().err


def test_a_file_with_mistakes_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("format: 1\n")
    with pytest.raises(SystemExit) as ended:
        main(["discover", "local", "--write", "lab.yaml"])
    assert ended.value.code == 2
    assert "cortops validate lab.yaml" in capsys.readouterr().err


@pytest.mark.real
def test_this_machine_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["discover", "local", "--json"])
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)
    assert [one["host"] for one in told["hosts"]] == ["here"] and told["failures"] == []
    assert told["hosts"][0]["complete"] is True
