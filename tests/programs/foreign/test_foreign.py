"""The starter of programs of others: folders, files, the first start, the account; then the program, and its end with its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cortops.protocol.foreign import ForeignSettings, render

START = [sys.executable, "-m", "cortops.programs.foreign"]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can enter, which pytest's own is not."""
    with TemporaryDirectory(prefix="cortops-foreign-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def settings_of(folder: Path, *argv: str) -> ForeignSettings:
    return ForeignSettings(argv=argv or ("/bin/true",), folder=str(folder))


@pytest.fixture
def start(tmp_path: Path) -> Callable[[ForeignSettings], subprocess.CompletedProcess[str]]:
    def run(settings: ForeignSettings) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "settings.json"
        path.write_text(render(settings))
        return subprocess.run([*START, str(path)], capture_output=True, text=True, timeout=30, check=False, umask=0o077)

    return run


Start = Callable[[ForeignSettings], subprocess.CompletedProcess[str]]


def test_it_becomes_the_program_in_its_data_folder(folder: Path, start: Start) -> None:
    done = start(settings_of(folder, "/bin/sh", "-c", 'pwd; echo "$1"; exit 7', "sh", "{data}/x"))
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{folder}/data\n{folder}/data/x\n", "")
    assert (folder / "data").stat().st_mode & 0o777 == 0o700


def test_the_first_start_runs_once_and_what_it_made_is_the_data(folder: Path, start: Start) -> None:
    said = 'echo first >>"$1/log"; echo "$PLACE" >>"$1/log"'
    settings = replace(
        settings_of(folder, "/bin/cat", "{data}/log"), first_start=("/bin/sh", "-c", said, "sh", "{data}"), env={"PLACE": "{data}"}
    )
    assert start(settings).stdout == f"first\n{folder}/new\n"
    assert start(settings).stdout == f"first\n{folder}/new\n", "and not again"
    assert not (folder / "new").exists()


def test_a_first_start_that_failed_or_was_cut_off_begins_anew(folder: Path, start: Start) -> None:
    half = ("/bin/sh", "-c", 'ls -A "$1"; touch "$1/half"; exit 3', "sh", "{data}")
    done = start(replace(settings_of(folder), first_start=half))
    assert done.returncode == 1 and done.stdout == "" and "first start ended with status 3: /bin/sh" in done.stderr
    assert (folder / "new" / "half").exists() and not (folder / "data").exists()
    whole = ("/bin/sh", "-c", 'ls -A "$1"; touch "$1/whole"', "sh", "{data}")
    assert start(replace(settings_of(folder, "/bin/ls", "{data}"), first_start=whole)).stdout == "whole\n"


def test_files_are_copied_and_those_of_yesterday_go(folder: Path, start: Start, tmp_path: Path) -> None:
    source = tmp_path / "a.conf"
    source.write_bytes(b"one")
    settings = replace(settings_of(folder, "/bin/cat", f"{folder}/files/a"), files={"a": str(source)})
    assert start(settings).stdout == "one"
    source.write_bytes(b"two")
    assert start(replace(settings, files={"a": str(source), "b": str(source)})).stdout == "two"
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder / "files").iterdir()} == {"a": 0o600, "b": 0o600}
    assert start(settings).stdout == "two" and [path.name for path in (folder / "files").iterdir()] == ["a"]


def test_secrets_are_in_its_environment_and_nowhere_else(folder: Path, start: Start, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('a "b"\n')
    settings = replace(settings_of(folder, "/bin/sh", "-c", 'echo "$WORD $PLAIN"'), secrets={"WORD": str(secret)}, env={"PLAIN": "{data}"})
    assert start(settings).stdout == f'a "b" {folder}/data\n'


@as_root
def test_the_program_and_its_first_start_run_as_their_account(folder: Path, start: Start, tmp_path: Path) -> None:
    source = tmp_path / "kept"
    source.write_text("for it alone")
    source.chmod(0o600)
    settings = replace(
        settings_of(folder, "/bin/sh", "-c", f'id -un; id -G; cat {folder}/files/kept; stat -c " %U" "$1"/*', "sh", "{data}"),
        user="nobody",
        files={"kept": str(source)},
        first_start=("/bin/sh", "-c", 'id -un >"$1/made"', "sh", "{data}"),
    )
    done = start(settings)
    groups = subprocess.run(["id", "-G", "nobody"], capture_output=True, text=True, check=True).stdout
    assert done.stdout == f"nobody\n{groups}for it alone nobody\n", done.stderr
    assert (folder / "data" / "made").read_text() == "nobody\n"
    owners = {path.name: path.owner() for path in (folder, folder / "files", folder / "files" / "kept", folder / "data")}
    assert owners == {folder.name: "root", "files": "root", "kept": "nobody", "data": "nobody"}


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"argv": ("/no/such/program",)}, 127, "/no/such/program cannot be run by"),
        ({"argv": ("/dev/null",)}, 126, "/dev/null cannot be run by"),
        ({"user": "nobody-of-that-name"}, 2, "there is no account nobody-of-that-name on this host"),
        ({"files": {"a": "/no/such/file"}}, 1, "/no/such/file: No such file or directory"),
        ({"first_start": ("/no/such/first",)}, 1, "/no/such/first"),
    ],
)
def test_what_cannot_be_started_is_said_in_one_line(folder: Path, start: Start, change: dict[str, object], status: int, said: str) -> None:
    done = start(replace(settings_of(folder), **change))  # type: ignore[arg-type]
    assert done.returncode == status and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_settings_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    for words, said in (([], "usage"), ([str(tmp_path / "x")], "no settings"), ([str(tmp_path / "y")], "No such file")):
        done = subprocess.run([*START, *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0 and said in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
@pytest.mark.parametrize("user", ["", pytest.param("nobody", marks=as_root)])
def test_the_program_gets_its_stop_signal_when_its_parent_ends(folder: Path, tmp_path: Path, user: str) -> None:
    settings = replace(settings_of(folder, "/bin/sh", "-c", "echo $$; exec sleep 60"), user=user, stop_signal="INT")
    path = tmp_path / "settings.json"
    path.write_text(render(settings))
    with subprocess.Popen(["sh", "-c", '"$@" & wait', "sh", *START, str(path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        ends = select.poll()
        ends.register(pid := os.pidfd_open(child))
        os.kill(parent.pid, signal.SIGKILL)
        ended = ends.poll(5000)
        os.close(pid)
        if not ended:
            os.kill(child, signal.SIGKILL)
        assert ended
