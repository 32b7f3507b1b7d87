"""`cortops doctor`: one page, exit statuses, and what is asked of whom."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB, bare_hosts, put_in_place, silence
from tests.surfaces.fleet.ailing import NODE_FAULTS
from tests.surfaces.fleet.stage import NOW, fleet, installed, network_replies

from cortops.cli import main
from cortops.cli.common import Common
from cortops.cli.doctor import as_json, as_text, machine_here, split, status_of, subject_of
from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import Finding, Seen, findings
from cortops.words.errors import BadInput, UnknownName
from cortops.words.question import Question, Shell


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home and a folder of its own, with lab.yaml in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("doctor", *words))
    return int(ended.value.code or 0)


def judged(seen: Seen) -> tuple[Finding, ...]:
    return findings(examined.ailments(seen), network_replies(), NOW)


def test_a_well_fleet_is_one_short_page() -> None:
    seen = fleet()
    found = judged(seen)
    lines = as_text(seen, found).splitlines()
    assert lines[0] == f"lab · 1 node on 1 host · asked 08:00:00 UTC (now) · 0 bad, 0 not known, {len(found)} well"
    assert [line.split("    ")[0] for line in lines[1:-1]] == ["this machine", "hosts", "nodes", "binaries", "logs", "network"]
    assert lines[-1] == "All that could be seen is well. 0 files written.    next: cortops nodes"
    assert status_of(seen, found) == 0
    assert len(as_text(seen, found, every=True).splitlines()) == len(found) + 8


def test_each_red_line_ends_with_its_cure() -> None:
    node, fields, *_ = NODE_FAULTS["stopped"]
    seen = fleet(installed(**node), **fields)
    red = [line for line in as_text(seen, judged(seen)).splitlines() if line.startswith("■")]
    assert red == [
        "■ miner/m1  process  does not run: systemd says failed, exit-code    next: ssh me@h1 'sudo systemctl start cortensor.service'"
    ]
    assert status_of(seen, judged(seen)) == 3


def test_many_alike_are_told_in_one_line() -> None:
    nodes = [
        installed(
            running=False, env_file=f"/e{n}", unit=f"cortensor-{n}.service", address=f"0x{n:040x}", log=f"/l{n}", env={"CHAINID": "31338"}
        )
        for n in range(1, 9)
    ]
    seen = fleet(*nodes)
    lines = as_text(seen, judged(seen)).splitlines()
    assert len([line for line in lines if " process " in line]) == 3 and "■ 5 more process: see --all" in lines
    assert len([line for line in as_text(seen, judged(seen), every=True).splitlines() if " process " in line]) == 8


def test_the_shape_of_json() -> None:
    rows = as_json(judged(fleet()))
    assert all(set(row) == {"entity", "check", "outcome", "text", "cure", "evidence"} for row in rows)
    assert {row["outcome"] for row in rows} == {"ok"} and any(row["evidence"] for row in rows)


def test_when_no_host_answers_our_own_eyes_failed() -> None:
    seen = fleet(host={"found": None, "look": None, "offset": None, "why": "timed out"})
    assert status_of(seen, judged(seen)) == 1
    assert as_text(seen, judged(seen)).splitlines()[-1].startswith("No host answered")
    both = replace(seen, hosts=(*seen.hosts, *fleet().hosts))
    assert status_of(both, judged(both)) == 3, "one silent host is no failure, and not well either"


@pytest.mark.parametrize(
    ("words", "file", "hosts"),
    [
        ((), None, ()),
        (("h1", "lab.yaml"), "lab.yaml", ("h1",)),
        (("lab.yaml",), "lab.yaml", ()),
        (("me@h1", "h2"), None, ("me@h1", "h2")),
    ],
)
def test_the_file_is_known_by_its_ending(words: tuple[str, ...], file: str | None, hosts: tuple[str, ...]) -> None:
    assert split(words) == (Path(file) if file else None, hosts)


def test_hosts_come_from_the_file_by_name_or_by_how_they_are_reached() -> None:
    subject, hosts = subject_of(["h2", "lab.yaml"], Common(), sudo=False)
    assert subject.name == "lab" and subject.ways == {"h2": "ssh -p 2222 me@h2.lab.example"} and subject.sudo == {"h2"}
    assert set(hosts) == {"h2"} and set(subject.declared) == set()
    assert set(subject_of(["me@h1.lab.example", "lab.yaml"], Common(), sudo=False)[1]) == {"h1"}
    with pytest.raises(UnknownName, match="h9 is no host"):
        subject_of(["h9", "lab.yaml"], Common(), sudo=False)


def test_ssh_names_need_no_file() -> None:
    subject, hosts = subject_of(["ops@box.example", "local"], Common(), sudo=True)
    assert subject.env is None and subject.name == "hosts"
    assert subject.ways == {"box": "ssh ops@box.example", "here": ""} and subject.sudo == {"box"} and hosts["here"].local
    with pytest.raises(BadInput, match="no host given"):
        subject_of([], Common(), sudo=False)
    with pytest.raises(BadInput, match="is no SSH host"):
        subject_of(["no host"], Common(), sudo=False)


def test_only_the_permissions_of_our_keys_are_looked_at(own_place: Path) -> None:
    folder = own_place / ".ssh"
    folder.mkdir()
    for name, mode in (("id_ed25519", 0o600), ("id_rsa", 0o644), ("id_rsa.pub", 0o644), ("known_hosts", 0o644)):
        (folder / name).touch(mode)
        (folder / name).chmod(mode)
    (folder / "id_ed25519").chmod(0o000)
    seen = machine_here("", 1)
    assert seen.keys == {str(folder / "id_ed25519"): 0, str(folder / "id_rsa"): 0o644} and not seen.agent


def test_a_whole_run_asks_hosts_twice_and_the_network_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = put_in_place(monkeypatch, bare_hosts)
    assert run("lab.yaml") == 3
    said = capsys.readouterr()
    assert "a-key-in-the-path" not in said.out + said.err
    assert "■ miner/m07" in said.out and "its host has no such node    next: cortops discover me@h1.lab.example" in said.out
    assert said.err.count("Traceback") == 0
    by_host = [question.id for question in asked if isinstance(question, Shell) and question.target == "h2"]
    assert by_host == ["discover:h2", "examine:h2", "examine-nodes:h2"]
    assert [question.id for question in asked if not isinstance(question, Shell)] == ["chain-id:0", "head:0", f"runtime:0x{'b2' * 20}"]


def test_no_answer_at_all_is_exit_1_and_json_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    put_in_place(monkeypatch, silence)
    assert run("lab.yaml", "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    silent = [row for row in rows if row["entity"] == "host/h1"]
    assert [(row["check"], row["outcome"], row["cure"]) for row in silent] == [("answers", "inconclusive", "ssh me@h1.lab.example")]
    assert "refused the connection" in silent[0]["text"]
    assert not [row for row in rows if row["outcome"] == "bad"]


def test_a_host_that_talks_nonsense_is_unknown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nonsense(question: Question) -> str | None:
        return "motd: welcome\n\x00\x01" if isinstance(question, Shell) else None

    put_in_place(monkeypatch, nonsense)
    assert run("h1", "lab.yaml", "--json") in (0, 3)
    rows = json.loads(capsys.readouterr().out)
    assert "bad" not in {row["outcome"] for row in rows if row["entity"].startswith("host/")}
