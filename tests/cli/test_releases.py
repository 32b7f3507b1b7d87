"""`cortops releases` and `cortops releases add` as people get them, what they refuse, and what they write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cortops.cli import main, releases
from cortops.cli.release_added import ADD_MAX
from cortops.cli.releases import as_json, as_text
from cortops.environment.load import load_file
from cortops.environment.model import Host
from cortops.environment.reason import Invalid
from cortops.surfaces.fleet.builds.binaries import Floor, Known, NodeBinary, Page, Remark, Standing
from cortops.surfaces.fleet.found.discover import question_id
from cortops.testing.cortensord import GOOD, OLD, compiled, lfs_pointer, sha256, why_not
from cortops.words.question import Answer, NoAnswer, Silence

MACHINE = os.uname().machine
NOW = 1_800_000_000.0 + 21_731  # 14:02:11 UTC
APRIL, JAN, OTHER = ("3f2a1b" + "0" * 58, "1a2b3c" + "0" * 58, "9f8e7d" + "0" * 58)
KNOWN = {
    APRIL: Known(sha256=APRIL, date="2026-04-22", name="april", source="installer@0c55ced"),
    JAN: Known(sha256=JAN, date="2026-01-15", source="installer@1234567"),
}
WELL = tuple(NodeBinary(node=f"m{number}", host="h1", standing=Standing.OK, running=APRIL, on_disk=APRIL) for number in range(1, 10))
BELOW = NodeBinary(
    node="m10",
    host="h2",
    standing=Standing.BELOW,
    running=JAN,
    on_disk=APRIL,
    wants="april",
    remarks=(Remark("below", "m10 runs 1a2b3c (2026-01-15), older than the minimum, 2026-03-01", "cortops plan"),),
)
PAGE = Page(
    environment="lab",
    file="lab.yaml",
    at=NOW,
    nodes=(*WELL, BELOW),
    known=KNOWN,
    floor=Floor(date="2026-03-01"),
    silent={},
    strays={},
)
LAB = """format: 1
environment: lab
owners: {default: ops@lab.example}  # all of us
hosts:
  h1: {ssh: ops@h1.lab.example}
  h2: {ssh: ops@h2.lab.example, sudo: true}
network: testnet-0
nodes:
  m1: {program: cortensord, role: miner, runs: minerv4, host: h1, shape: systemd, unit: cortensor.service,
       env_file: /home/deploy/.cortensor/.env, log: /var/log/cortensord.log, binary: /usr/local/bin/cortensord}
  m2: {program: cortensord, role: miner, runs: minerv4, host: h2, shape: systemd, unit: cortensor.service,
       env_file: /home/deploy/.cortensor/.env, log: /var/log/cortensord.log, binary: /usr/local/bin/cortensord}
"""


def test_a_line_a_build_what_wants_attention_first_and_the_next_command() -> None:
    assert as_text(PAGE, {}).splitlines() == [
        "10 nodes on 2 hosts · lab · asked 14:02:11 UTC (now) · minimum 2026-03-01",
        "   BUILD                NODES  RELEASE  FROM               WHICH",
        "■  1a2b3c (2026-01-15)  1      -        installer@1234567  m10, below the minimum",
        "   3f2a1b (2026-04-22)  9      april    installer@0c55ced  m1, m2, m3, m4, m5, m6 and 3 more",
        "!  m10 runs 1a2b3c (2026-01-15), older than the minimum, 2026-03-01",
        "   next: cortops plan",
    ]


def test_all_well_is_one_sentence() -> None:
    assert (
        as_text(replace(PAGE, nodes=WELL), {}).splitlines()[-1] == "Every node runs a known build, none older than the minimum, 2026-03-01."
    )
    assert as_text(replace(PAGE, nodes=WELL, floor=None), {}).splitlines()[-1] == "Every node runs a known build."


def test_what_nobody_has_named_is_unknown_and_how_to_name_it_is_told() -> None:
    unknown = replace(WELL[0], standing=Standing.UNKNOWN, running=OTHER)
    unread = replace(WELL[1], standing=Standing.UNSEEN, running="")
    stopped = replace(WELL[2], standing=Standing.STOPPED, running="")
    lines = as_text(replace(PAGE, nodes=(unknown, unread, stopped), floor=None), {}).splitlines()
    assert lines[0].endswith("no minimum is declared")
    assert [line.split()[:3] for line in lines[2:5]] == [["◌", "9f8e7d", "1"], ["◌", "not", "read"], ["stopped", "1", "-"]]
    assert lines[5].startswith("next: cortops releases lab.yaml --known FOLDER")
    assert lines[6].startswith("next: cortops releases lab.yaml --sudo")


def test_many_alike_are_counted() -> None:
    nodes = tuple(replace(BELOW, node=f"m{number}") for number in range(9))
    text = as_text(replace(PAGE, nodes=nodes), {})
    assert text.count("older than the minimum") == 3
    assert "!  6 more such (below): cortops releases lab.yaml --json names each" in text


def test_a_silent_host_and_nodes_that_the_file_has_not_are_told() -> None:
    lines = as_text(replace(PAGE, nodes=WELL, silent={"h9": "connection timed out"}, strays={"h1": 2}), {"h9": "ssh ops@h9"}).splitlines()
    assert lines[-4:] == [
        "!  h9 gave no answer: connection timed out",
        "   next: ssh ops@h9",
        "   h1 has 2 nodes that lab.yaml does not name",
        "   next: cortops discover --write lab.yaml",
    ]


def test_the_shape_for_programs() -> None:
    shape = as_json(replace(PAGE, strays={"h1": 2}))
    assert (shape["minimum"], shape["outside"]) == ({"date": "2026-03-01", "release": None}, ["m10"])
    builds: Any = shape["builds"]
    assert [(one["sha256"], one["standing"], one["date"], one["release"], len(one["nodes"])) for one in builds] == [
        (JAN, "below", "2026-01-15", None, 1),
        (APRIL, "ok", "2026-04-22", "april", 9),
    ]
    nodes: Any = shape["nodes"]
    assert nodes[-1] == {
        "node": "m10",
        "host": "h2",
        "standing": "below",
        "running": JAN,
        "file": APRIL,
        "differs": True,
        "declared": "april",
        "remarks": [{"kind": "below", "text": BELOW.remarks[0].text, "next": "cortops plan"}],
    }
    assert (shape["silent"], shape["not_in_the_file"]) == ([], {"h1": 2})
    assert as_json(replace(PAGE, floor=None))["minimum"] is None


class Verb:
    """`cortops releases …` in a folder with lab.yaml as cortops.yaml; keeps what was said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "cortops.yaml"
        self.file.write_text(LAB)
        self.folder, self._capsys = folder, capsys
        self.err = ""

    def __call__(self, *words: str, status: int = 0) -> str:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(("releases", *words))
        said = self._capsys.readouterr()
        self.err = said.err
        assert ended.value.code == status, said.out + said.err
        return said.out

    def refused(self, *words: str) -> str:
        before = self.file.read_text()
        assert self(*words, status=2) == ""
        assert self.file.read_text() == before and "  next:  " in self.err
        return self.err


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORTOPS_HOME", str(tmp_path / "cache"))
    return Verb(tmp_path, capsys)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if why := why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("programs")
    return compiled(OLD, folder), compiled(GOOD, folder)


SILENT = NoAnswer(question="discover", at=NOW, elapsed_s=1.0, silence=Silence.TIMEOUT, why="connection timed out")
EMPTY = Answer(question="discover", at=NOW, elapsed_s=1.0, status=0, body=b"")


@pytest.mark.parametrize(("answering", "status"), [((), 1), (("h1",), 3)])
def test_a_host_that_keeps_silent_wants_attention_and_all_of_them_are_a_failure(
    verb: Verb, monkeypatch: pytest.MonkeyPatch, answering: tuple[str, ...], status: int
) -> None:
    async def with_fleet(hosts: Mapping[str, Host], common: Any, then: Callable[..., Any]) -> Any:
        assert {name: host.sudo for name, host in hosts.items()} == {"h1": True, "h2": True}
        return {question_id(name): EMPTY if name in answering else SILENT for name in hosts}, NOW

    monkeypatch.setattr(releases, "with_fleet", with_fleet)
    shape = json.loads(verb("--sudo", "--json", status=status))
    assert [one["host"] for one in shape["silent"]] == [name for name in ("h1", "h2") if name not in answering]
    assert {node["standing"] for node in shape["nodes"]} == {"unseen"}


def test_a_file_without_such_nodes_is_told_how_to_get_some(verb: Verb) -> None:
    verb.file.write_text(LAB.partition("nodes:")[0] + "nodes: {}\n")
    assert "declares no node that runs cortensord" in verb.refused()


def test_a_program_gets_a_name_and_lies_ready(verb: Verb, programs: tuple[Path, Path]) -> None:
    _, good = programs
    out = verb("add", "april", str(good))
    digest = sha256(good)
    assert out.splitlines() == [
        f"april is cortensord {digest[:6]} (2026-04-22): 0.8 MB, for {MACHINE}, from file:{good.name}, its file is kept for an apply",
        "cortops.yaml: 1 added.",
        "next: cortops adopt cortops.yaml, then: cortops upgrade april",
    ]
    assert (verb.folder / "cache" / "artifacts" / digest).read_bytes() == good.read_bytes()
    text = verb.file.read_text()
    assert text.startswith(LAB), "nothing else of the file has changed"
    env = load_file(verb.file)
    assert not isinstance(env, Invalid)
    april = env.programs["april"]
    assert (april.sha256, april.size, april.date, april.source, april.machine) == (
        digest,
        good.stat().st_size,
        "2026-04-22",
        f"file:{good.name}",
        MACHINE,
    )
    assert "it was not changed" in verb("add", "april", str(good))
    assert verb.file.read_text() == text


def test_what_is_known_by_its_hash_is_completed_when_its_file_comes(verb: Verb, programs: tuple[Path, Path]) -> None:
    old, good = programs
    (verb.folder / "SHA256SUMS").write_text(f"{sha256(old)}  2026-03-02  cortensord\n{sha256(good)}  cortensord\n")
    shape = json.loads(verb("add", "c", "SHA256SUMS", "--json"))
    undated = f"c-{sha256(good)[:6]}"
    assert [(one["name"], one["state"], one["kept"], one.get("size")) for one in shape["releases"]] == [
        ("c-2026-03-02", "added", False, None),
        (undated, "added", False, None),
    ]
    assert "1 completed." in verb("add", undated, str(good), "--url", "https://files.lab.example/{sha256}")
    env = load_file(verb.file)
    assert not isinstance(env, Invalid)
    done = env.programs[undated]
    assert (done.size, done.date, done.source, done.url) == (
        good.stat().st_size,
        "2026-04-22",
        f"file:{good.name}",
        "https://files.lab.example/{sha256}",
    )
    assert env.programs["c-2026-03-02"].size is None


def test_a_folder_names_each_of_its_builds(verb: Verb, programs: tuple[Path, Path]) -> None:
    old, good = programs
    verb("add", "march", str(old))
    out = verb("add", "c", str(old.parent))
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["march", "c-2026-04-22"], "a build keeps the name that it has"
    assert "1 added." in out
    assert (verb.folder / "cache" / "artifacts" / sha256(good)).exists()


def clone_of(folder: Path, program: Path) -> Path:
    """An installer with one commit, in which the program is a pointer."""
    (folder / "dist").mkdir(parents=True)
    (folder / "dist" / "cortensord").write_text(lfs_pointer(program))
    who = ("-c", "user.name=tester", "-c", "user.email=tester@lab.example")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "release", "--date", "2026-04-22T12:00:00Z")):
        subprocess.run(["git", *words], cwd=folder, check=True, env={"PATH": "/usr/bin:/bin", "GIT_COMMITTER_DATE": "2026-04-22T12:00:00Z"})
    return folder


def test_a_commit_of_the_installer_is_enough_to_know_a_build(verb: Verb, programs: tuple[Path, Path]) -> None:
    _, good = programs
    clone = clone_of(verb.folder / "installer", good)
    out = verb("add", "april", "installer@HEAD", "--clone", "installer")
    assert f"april is cortensord {sha256(good)[:6]} (2026-04-22): 0.8 MB, from installer@" in out and "known by its hash only" in out
    assert "note: only its hash is known; for its file: git -C installer lfs fetch origin" in out
    assert "none is named" in verb.refused("add", "may", "installer@HEAD")
    assert "name the commit" in verb.refused("add", "may", str(clone))
    assert "is a Git LFS pointer to" in verb.refused("add", "may", str(clone / "dist" / "cortensord"))
    assert "is april already in cortops.yaml" in verb.refused("add", "may", str(good))


def test_known_builds_come_from_a_clone_a_folder_a_list_or_a_file(verb: Verb, programs: tuple[Path, Path]) -> None:
    _, good = programs
    clone = clone_of(verb.folder / "installer", good)
    (verb.folder / "SHA256SUMS").write_text(f"{sha256(good)}  2026-04-22  cortensord\n")
    for place in (clone, good.parent, verb.folder / "SHA256SUMS", good):
        found = {known.sha256: known.date for known in releases.known_in(place)}
        assert found[sha256(good)] == "2026-04-22", place


def test_a_wrong_hash_name_day_or_place_is_refused(verb: Verb, programs: tuple[Path, Path]) -> None:
    old, good = programs
    verb("add", "april", str(good))
    wrong = {
        "has the hash": ("add", "may", str(old), "--sha256", "a" * 64),
        "--sha256 is no hash": ("add", "may", str(old), "--sha256", "abc"),
        "april is another build": ("add", "april", str(old)),
        "is not a name that can be used": ("add", "April", str(old)),
        "'minimum' is not a name": ("add", "minimum", str(old)),
        "--date 22.4. is no day": ("add", "may", str(old), "--date", "22.4."),
        "tells 2026-03-02, and --date 2026-05-01 was said": ("add", "may", str(old), "--date", "2026-05-01"),
        "holds 2 builds, and --date": ("add", "c", str(old.parent), "--date", "2026-05-01"),
        "there is no nowhere": ("add", "may", "nowhere"),
        "there is no lab.yaml": ("add", "may", str(old), "--write", "lab.yaml"),
        "correct the file": ("add", "may", str(old), "--url", "ftp://files.lab.example"),
    }
    for what, words in wrong.items():
        assert what in verb.refused(*words), words
    assert verb("add", "march", str(old), "--sha256", sha256(old).upper())


def test_a_day_may_be_given_where_the_source_tells_none(verb: Verb, programs: tuple[Path, Path]) -> None:
    (verb.folder / "cortensord").write_bytes(programs[0].read_bytes())
    verb.file.write_text(LAB + "releases:\n  minimum: {cortensord: 2026-03-01}\n")
    out = verb("add", "jan", "./cortensord", "--date", "2026-01-15")
    assert f"(2026-01-15): 0.8 MB, for {MACHINE}, from file:cortensord" in out
    assert "!  it is older than the minimum, 2026-03-01: no upgrade leads to it" in out


def test_a_list_of_all_that_ever_was_is_looked_at_only(verb: Verb) -> None:
    (verb.folder / "SHA256SUMS").write_text("".join(f"{number:064x}\n" for number in range(ADD_MAX + 1)))
    assert f"holds {ADD_MAX + 1} builds" in verb.refused("add", "c", "SHA256SUMS")
    assert "cortops releases --known SHA256SUMS" in verb.err


def test_the_file_keeps_its_mode_and_its_line_ends(verb: Verb, programs: tuple[Path, Path]) -> None:
    verb.file.write_bytes(LAB.replace("\n", "\r\n").encode())
    verb.file.chmod(0o640)
    verb("add", "april", str(programs[1]))
    assert verb.file.read_bytes().startswith(LAB.replace("\n", "\r\n").encode())
    assert verb.file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in verb.folder.iterdir() if path.name.startswith(".")] == []


def test_a_file_with_mistakes_is_not_written(verb: Verb, programs: tuple[Path, Path]) -> None:
    verb.file.write_text(LAB.replace("host: h1", "host: h7"))
    assert "names host h7, which is not declared" in verb.refused("add", "april", str(programs[1]))
    assert not (verb.folder / "cache").exists()
