"""What a host says of itself: the sh program against a folder that stands for its file tree, and the reading of any text."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.fleet.stage import installed

from cortops.surfaces.fleet.doctor.examine import (
    HostLook,
    Listening,
    NodeLook,
    Offset,
    Room,
    host_question,
    nodes_question,
    read_host,
    read_nodes,
    read_offset,
)
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.words.question import Answer, Shell

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

SHELLS = [shell for shell in (("dash",), ("bash",), ("busybox", "sh")) if shutil.which(shell[0])]
_TCP = "  sl  local_address rem_address   st\n"
_DF = """case $1 in -Pi) f="10 9 9 50% /" ;; *) f="41943040 1 20971520 50% /" ;; esac
echo "Filesystem 1 2 3 4 /"
echo "/dev/a $f"
"""
LOG = "/var/log/cortensord.log"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A well host."""
    put(tmp_path, "/proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n")
    put(tmp_path, "/proc/vmstat", "pgfault 1\noom_kill 2\n")
    put(tmp_path, "/proc/sys/fs/inotify/max_user_instances", "128\n")
    put(tmp_path, "/proc/sys/fs/file-nr", "1091\t0\t2466183\n")
    put(
        tmp_path,
        "/proc/net/tcp",
        "  sl  local_address rem_address   st\n   0: 0100007F:1F9A 00000000:0000 0A\n   1: 00000000:1392 0:0 0A\n",
    )
    put(tmp_path, "/proc/net/tcp6", "  sl  local_address\n   0: 00000000000000000000000001000000:0016 0:0 0A\n   1: 0:1 0:0 01\n")
    put(tmp_path, "/proc/7/comm", "chronyd\n")
    program(tmp_path, "df", _DF)
    program(tmp_path, "systemd-detect-virt", "echo none; exit 1\n")
    program(tmp_path, "timedatectl", "echo yes\n")
    program(tmp_path, "curl", "exit 1\n")
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def program(root: Path, name: str, text: str) -> None:
    put(root, f"/bin/{name}", f"#!/bin/sh\n{text}")
    (root / "bin" / name).chmod(0o755)


def systemd(root: Path, failed: str = "", shown: str = "") -> None:
    (root / "run/systemd/system").mkdir(parents=True)
    state = "degraded" if failed else "running"
    cases = f'is-system-running) echo {state} ;; list-units) echo "{failed} loaded failed failed x" ;; show) printf "{shown}" ;;'
    program(root, "systemctl", f"case $1 in {cases} esac\n")


def tell(root: Path, question: Shell, shell: tuple[str, ...] = ("sh",)) -> str:
    environ = {"PATH": f"{root}/bin:{os.environ['PATH']}", "HOME": "/"}
    script = f"cortops_root='{root}'\n{question.script}"
    done = subprocess.run([*shell, "-c", script], env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def looked(root: Path) -> HostLook:
    found = read_host(tell(root, host_question("h1")))
    assert found is not None
    return found


def node_look(root: Path, node: Installed) -> NodeLook:
    return read_nodes(tell(root, nodes_question("h1", {"m1": node})))["m1"]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_host_is_read_in_every_shell(root: Path, shell: tuple[str, ...]) -> None:
    found = read_host(tell(root, host_question("h1"), shell))
    assert found is not None
    if shell[0] == "busybox":  # it prefers its own df to the one that we put in its path
        assert [room.folder for room in found.rooms] == ["/"] and found.rooms[0].total > 0
    else:
        assert found.rooms == (Room(folder="/", free=20_480, total=40_960),)
    assert found.memory["MemTotal"] == 8_192 and found.memory["MemAvailable"] == 4_096 and found.oom_kills == 2
    assert (found.inotify_max, found.files_open, found.files_max) == (128, 1_091, 2_466_183)
    assert set(found.listening) == {
        Listening(address="0.0.0.0", port=5010),
        Listening(address="::1", port=22),
        Listening(address="127.0.0.1", port=8090),
    }
    assert [port.port for port in found.listening if port.everywhere] == [5010]
    assert (found.systemd_state, found.failed_units, found.synchronized, found.container) == ("", (), True, "")
    assert found.missing_tools == () and "curl" in found.tools and found.time_program == "chronyd" and not found.gpu


def test_failed_units_and_a_gpu_are_told(root: Path) -> None:
    systemd(root, failed="cortensor.service")
    put(root, "/dev/nvidia0", "")
    found = looked(root)
    assert (found.systemd_state, found.failed_units, found.gpu) == ("degraded", ("cortensor.service",), True)


def test_a_manager_that_hangs_or_is_not_there_costs_nothing_else(root: Path) -> None:
    (root / "run/systemd/system").mkdir(parents=True)
    program(root, "systemctl", "exit 1\n")
    program(root, "timedatectl", "exit 1\n")
    program(root, "df", "exit 1\n")
    found = looked(root)
    assert (found.systemd_state, found.synchronized, found.rooms) == ("", None, ())
    assert found.memory["MemTotal"] == 8_192


def test_a_node_tells_its_log_unit_copies_and_limits(root: Path) -> None:
    shown = "NRestarts=4\\nActiveState=active\\nSubState=running\\nNeedDaemonReload=yes\\n"
    systemd(root, shown=shown)
    put(root, LOG, "x" * 5_000)
    put(root, "/etc/logrotate.d/other", "/var/log/other/*.log {\n  daily\n}\n")
    put(root, "/usr/local/bin/cortensord", "program")
    for number in range(3):
        put(root, f"/usr/local/bin/cortensord.bak_{number}", "y" * 100)
    put(
        root,
        "/proc/42/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n",
    )
    put(root, "/proc/42/fd/0", "")
    put(root, "/proc/42/cmdline", "cortensord\0.env\0minerv4\0001\0docker\0")
    found = node_look(root, installed(log=LOG, unit="cortensor.service", binary="/usr/local/bin/cortensord", pid=42))
    assert (found.log_bytes, found.rotates) == (5_000, False)
    assert found.log_age_s is not None and 0 <= found.log_age_s < 60
    assert found.unit == {"NRestarts": "4", "ActiveState": "active", "SubState": "running", "NeedDaemonReload": "yes"}
    assert (found.old_copies, found.old_copies_bytes) == (3, 300)
    assert (found.files_open, found.files_max, found.words_after_role) == (1, 1_024, ("1", "docker"))


@pytest.mark.parametrize(
    ("rule", "rotates"),
    [
        ("/var/log/cortensord.log {", True),
        ("/var/log/cortensord*.log /var/log/x.log {", True),
        ('"/var/log/cortensord.log" {', True),
        ("# /var/log/cortensord.log {", False),
        ("/var/log/*/cortensord.log {", False),
    ],
)
def test_a_rule_of_logrotate_is_known_by_name_or_pattern(root: Path, rule: str, rotates: bool) -> None:
    put(root, LOG, "x")
    put(root, "/etc/logrotate.d/cortensord", f"{rule}\n  daily\n}}\n")
    assert node_look(root, installed(log=LOG)).rotates is rotates


@pytest.mark.parametrize(
    ("said", "rotates"), [("json-file <no value>", False), ("json-file ", False), ("json-file 50m", True), ("journald ", True)]
)
def test_docker_rotates_where_it_has_a_size(root: Path, said: str, rotates: bool) -> None:
    put(root, "/var/lib/docker/c.log", "x" * 10)
    program(root, "docker", f'case "$*" in *LogPath*) echo /var/lib/docker/c.log ;; *) echo "{said}" ;; esac\n')
    found = node_look(root, installed(shape=Shape.DOCKER, unit="cortensor-1", log="docker:cortensor-1"))
    assert (found.rotates, found.log_bytes) == (rotates, 10)


def test_what_is_not_there_is_unknown_and_the_next_node_is_told_all_the_same(root: Path) -> None:
    put(root, LOG, "x")
    lost = installed(log="/nowhere/x.log", unit="no.service", binary="/nowhere/cortensord", pid=99)
    text = tell(root, nodes_question("h1", {"lost": lost, "m1": installed(log=LOG)}))
    found = read_nodes(text)
    assert found["lost"].log_bytes is None and found["lost"].unit == {} and found["lost"].files_max is None
    assert found["m1"].log_bytes == 1


def test_odd_names_are_words_not_programs(root: Path) -> None:
    odd = installed(log="/var/log/$(touch pwned)`touch pwned`'\".log", unit="a;touch pwned", binary="/x y/*")
    assert read_nodes(tell(root, nodes_question("h1", {"m1": odd})))["m1"].log_bytes is None
    assert not list(Path().glob("pwned")) and not list(root.rglob("pwned"))


def test_looking_writes_nothing(root: Path) -> None:
    put(root, LOG, "x")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*"))
    tell(root, host_question("h1"))
    tell(root, nodes_question("h1", {"m1": installed(log=LOG)}))
    assert sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*")) == before


@pytest.mark.parametrize(("epoch", "beyond_s"), [(1_000_000_000.5, 0.0), (1_000_000_007, 6.0), (999_999_990, -10.0)])
def test_a_clock_is_off_by_what_is_certain(epoch: float, beyond_s: float) -> None:
    answer = Answer(question="q", at=1_000_000_000, elapsed_s=1.0, status=0, body=f"@clock\t{epoch:.9f}\n@node\tm1\n".encode())
    offset = read_offset(answer)
    assert offset is not None and offset.beyond_s == pytest.approx(beyond_s)
    assert offset == Offset(least_s=offset.least_s, most_s=offset.least_s + 1)


def test_a_real_clock_is_told_by_the_question(root: Path) -> None:
    text = tell(root, nodes_question("h1", {}))
    assert read_offset(Answer(question="q", at=0, elapsed_s=0, status=0, body=text.encode())) is not None
    assert read_offset(Answer(question="q", at=0, elapsed_s=0, status=0, body=b"@clock\tnoon\n")) is None


@given(st.text(alphabet="@hostnde\t 0:.aF\n", max_size=300) | st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    read_host(text)
    read_nodes(text)
    read_host(f"@host\tx\n{text}")
    read_nodes(f"@node\tx\n{text}")
