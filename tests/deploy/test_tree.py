"""An archive with programs of ours: the host's Python is linked in, and a host that cannot run it is refused by name, with nothing left."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.keys_and_trees import tree
from tests.deploy.test_kinds import do, look, same, want

from cortops.deploy.observed import Present
from cortops.testing.host import Host, host
from cortops.words.change import Action
from cortops.words.resource import Tree

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(name="h")
def _host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin")
    with host() as made:
        yield made


def with_python(h: Host, *, python: str = HERE, machine: str = "") -> Tree:
    return replace(tree(h), python=python, machine=machine or platform.machine())


def test_the_hosts_python_runs_what_lies_there_and_its_loss_is_seen(h: Host) -> None:
    (item,) = want(h, with_python(h))
    assert do(h, Action.CREATE, item)[-1].event == "done"
    folder = Path(item.resource.path)
    said = subprocess.run(
        [folder / "bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, timeout=30, check=True
    )
    assert said.stdout.strip() == str(folder)
    assert same(item, *look(h, item))
    (folder / "bin/python").unlink()
    (seen,) = look(h, item)
    assert isinstance(seen, Present) and seen.attributes["runs"] == "no: its Python is gone"
    do(h, Action.UPDATE, item)
    assert same(item, *look(h, item))
    do(h, Action.DELETE, item)


@pytest.mark.parametrize(
    ("python", "machine", "why"),
    [
        ("9.9", "", "it needs Python 9.9, and this host has Python"),
        ("", "s390x", f"its libraries are for s390x, and this host is {platform.machine()}"),
    ],
)
def test_a_host_that_cannot_run_it_is_refused_by_name(h: Host, python: str, machine: str, why: str) -> None:
    (item,) = want(h, with_python(h, python=python or HERE, machine=machine))
    told = do(h, Action.CREATE, item)[-1]
    assert told.event == "failed" and why in told.text
    assert h.files() == []


def test_a_damaged_archive_leaves_what_was_there(h: Host) -> None:
    (item,) = want(h, tree(h))
    do(h, Action.CREATE, item)
    archive = h.cache / "tree.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-20])
    assert "what arrived has sha256" in do(h, Action.UPDATE, item)[-1].text
    assert same(item, *look(h, item))
    do(h, Action.DELETE, item)


def test_what_a_killed_attempt_left_is_no_tree_and_in_nobodys_way(h: Host) -> None:
    made = tree(h)
    (item,) = want(h, made)
    half = Path(f"{made.path}.new")
    half.mkdir()
    (half / "half").write_text("")
    assert do(h, Action.CREATE, item)[-1].event == "done"
    assert same(item, *look(h, item)) and not half.exists()
    assert not (Path(made.path) / "half").exists()
    do(h, Action.DELETE, item)
