"""`cortops releases` over real SSH: what runs on twelve nodes of all shapes, by the hash of the process, whatever lies on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.hosts.saturday import Saturday
from tests.hosts.test_discover import Discover, Run, discover_of, no_key_in, pids

from cortops.testing.cortensord import GOOD, OLD, compiled, lfs_pointer, sha256
from cortops.testing.hosts import SystemHost

pytestmark = pytest.mark.real

ATTENTION = 3
FILE = "saturday.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def verb(saturday: Saturday, home: Path) -> Discover:
    """Any verb, as a person runs it who has just written saturday.yaml."""
    run = discover_of(saturday.fleet, home)
    written = run("me@h1", "me@h2", "me@h3", "--sudo", "--write", FILE)
    assert "12 nodes" in written.out, written.out + written.err
    return run


def which(verb: Discover, *words: str, status: int = 0) -> dict[str, Any]:
    run = verb(FILE, "--json", *words, verb="releases")
    assert run.status == status, run.out + run.err
    return run.told


def remarks(shape: dict[str, Any]) -> Counter[str]:
    return Counter(remark["kind"] for node in shape["nodes"] for remark in node["remarks"])


@contextmanager
def on_disk(host: SystemHost, path: str, content: bytes) -> Iterator[None]:
    """Another file in the place of a program that runs, as an upgrade by hand leaves it; the old one comes back as it was."""
    host.do(f"mv {path} {path}.aside")
    try:
        host.put(path, content, mode=0o755)
        yield
    finally:
        host.do(f"mv -f {path}.aside {path}")


def test_every_node_is_told_by_the_hash_of_what_runs(saturday: Saturday, verb: Discover) -> None:
    before = {host.name: pids(host) for host in saturday.fleet}
    shape = which(verb)
    assert [build["sha256"] for build in shape["builds"]] == [sha256(saturday.program)]
    assert len(shape["builds"][0]["nodes"]) == 12
    assert {node["standing"] for node in shape["nodes"]} == {"unknown"}, "nobody has named it yet"
    assert (remarks(shape), shape["silent"], shape["not_in_the_file"]) == (Counter(), [], {})
    assert {host.name: pids(host) for host in saturday.fleet} == before


def test_a_build_that_was_added_has_its_name_and_day_from_then_on(saturday: Saturday, verb: Discover, home: Path) -> None:
    added = verb("add", "april", str(saturday.program), "--write", FILE, verb="releases")
    assert added.status == 0, added.out + added.err
    run = verb(FILE, verb="releases")
    assert run.status == 0, run.out + run.err
    row = run.out.splitlines()[2].split()
    assert row[:5] == [sha256(saturday.program)[:6], f"({GOOD.name})", "12", "april", f"file:{saturday.program.name}"]
    assert run.out.splitlines()[-1] == "Every node runs a known build."
    no_key_in(saturday.nodes, run, added)
    planned = verb(FILE, "--json", verb="plan")
    assert planned.told["changes"] == [], "a release that no node names changes nothing"


def test_nodes_below_the_minimum_are_named(verb: Discover, home: Path) -> None:
    text = (home / FILE).read_text()
    try:
        (home / FILE).write_text(text.replace("releases:\n", "releases:\n  minimum: {cortensord: 2026-05-01}\n"))
        shape = which(verb, status=ATTENTION)
        assert (len(shape["outside"]), remarks(shape)) == (12, Counter(below=12))
        (home / FILE).write_text(text.replace("releases:\n", "releases:\n  minimum: {cortensord: april}\n"))
        assert which(verb)["outside"] == []
    finally:
        (home / FILE).write_text(text)


@pytest.mark.parametrize("kind", ["differs", "lfs-pointer"])
def test_another_file_on_the_disk_is_told_while_the_old_one_runs(saturday: Saturday, verb: Discover, kind: str) -> None:
    """The trap of every script that copies a file and restarts nothing, or has no git-lfs."""
    node = next(node for node in saturday.on("h1") if node.shape == "systemd")
    older = compiled(OLD, saturday.programs)
    content = older.read_bytes() if kind == "differs" else lfs_pointer(older).encode()
    with on_disk(saturday.fleet["h1"], node.binary, content):
        shape = which(verb, status=ATTENTION)
    told = [one for one in shape["nodes"] if one["remarks"]]
    assert told and {one["host"] for one in told} == {"h1"}
    assert remarks(shape) == Counter({kind: len(told)})
    assert {one["running"] for one in shape["nodes"]} == {sha256(saturday.program)}
    assert {one["file"] for one in told} == ({sha256(older)} if kind == "differs" else {None})
    assert all(sha256(older)[:6] in one["remarks"][0]["text"] for one in told)
    assert which(verb)["builds"][0]["standing"] == "ok", "all as before"


def test_a_host_that_is_cut_off_hides_no_other(saturday: Saturday, verb: Discover) -> None:
    with saturday.fleet["h2"].cut_off():
        run: Run = verb(FILE, "--json", verb="releases")
    assert run.status == ATTENTION
    assert [one["host"] for one in run.told["silent"]] == ["h2"]
    standings = Counter(node["standing"] for node in run.told["nodes"])
    assert standings == Counter(ok=12 - len(saturday.on("h2")), unseen=len(saturday.on("h2")))
