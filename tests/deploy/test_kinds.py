"""Every kind does the same dance: absent, created, unchanged, drifted, mended, deleted. A new kind is one more row of CASES."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.keys_and_trees import another_command, authorized_key, only_theirs, tree, unstamp
from tests.deploy.node_by_hand import end_node, end_node_and_copies, node_program

from cortops.deploy.kinds import KINDS, desire
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.testing.host import Host, host
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.resource import AuthorizedKey, Blob, Content, Directory, File, NodeProgram, Resource, Service, Tree

ENTITY = Entity("node", "m1")


@dataclass(frozen=True, slots=True)
class Case:
    make: Callable[[Host], Resource]
    drift: Callable[[Host], None]
    mend: Action = Action.UPDATE
    tidy: Callable[[Host], None] = lambda host: None


def directory(host: Host) -> Directory:
    return Directory(place=host.name, entity=ENTITY, because="t:1", path=f"{host.root}/odd 'name'/sub", mode=0o750)


def file(host: Host) -> File:
    return File(place=host.name, entity=ENTITY, because="t:2", path=f"{host.root}/-odd name.env", content=("KEY=v\n",), mode=0o600)


def blob(host: Host) -> Blob:
    data = bytes(range(256)) * 9000
    digest = hashlib.sha256(data).hexdigest()
    (host.cache / digest).write_bytes(data)
    return Blob(
        place=host.name, entity=ENTITY, because="t:3", path=f"{host.root}/big bin", release="r1", sha256=digest, size=len(data), mode=0o755
    )


def service(host: Host, name: str = "m1", argv: tuple[str, ...] = ("sleep", "3600"), ports: tuple[int, ...] = ()) -> Service:
    return Service(
        place=host.name,
        entity=ENTITY,
        because="t:4",
        name=name,
        argv=argv,
        directory=str(host.root),
        log_path=f"{host.root}/{name}.log",
        ports=ports,
    )


def hand_edit(host: Host) -> None:
    with (host.root / "etc/supervisor/conf.d/m1.conf").open("a") as conf:
        conf.write("stopwaitsecs=3\n")


CASES: dict[type, Case] = {
    Directory: Case(directory, lambda host: (host.root / "odd 'name'/sub").chmod(0o700)),
    File: Case(file, lambda host: (host.root / "-odd name.env").write_text("KEY=w\n") and None),
    Blob: Case(blob, lambda host: flip_a_byte(host.root / "big bin")),
    Tree: Case(tree, unstamp),
    AuthorizedKey: Case(authorized_key, another_command, tidy=only_theirs),
    Service: Case(service, hand_edit, Action.RESTART),
    NodeProgram: Case(node_program, end_node, Action.START, end_node_and_copies),
}


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"!")


def fill(content: Content) -> bytes:
    return "".join(part if isinstance(part, str) else "the secret" for part in content).encode()


def want(host: Host, *resources: Resource) -> tuple[Desired, ...]:
    return desire(resources, fill, host.manager)


def look(host: Host, *items: Desired) -> list[Observed]:
    seen = asyncio.run(host.driver().observe(items))
    return [seen[item.resource.key] for item in items]


def do(host: Host, action: Action, *items: Desired) -> list[Progress]:
    async def main() -> list[Progress]:
        return [event async for event in host.driver().apply([Step(action=action, desired=item) for item in items], "a1")]

    return asyncio.run(main())


def events(told: list[Progress]) -> list[str]:
    return [event.event for event in told]


def same(item: Desired, seen: Observed) -> bool:
    return isinstance(seen, Present) and all(seen.attributes.get(name) == value for name, value in item.attributes.items())


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in root.rglob("*") if "supervisord.log" not in path.name}


def leave_no_log(host: Host) -> None:
    for path in host.root.glob("*.log"):
        path.unlink()


@pytest.fixture(name="h")
def _host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with host() as made:
        yield made
        leave_no_log(made)


def test_every_kind_has_its_case() -> None:
    assert [words for words, _ in KINDS] == list(CASES)


@pytest.mark.parametrize("words", [pytest.param(kind, marks=pytest.mark.real if kind in (Service, NodeProgram) else ()) for kind in CASES])
def test_absent_created_drifted_mended_deleted(words: type, h: Host) -> None:
    case = CASES[words]
    (item,) = want(h, case.make(h))
    assert look(h, item) == [Absent()]
    assert events(do(h, Action.CREATE, item)) == ["begun", "done"]
    before = snapshot(h.root)
    assert same(item, *look(h, item))
    assert snapshot(h.root) == before, "an observe wrote something"
    case.drift(h)
    assert not same(item, *look(h, item))
    assert events(do(h, case.mend, item)) == ["begun", "done"]
    assert same(item, *look(h, item))
    assert events(do(h, Action.DELETE, item)) == ["begun", "done"]
    assert look(h, item) == [Absent()]
    case.tidy(h)


def test_a_directory_that_others_use_stays_and_is_said(h: Host) -> None:
    (item,) = want(h, directory(h))
    do(h, Action.CREATE, item)
    theirs = h.root / "odd 'name'/sub/theirs"
    theirs.write_text("x")
    assert do(h, Action.DELETE, item)[-1].text == "left in place: not empty"
    assert theirs.read_text() == "x"
    theirs.unlink()


def test_a_file_of_a_secret_is_never_readable_by_others_and_never_half(h: Host) -> None:
    (item,) = want(h, file(h))
    (h.root / "-odd name.env").mkdir()
    told = do(h, Action.CREATE, item)
    assert (told[-1].event, told[-1].text) == ("failed", f"{h.root}/-odd name.env is a directory")
    (h.root / "-odd name.env").rmdir()
    assert h.files() == []


def test_a_link_in_place_of_a_file_is_replaced_not_followed(h: Host) -> None:
    (item,) = want(h, file(h))
    theirs = h.root.parent / "theirs"
    theirs.write_text("theirs")
    (h.root / "-odd name.env").symlink_to(theirs)
    assert look(h, item) == [Present({"is": "a link"})]
    do(h, Action.UPDATE, item)
    assert theirs.read_text() == "theirs"
    assert same(item, *look(h, item))
    do(h, Action.DELETE, item)


def test_a_blob_goes_on_where_the_last_attempt_ended(h: Host) -> None:
    wanted = blob(h)
    (item,) = want(h, wanted)
    data = (h.cache / wanted.sha256).read_bytes()
    Path(wanted.path + ".part").write_bytes(data[:1_000_000])
    assert look(h, item) == [Absent()]
    assert do(h, Action.CREATE, item)[-1].text == f"resumed at 1000000 of {wanted.size} bytes"
    assert Path(wanted.path).read_bytes() == data
    do(h, Action.DELETE, item)


def test_a_blob_damaged_here_or_before_is_refused_and_forgotten(h: Host) -> None:
    wanted = blob(h)
    (item,) = want(h, wanted)
    Path(wanted.path + ".part").write_bytes(b"!" * 1_000_000)
    told = do(h, Action.CREATE, item)
    assert told[-1].event == "failed"
    assert "what arrived has sha256" in told[-1].text
    assert h.files() == []
    (h.cache / wanted.sha256).write_bytes(b"short")
    assert "has 5 bytes here" in do(h, Action.CREATE, item)[-1].text


def test_a_blob_with_only_the_mode_wrong_is_not_sent_again(h: Host) -> None:
    wanted = blob(h)
    (item,) = want(h, wanted)
    do(h, Action.CREATE, item)
    inode = Path(wanted.path).stat().st_ino
    Path(wanted.path).chmod(0o600)
    assert not same(item, *look(h, item))
    do(h, Action.UPDATE, item)
    assert same(item, *look(h, item))
    assert Path(wanted.path).stat().st_ino == inode
    do(h, Action.DELETE, item)


def test_what_a_service_restarts_on_is_in_its_definition(h: Host) -> None:
    env = file(h)
    before = want(h, env, Service(**(_fields(service(h)) | {"restart_on": (env.key,)})))
    changed = File(**(_fields(env) | {"content": ("KEY=new\n",)}))
    after = want(h, changed, Service(**(_fields(service(h)) | {"restart_on": (env.key,)})))
    assert before[1].attributes["definition"] != after[1].attributes["definition"]
    assert before[1].attributes["running"] == "yes"


def _fields(resource: Resource) -> dict[str, object]:
    return {name: getattr(resource, name) for kind in type(resource).__mro__ for name in getattr(kind, "__slots__", ())}


@pytest.mark.real
def test_a_taken_port_is_named_before_and_refused_at_the_start(h: Host) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (item,) = want(h, service(h, ports=(port,)))
        comm = Path("/proc/self/comm").read_text().strip()
        why = f"port {port} is taken by pid {os.getpid()} ({comm})"
        assert look(h, item) == [Absent(blocked=why)]
        assert do(h, Action.CREATE, item)[-1] == Progress(key=item.resource.key, event="failed", text=why)
        assert h.files() == []
    assert look(h, item) == [Absent()]


@pytest.mark.real
def test_a_port_of_a_program_of_ours_that_is_ending_is_waited_for(h: Host) -> None:
    """As after the service manager was killed: what works in the service's folder ends by itself, and needs a moment for that."""
    program = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], cwd=h.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ending:
        assert ending.stdin is not None and ending.stdout is not None
        (item,) = want(h, service(h, ports=(int(ending.stdout.readline()),)))
        timer = threading.Timer(1.0, ending.stdin.close)
        timer.start()
        assert look(h, item) == [Absent()]
        timer.join()


@pytest.mark.real
def test_a_service_that_cannot_run_says_its_last_words(h: Host) -> None:
    (item,) = want(h, service(h, argv=("sh", "-c", "echo no such model; exit 1")))
    do(h, Action.CREATE, item)
    for _ in range(100):
        (seen,) = look(h, item)
        assert isinstance(seen, Present)
        if seen.attributes["running"] == "no":
            break
        time.sleep(0.05)
    assert seen.attributes["log"] == "no such model"
    assert seen.attributes["definition"] in (item.attributes["definition"], "unfinished")
    do(h, Action.DELETE, item)
    (item,) = want(h, service(h, argv=("/no/such/program",)))
    told = do(h, Action.CREATE, item)
    assert told[-1].event == "failed"
    assert "/no/such/program" in told[-1].text
    do(h, Action.DELETE, item)


@pytest.mark.real
def test_a_stopped_manager_is_found_out_and_started_again(h: Host) -> None:
    first, second = want(h, service(h, "m1"), service(h, "m2"))
    do(h, Action.CREATE, first, second)
    pid = int((h.root / "run/supervisord.pid").read_text())
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(pid, signal.SIGKILL)
    for child in children:
        os.kill(child, signal.SIGKILL)
    assert [isinstance(seen, Present) and seen.attributes["running"] for seen in look(h, first, second)] == ["no", "no"]
    do(h, Action.START, first, second)
    assert [same(item, seen) for item, seen in zip((first, second), look(h, first, second), strict=True)] == [True, True]
    do(h, Action.DELETE, first, second)


@pytest.mark.real
def test_one_service_changes_and_the_other_keeps_its_pid(h: Host) -> None:
    first, second = want(h, service(h, "m1"), service(h, "m2"))
    do(h, Action.CREATE, first, second)
    before = look(h, first, second)
    (changed,) = want(h, service(h, "m1", ("sleep", "3601")))
    do(h, Action.RESTART, changed)
    after = look(h, changed, second)
    assert _pid(before[1]) == _pid(after[1])
    assert _pid(before[0]) != _pid(after[0])
    do(h, Action.DELETE, changed, second)


@pytest.mark.real
def test_services_do_not_inherit_what_the_caller_carries(h: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRIED_SECRET", "must not travel")
    (item,) = want(h, service(h, argv=(sys.executable, "-c", "import os,time;print(sorted(os.environ),flush=True);time.sleep(99)")))
    do(h, Action.CREATE, item)
    log = h.root / "m1.log"
    for _ in range(100):
        if log.exists() and log.read_text():
            break
        time.sleep(0.02)
    assert "CORTOPS_INPUTS" in log.read_text()
    assert "CARRIED_SECRET" not in log.read_text()
    do(h, Action.DELETE, item)


def _pid(seen: Observed) -> str:
    assert isinstance(seen, Present)
    return seen.attributes["pid"]


@pytest.mark.real
def test_a_supervisord_that_is_not_ours_is_left_alone(h: Host) -> None:
    (h.root / "run").mkdir()
    conf = h.root / "theirs.conf"
    conf.write_text(
        f"[supervisord]\nidentifier=theirs\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={h.root}/run/theirs.pid\n"
        f"[unix_http_server]\nfile={h.root}/run/supervisor.sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
    )
    (item,) = want(h, service(h))
    with subprocess.Popen([sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)], stdout=subprocess.DEVNULL) as theirs:
        try:
            for _ in range(200):
                if (h.root / "run/supervisor.sock").exists():
                    break
                time.sleep(0.02)
            (seen,) = look(h, item)
            assert isinstance(seen, Unseen)
            assert seen.why.endswith("is not ours: it calls itself theirs")
            assert do(h, Action.CREATE, item)[-1].text.endswith("is not ours: it calls itself theirs")
        finally:
            theirs.terminate()
    conf.unlink()
    assert h.files() == []
