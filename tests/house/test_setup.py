"""A fresh clone sets itself up from the lock file, and a second time needs nothing; refusals say what to do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

TIMEOUT_S = 900
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
NOWHERE |= {"PIP_NO_CACHE_DIR": "1"}


def _run(*argv: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "VIRTUAL_ENV"))}
    return subprocess.run(
        argv,
        cwd=cwd,
        env={**plain, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _make(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return _run("make", *words, cwd=folder, env=env)


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """What a clone of this tree would hold, in a folder with a blank in its name."""
    folder = tmp_path / "fresh clone"
    listed = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=root)
    for name in listed.stdout.split("\0"):
        if name and (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    return folder


@pytest.mark.proof
def test_a_fresh_clone_sets_itself_up_once(clone: Path) -> None:
    first = _make(clone, "setup")
    assert first.returncode == 0, first.stdout + first.stderr
    version = subprocess.run([clone / ".venv" / "bin" / "cortops", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("0.")
    again = _make(clone, "setup", env=NOWHERE)
    assert (again.returncode, "pip" in again.stdout) == (0, False)

    without_network = _make(clone, "fast", env=NOWHERE)
    assert without_network.returncode == 2
    assert "next: connect to the network once" in without_network.stderr
    assert _make(clone, "setup", env=NOWHERE).returncode == 0, "what was there before still is"

    moved = clone.rename(clone.with_name("moved"))
    assert _make(moved, "setup").returncode == 0
    assert str(moved) in (moved / ".venv" / "bin" / "cortops").read_text()


def test_no_python_is_a_refusal_with_a_cure(clone: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "rm", "cat", "grep", "touch"):
        (tools / name).symlink_to(shutil.which(name) or name)
    refused = _make(clone, "setup", env={"PATH": str(tools)})
    assert refused.returncode == 2
    assert "needs Python 3.11 or newer" in refused.stderr and "next: apt-get install python3 python3-venv" in refused.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_a_refusal_that_names_the_package(clone: Path, tmp_path: Path) -> None:
    python = tmp_path / "python3.13"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    refused = _make(clone, "setup", f"PYTHON={python}")
    assert refused.returncode == 2
    assert "next: apt-get install python3.13-venv" in refused.stderr
    assert not (clone / ".venv").exists()


def test_up_reads_the_named_example_and_no_variable_of_the_shell(clone: Path) -> None:
    assert "up examples/local.yaml" in _make(clone, "--dry-run", "up", env={"ENV": "/etc/profile"}).stdout
    assert "up examples/other.yaml" in _make(clone, "--dry-run", "up", "ENV=other").stdout
