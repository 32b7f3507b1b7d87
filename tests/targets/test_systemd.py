from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from cortops.targets.systemd import Systemd
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.resource import Service

SERVICE = Service(
    place="h1",
    entity=Entity("node", "m1"),
    because="lab.yaml:7",
    name="m1",
    argv=("/opt/miner", "--env", "/data/lab/m1.env"),
    directory="/data/50%",
    log_path="/var/log/cortops/m1.log",
    user="deploy",
    stop_signal="QUIT",
    stop_timeout_s=7,
)
MANAGER = Systemd("/var/lib/cortops/lab", "cortops-lab-")


def test_the_unit_is_text_that_can_be_read() -> None:
    assert MANAGER.unit(SERVICE, "abc") == (
        "# node/m1\n"
        "[Unit]\n"
        "Description=node/m1 (cortops)\n"
        "After=network.target\n"
        "StartLimitIntervalSec=0\n"
        "[Service]\n"
        "Type=exec\n"
        "ExecStart=/opt/miner --env /data/lab/m1.env\n"
        "WorkingDirectory=/data/50%%\n"
        "StandardOutput=append:/var/log/cortops/m1.log\n"
        "StandardError=inherit\n"
        "Restart=always\n"
        "RestartSec=2\n"
        "KillSignal=SIGQUIT\n"
        "TimeoutStopSec=7\n"
        "NoNewPrivileges=yes\n"
        "ProtectSystem=full\n"
        "Environment=CORTOPS_INPUTS=abc\n"
        "User=deploy\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
        "[X-Cortops]\n"
        "Log=/var/log/cortops/m1.log\n"
        "LogMaxMib=20\n"
        "LogKeep=3\n"
    )
    assert MANAGER.unit_path(SERVICE) == "/etc/systemd/system/cortops-lab-m1.service"


def test_where_it_was_declared_is_not_part_of_the_unit() -> None:
    assert MANAGER.unit(SERVICE, "abc") == MANAGER.unit(replace(SERVICE, because="lab.yaml:8", owner="ops"), "abc")
    assert MANAGER.unit(SERVICE, "abc") != MANAGER.unit(SERVICE, "abd")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain-1=/x:y,z@w", "plain-1=/x:y,z@w"),
        ("", '""'),
        ("a b", '"a b"'),
        ("50%", '"50%%"'),
        ("$HOME", '"$$HOME"'),
        ('say "\\"', '"say \\"\\\\\\""'),
        ("a\nb\tc\x7f", '"a\\x0ab\\x09c\\x7f"'),
        (";", '";"'),
        ("é", '"é"'),
        ("a\ufdd5\uffff", '"a\\xef\\xb7\\x95\\xef\\xbf\\xbf"'),
    ],
)
def test_a_word_is_written_so_that_systemd_reads_the_same(word: str, written: str) -> None:
    assert f"ExecStart=/bin/x {written}\n" in MANAGER.unit(replace(SERVICE, argv=("/bin/x", word)), "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "has characters other than"),
        ({"name": "rotate"}, "is taken"),
        ({"argv": ()}, "has no program"),
        ({"argv": ("",)}, "cannot start a program of the name ''"),
        ({"argv": ("-x",)}, "cannot start a program of the name '-x'"),
        ({"argv": ("/a$b",)}, "cannot start a program"),
        ({"argv": ("/bin/sh", "a\0b")}, "holds a zero byte"),
        ({"argv": ("/bin/sh", "x" * (128 << 10))}, "too long"),
        ({"directory": "relative"}, "cannot hold the path 'relative'"),
        ({"directory": "/a\\"}, "cannot hold the path"),
        ({"log_path": "/a\ufdd0"}, "cannot hold the path"),
        ({"log_path": "/a\nb"}, "cannot hold the path"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MANAGER.unit(replace(SERVICE, **change), "")


@pytest.mark.parametrize(
    ("root", "prefix"), [("relative", "a-"), ("/with blank", "a-"), ("/ok", ""), ("/ok", "a"), ("/ok", "a b-"), ("/ok", "../-")]
)
def test_a_root_or_prefix_that_units_cannot_name_is_refused(root: str, prefix: str) -> None:
    with pytest.raises(BadInput):
        Systemd(root, prefix)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_prelude_is_sh_and_a_host_without_systemd_is_silent(shell: str) -> None:
    program = f"lf='\n'\n{MANAGER.prelude}\nsystemctl() {{ echo 'no bus' >&2; return 1; }}\nmanager_load; echo \"$manager_silent\""
    done = subprocess.run([shell, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("systemd does not answer: no bus\n", "", 0)


SHOWN = """\
Id=cortops-lab-m1.service
ActiveState={active}
SubState={sub}
MainPID=77
NeedDaemonReload={reload}
ExecMainStartTimestampMonotonic=2000000

Id=cortops-lab-other.service
ActiveState=active
SubState=running
MainPID=5
NeedDaemonReload=no
ExecMainStartTimestampMonotonic=1
"""


@pytest.mark.parametrize(
    ("active", "sub", "reload", "name", "state"),
    [
        ("active", "running", "no", "m1", "running=yes pid=77 definition=none"),
        ("activating", "start", "no", "m1", "running=yes pid=77 definition=none"),
        ("activating", "auto-restart", "no", "m1", "running=no pid= definition="),
        ("failed", "failed", "no", "m1", "running=no pid= definition="),
        ("deactivating", "stop-sigterm", "no", "m1", "running=no pid= definition="),
        ("active", "running", "yes", "m1", "running=yes pid=77 definition=none"),
        ("active", "running", "no", "m", "running=no pid= definition="),
        ("active", "running", "no", "other", "running=yes pid=5 definition=none"),
    ],
)
def test_what_systemd_shows_is_read(active: str, sub: str, reload: str, name: str, state: str) -> None:
    shown = SHOWN.format(active=active, sub=sub, reload=reload)
    program = (
        f"lf='\n'\n{MANAGER.prelude}\nsystemd_units=/nowhere\nsystemctl() {{ cat <<'SHOWN'\n{shown}SHOWN\n}}\n"
        f'manager_load; manager_state {name}; echo "running=$running pid=$pid definition=$definition"'
    )
    assert subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout == f"{state}\n"


def test_a_prefix_that_ends_in_a_dot_keeps_environments_apart() -> None:
    one = Systemd("/var/lib/cortops/lab", "cortops-lab.")
    assert one.unit_path(SERVICE) == "/etc/systemd/system/cortops-lab.m1.service"
    with pytest.raises(BadInput, match=r"and \. or - at the end"):
        Systemd("/var/lib/cortops/lab", "cortops-lab")
