from __future__ import annotations

import ast
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from xmlrpc.client import Fault, dumps, loads

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from cortops.targets import supervisor_client
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


CLIENT = Path(supervisor_client.__file__).read_text()
ROW = {"group": "m1", "name": "m1", "statename": "RUNNING", "pid": 7, "now": 50, "start": 41, "spawnerr": "a <b> & \u00fc", "stop": 0}
STOPPED = {**ROW, "group": "m2", "name": "m2", "statename": "STOPPED", "pid": 0}


def http(value: object, status: str = "200 OK") -> bytes:
    """As supervisord answers: one value, or a fault."""
    text = dumps(value) if isinstance(value, Fault) else dumps((value,), methodresponse=True)
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{text}".encode()


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """A server that gives each caller the next answer, the last one for ever, and closes; yields the requests' bodies."""
    left, requests = list(answers), []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            size = 0
            while (line := self.rfile.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            requests.append(self.rfile.read(size))
            self.request.sendall(left.pop(0) if len(left) > 1 else left[0])

    with UnixStreamServer(str(path), Handler) as server:
        server.handle_error = lambda *_: None  # a caller that has had enough is no error
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield requests
        finally:
            server.shutdown()
            thread.join()


def status(path: Path, capsys: pytest.CaptureFixture[str], *rest: str) -> tuple[int, str]:
    return supervisor_client.main(str(path), "status", *rest), capsys.readouterr().out


def test_status_is_one_request_and_a_line_for_each_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "s", http(["cortops", [ROW, STOPPED]])) as requests:
        assert status(tmp_path / "s", capsys) == (0, "m1 RUNNING 7 9\nm2 STOPPED 0 0\n")
    assert list(map(loads, requests)) == [
        (([{"methodName": "supervisor.getIdentification"}, {"methodName": "supervisor.getAllProcessInfo"}],), "system.multicall")
    ]


def test_one_that_is_not_ours_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s"
    with answering(path, http(["theirs", [ROW]])):
        assert status(path, capsys) == (1, f"the supervisord at {path} is not ours: it calls itself theirs\n")
    with answering(path.with_name("t"), http("theirs")):
        assert supervisor_client.main(str(path.with_name("t")), "converge", "m1", "0", "1") == 1
        assert capsys.readouterr().out.endswith("is not ours: it calls itself theirs\n")


@pytest.mark.parametrize(
    ("answer", "exit_status", "said"),
    [
        (http(Fault(92, "CANT_REREAD: no\nsection")), 4, "CANT_REREAD: no section"),
        (http([{"faultCode": 6, "faultString": "SHUTDOWN_STATE"}, []]), 1, "SHUTDOWN_STATE"),
        (b"", 1, "the answer cannot be read: ''"),
        (b"SSH-2.0-something\r\n", 1, "the answer cannot be read: 'SSH-2.0-something'"),
        (http(["cortops", []], "401 Unauthorized"), 1, "the answer cannot be read: 'HTTP/1.1 401 Unauthorized'"),
        (http(["cortops", [ROW]])[:-40], 1, "the answer cannot be read: "),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe\0\x1b[2J", 1, "the answer cannot be read: "),
        (b"HTTP/1.0 200 OK\r\n\r\n<html><body>hello</body></html>", 1, "the answer cannot be read: '<html>"),
        (http(["cortops"]), 1, "the answer cannot be read: "),
        (http(["cortops", 5]), 1, "the answer cannot be read: "),
        (http(["cortops", [{"group": "m1"}]]), 1, "the answer cannot be read: "),
        (http(["cortops", [ROW, {**ROW, "now": "later"}]]), 1, "the answer cannot be read: "),
        (http(5), 1, "the answer cannot be read: '5'"),
        (b"x" * (17 << 20), 1, "the answer is larger than 16 MiB"),
    ],
)
def test_what_is_no_answer_is_said_in_one_line(
    answer: bytes, exit_status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path / "s", answer):
        found, out = status(tmp_path / "s", capsys)
    assert found == exit_status
    assert out.startswith(said) and out.count("\n") == 1 and out.isascii()


def test_one_that_ends_while_it_is_asked_is_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "s", b"", http(["cortops", [ROW]])):
        assert status(tmp_path / "s", capsys) == (0, "m1 RUNNING 7 9\n")


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path / "none", capsys) == (3, "")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    assert status(tmp_path / "s", capsys) == (3, "")


def test_one_that_says_nothing_is_waited_for_no_longer_than_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        assert status(tmp_path / "s", capsys, "0.05") == (1, "timed out\n")


def test_one_that_never_ends_its_answer_has_no_more_than_the_limit_for_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = threading.Event()

    def drip(listening: socket.socket) -> None:
        caller, _ = listening.accept()
        with caller, suppress(OSError):  # it has had enough
            while not ended.wait(0.01):
                caller.sendall(b"HTTP/1.0 200 OK\r\n")

    with socket.socket(socket.AF_UNIX) as endless:
        endless.bind(str(tmp_path / "s"))
        endless.listen()
        thread = threading.Thread(target=drip, args=(endless,))
        thread.start()
        try:
            found = status(tmp_path / "s", capsys, "0.1")
        finally:
            ended.set()
            thread.join()
    assert found == (1, "timed out\n")


VALUE = st.recursive(
    st.integers(-(2**31), 2**31 - 1)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab_", min_size=1, max_size=4), inner, max_size=4),
)


@given(VALUE)
def test_values_are_read_as_xmlrpc_writes_them(value: object) -> None:
    assert supervisor_client._decoded(http(value)) == value


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")) | st.booleans())
def test_values_are_written_as_xmlrpc_reads_them(value: object) -> None:
    request = (
        f"<methodCall><methodName>m</methodName><params><param>{supervisor_client._encoded([{'a': value}])}</param></params></methodCall>"
    )
    assert loads(request) == (([{"a": value}],), "m")


def test_the_client_loads_next_to_nothing(tmp_path: Path) -> None:
    """What it imports is what it costs. Read from the interpreter's own list, less what it needs to begin at all."""
    imported = []
    for text in (CLIENT, ""):
        command = [sys.executable, "-I", "-S", "-X", "importtime", "-", str(tmp_path / "none"), "status"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
        imported.append(set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE)))
    assert imported[0] - imported[1] <= {"_socket", "pyexpat", "__future__"}


def test_an_older_python_can_read_the_client() -> None:
    ast.parse(CLIENT, feature_version=(3, 8))
