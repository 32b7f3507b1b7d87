from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from cortops.targets.supervisord import Supervisord
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.resource import Service

SERVICE = Service(
    place="h1",
    entity=Entity("node", "m1"),
    because="lab.yaml:7",
    name="m1",
    argv=("/opt/miner", "--name", "50% ready", "a ;b", "#c", "", "%(here)s", "x\\y'\"z"),
    directory="/data/50%",
    log_path="/tmp/m1.log",
    stop_signal="QUIT",
    stop_timeout_s=7,
)
MANAGER = Supervisord("/data/lab", "/usr/bin/python3")


def parsed(tmp_path: Path, unit: str) -> object:
    """What supervisor itself reads from the unit."""
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisord]\n" + unit)
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options.process_group_configs[0].process_configs[0]


def test_the_unit_as_supervisor_reads_it(tmp_path: Path) -> None:
    config = parsed(tmp_path, MANAGER.unit(SERVICE, "abc"))
    assert tuple(shlex.split(config.command)) == SERVICE.argv
    assert config.directory == "/data/50%"
    assert config.stdout_logfile == "/tmp/m1.log"
    assert (config.stdout_logfile_maxbytes, config.stdout_logfile_backups) == (20 << 20, 3)
    assert (config.stopsignal.name, config.stopwaitsecs, config.stopasgroup, config.killasgroup) == ("SIGQUIT", 7, True, True)
    assert config.environment == {"CORTOPS_INPUTS": "abc"}
    assert config.redirect_stderr


def test_the_unit_is_text_that_can_be_read(tmp_path: Path) -> None:
    assert MANAGER.unit(replace(SERVICE, argv=("/opt/miner", "/data/lab/m1.env"), directory="/data"), "abc") == (
        "; node/m1\n"
        "[program:m1]\n"
        "command=/opt/miner /data/lab/m1.env\n"
        "directory=/data\n"
        "stdout_logfile=/tmp/m1.log\n"
        "stdout_logfile_maxbytes=20MB\n"
        "stdout_logfile_backups=3\n"
        "redirect_stderr=true\n"
        "autostart=false\n"
        "autorestart=true\n"
        "startsecs=1\n"
        "startretries=5\n"
        "stopsignal=QUIT\n"
        "stopwaitsecs=7\n"
        "stopasgroup=true\n"
        "killasgroup=true\n"
        'environment=CORTOPS_INPUTS="abc"\n'
    )


def test_where_it_was_declared_is_not_part_of_the_unit() -> None:
    assert MANAGER.unit(SERVICE, "abc") == MANAGER.unit(replace(SERVICE, because="lab.yaml:8", owner="ops"), "abc")


WORD = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20) | st.text(
    "%(here)s;#\\'\" \t=[]:$`", max_size=12
)


@pytest.mark.real
@settings(max_examples=200, deadline=None)
@given(words=st.lists(WORD, max_size=6))
def test_supervisor_reads_back_every_argument(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    service = replace(SERVICE, argv=("/bin/true", *words), directory="/")
    config = parsed(tmp_path_factory.mktemp("conf"), MANAGER.unit(service, ""))
    assert shlex.split(config.command) == list(service.argv)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "has characters other than"),
        ({"argv": ("/bin/sh", "a\nb")}, "holds a line break"),
        ({"directory": "/a ;b"}, "cannot hold the path"),
        ({"log_path": "/a\nb"}, "cannot hold the path"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MANAGER.unit(replace(SERVICE, **change), "")


@pytest.mark.parametrize("root", ["relative", "/with blank", "/with%percent", "/" + "long" * 30])
def test_a_root_that_supervisord_cannot_work_in_is_refused(root: str) -> None:
    with pytest.raises(BadInput):
        Supervisord(root, "python3")
