"""Whether installed nodes run: the script against processes, units and containers of this test's own, and the reading of any answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.found.running import Running, question, read

SYSTEMCTL = """#!/bin/sh
for unit; do :; done
case $unit in
  cortensor-1.service) printf 'MainPID=812\\nNRestarts=3\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\n' ;;
  cortensor-2.service) printf 'MainPID=0\\nNRestarts=0\\nLoadState=loaded\\nActiveState=failed\\nSubState=failed\\n' ;;
  cortensor-3.service) printf 'MainPID=0\\nNRestarts=0\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n' ;;
  *) echo 'Failed to connect to bus' >&2; exit 1 ;;
esac
"""
DOCKER = """#!/bin/sh
for name; do :; done
case $name in
  cortensor-1) echo 'running 991 2' ;;
  cortensor-2) echo 'exited 0 0' ;;
  cortensor-3) echo 'Error: No such container: cortensor-3' >&2; exit 1 ;;
  *) echo 'permission denied while trying to connect' >&2; exit 1 ;;
esac
"""


def node(shape: str, **changes: object) -> CortensordNode:
    plain = {
        "program": "cortensord",
        "role": "miner",
        "runs": "minerv4",
        "host": "h1",
        "shape": shape,
        "env_file": "/home/me/.cortensor/.env",
        "log": "/var/log/c.log",
        "binary": "/usr/local/bin/cortensord",
    }
    return CortensordNode.model_validate({**plain, **changes})


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("docker", DOCKER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def ask(nodes: Mapping[str, CortensordNode], path: str, **env: str) -> dict[str, Running]:
    script = question("h1", nodes).script
    done = subprocess.run(["sh"], input=script, env={"PATH": path, **env}, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return read(done.stdout)


def test_units_and_containers_as_their_managers_tell(tools: Path) -> None:
    nodes = {f"u{n}": node("ansible", unit=f"cortensor-{n}.service") for n in range(1, 5)}
    nodes |= {"u5": node("salt", unit="cortensord@a.service"), "u6": node("salt", unit="other@a.service")}
    (tools / "cortensor-4.service").write_text("")
    (tools / "cortensord@.service").write_text("")
    nodes |= {f"c{n}": node("docker", unit=f"cortensor-{n}", log=f"docker:cortensor-{n}") for n in range(1, 5)}
    assert ask(nodes, f"{tools}:{os.environ['PATH']}", cortops_unit_dirs=str(tools)) == {
        "u1": Running(state="running", pid=812, text="restarted 3 times since it was loaded"),
        "u2": Running(state="stopped", pid=None, text="cortensor-2.service is failed (failed)"),
        "u3": Running(state="gone", pid=None, text="there is no unit cortensor-3.service"),
        "u4": Running(state="unseen", pid=None, text="Failed to connect to bus"),
        "u5": Running(state="unseen", pid=None, text="Failed to connect to bus"),
        "u6": Running(state="gone", pid=None, text="there is no unit other@a.service"),
        "c1": Running(state="running", pid=991, text="restarted 2 times since it was made"),
        "c2": Running(state="stopped", pid=None, text="container cortensor-2 is exited"),
        "c3": Running(state="gone", pid=None, text="there is no container cortensor-3"),
        "c4": Running(state="unseen", pid=None, text="permission denied while trying to connect"),
    }


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A process with a node's command line, in the folder of its env file; what runs is `sleep`, by a name that nothing else has."""
    folder = tmp_path / "me"
    (folder / "bin").mkdir(parents=True)
    (folder / ".env").write_text("")
    program = folder / "bin" / "cortensord"
    program.write_text("#!/bin/sh\nread line\n")
    program.chmod(0o755)
    started = subprocess.Popen([str(program), ".env", "minerv97", "1", "docker"], cwd=folder, stdin=subprocess.PIPE)
    try:
        yield folder, started.pid
    finally:
        started.communicate(timeout=10)


def test_a_node_kept_by_a_pid_file_is_found_by_what_it_was_started_with(by_hand: tuple[Path, int], tmp_path: Path) -> None:
    folder, pid = by_hand
    (tmp_path / "link").symlink_to(folder)
    nodes = {
        "m1": node("nohup", env_file=f"{folder}/.env", runs="minerv97"),
        "m2": node("nohup", env_file=f"{tmp_path}/link/.env", runs="minerv97"),
        "m3": node("nohup", env_file=f"{folder}/.env-2", runs="minerv97"),
        "m4": node("nohup", env_file=f"{folder}/.env", runs="minerv96"),
    }
    found = ask(nodes, os.environ["PATH"])
    runs, none = Running(state="running", pid=pid, text=""), Running(state="stopped", pid=None, text="no process of it")
    gone = Running(state="gone", pid=None, text=f"there is no env file {folder}/.env-2")
    assert found == {"m1": runs, "m2": runs, "m3": gone, "m4": none}


@given(st.text(max_size=200))
def test_any_answer_can_be_read(text: str) -> None:
    assert all(one.pid is None or one.pid >= 0 for one in read(text).values())


def test_a_row_is_read_and_the_rest_passed_over() -> None:
    assert read("m1\trunning\t12\tx\nm2\tmaybe\t1\t\nnoise\nm3\tstopped\t²\ty") == {
        "m1": Running(state="running", pid=12, text="x"),
        "m3": Running(state="stopped", pid=None, text="y"),
    }
