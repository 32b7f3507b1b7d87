"""What goes wrong at `up`: one clear sentence, what to do, the right exit status, nothing half-written, nothing left running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cortops.testing.binaries import SMOLLM2, anvil, anvil_artifact
from cortops.testing.local import RUN_TIMEOUT_S, SMALL, LocalEnvironment, Place, ask, place

pytestmark = pytest.mark.real

# Registries where nobody answers, whatever this machine is set up with; the clients' own settings are left out.
NO_NETWORK = {
    **{name: "" for name in os.environ if name.upper().startswith("PIP_") or name.lower().endswith("_proxy")},
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "npm_config_registry": "http://127.0.0.1:9/",
    "npm_config_userconfig": os.devnull,
    "NO_PROXY": "*",
}
INTERRUPTED = (130, -signal.SIGINT)  # a shell shows 130 for both; early in its start Python itself chooses the second
INTERRUPTED_AFTER_S = (0.3, 0.8, 1.5, 2.5, 4.0)
IMPATIENT_AFTER_S = 2.0
KILLED_AT: tuple[Callable[[Path], bool], ...] = (
    lambda root: (root / "lock.json").exists(),
    lambda root: _journal(root).count('"intent"') >= 8,
    lambda root: "service:router-1" in _journal(root),
)


@pytest.fixture(scope="module")
def where() -> Iterator[Place]:
    """A place that each test leaves empty; one of each is enough to go wrong."""
    with place(file=SMALL) as made:
        yield made


@pytest.fixture
def empty(where: Place) -> Iterator[Place]:
    yield where
    assert where.run("down", "--purge").returncode == 0
    where.assert_quiet()
    assert not where.root.exists()


def _told(done: subprocess.CompletedProcess[str], *, status: int = 1) -> str:
    """The error as people see it: one sentence with what to do next, no traceback, nothing on standard output."""
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and re.search(r"^  next: +\S", done.stderr, re.MULTILINE), done.stderr
    return errors[0]


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    with process:
        out, err = process.communicate(timeout=RUN_TIMEOUT_S)
    return subprocess.CompletedProcess((), process.returncode, out, err)


def test_a_taken_port_is_named_with_who_has_it(empty: Place) -> None:
    assert empty.env.gateway is not None
    port = empty.env.gateway.port
    with socket.create_server(("127.0.0.1", port)):
        done = empty.run("up", "--detach")
        assert f"port {port} is taken" in _told(done) and f"pid {os.getpid()}" in done.stderr
        assert empty.processes() == {}
        assert not empty.root.exists(), "nothing was written"
        shown = empty.read("up", "--detach", status=1)["error"]
        assert shown["code"] == "port_taken" and str(port) in shown["what"] and shown["next"]


def _with(where: Place, environ: Mapping[str, str]) -> Place:
    return replace(where, environ={**where.environ, **environ})


def _refuses(where: Place) -> str:
    """`up` refuses before it writes anything; the sentence."""
    said = _told(where.run("up", "--detach"))
    where.assert_quiet()
    assert not where.root.exists()
    return said


def test_no_network_on_the_first_run(empty: Place, tmp_path: Path) -> None:
    said = _refuses(_with(empty, {**NO_NETWORK, "CORTOPS_HOME": str(tmp_path)}))
    assert re.match(r"error: no network, and (anvil|smollm2) is not in the cache", said)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "locks"] == []


def test_a_damaged_model_file_is_not_used(empty: Place, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / anvil_artifact().sha256).symlink_to(anvil())
    damaged = artifacts / SMOLLM2.sha256
    with damaged.open("wb") as file:
        file.truncate(SMOLLM2.size)  # its size, none of its bytes
    said = _refuses(_with(empty, {**NO_NETWORK, "CORTOPS_HOME": str(tmp_path)}))
    assert said == "error: smollm2 in the cache was damaged and could not be fetched again: no network"
    assert not damaged.exists()


def test_a_place_that_may_not_be_written(empty: Place) -> None:
    """Root may write everywhere but below a file, so anybody can run this."""
    file = empty.data / "file"
    file.write_text("kept")
    try:
        said = _told(_with(empty, {"CORTOPS_DATA": str(file)}).run("up", "--detach"))
        assert said.endswith(f"cannot be made: {file} is no folder")
        assert file.read_text() == "kept"
        empty.assert_quiet()
    finally:
        file.unlink()


def test_two_ups_at_once(empty: Place) -> None:
    ups = [empty.start("up", "--detach", empty.env.file) for _ in range(2)]
    won, lost = sorted((_ended(up) for up in ups), key=lambda done: done.returncode)
    assert won.returncode == 0, won.stderr
    assert " is up after " in won.stdout
    assert re.search(r"\(pid \d+\) has been applying since", _told(lost))
    assert empty.read("status")["state"] == "ok"
    assert empty.read("plan")["changes"] == []


@pytest.mark.proof
def test_ctrl_c_at_any_moment(empty: Place) -> None:
    for moment_s in INTERRUPTED_AFTER_S:
        up = empty.start("up", empty.env.file)
        time.sleep(moment_s)
        if moment_s > IMPATIENT_AFTER_S:  # a second one changes nothing
            up.send_signal(signal.SIGINT)
            time.sleep(0.2)
        _interrupt(up, f"after {moment_s} s")
        empty.assert_quiet()
    up = empty.start("up", empty.env.file)
    assert up.stdout is not None
    printed = _until_up(up)
    assert empty.read("status")["state"] == "ok", "what was interrupted is finished by the next"
    _ask_with_printed_key(empty, printed)
    _interrupt(up, "when it is up")
    empty.assert_quiet()
    assert empty.root.exists(), "the data stays"


@pytest.mark.proof
def test_the_next_up_finishes_what_a_kill_cut_off(empty: Place) -> None:
    for is_now in KILLED_AT:
        up = empty.start("up", "--detach", empty.env.file)
        while not is_now(empty.root) and up.poll() is None:
            time.sleep(0.01)
        up.kill()
        assert _ended(up).returncode == -signal.SIGKILL
    done = empty.run("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert re.search(r"took over the lock of .+ \(pid \d+\): that process is gone", done.stderr)
    assert empty.read("status")["state"] == "ok"
    assert empty.read("plan")["changes"] == []
    _ask_with_printed_key(empty, done.stdout)


def _journal(root: Path) -> str:
    path = root / "journal.jsonl"
    return path.read_text() if path.exists() else ""


def _interrupt(up: subprocess.Popen[str], when: str) -> None:
    """Ctrl-C: cut off while it works; once all is well, the way in which a viewer ends."""
    up.send_signal(signal.SIGINT)
    done = _ended(up)
    exits = (0,) if "Ctrl-C stops everything" in done.stderr else INTERRUPTED
    assert done.returncode in exits, f"{when}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, f"{when}: {done.stderr}"


def _until_up(up: subprocess.Popen[str]) -> str:
    """What it prints until the invitation is whole."""
    assert up.stdout is not None
    lines = []
    for line in up.stdout:
        lines.append(line)
        if line.lstrip().startswith("-d "):
            return "".join(lines)
    raise AssertionError(f"it ended: {''.join(lines)}")


def _ask_with_printed_key(where: Place, printed: str) -> None:
    key = re.search(r"Bearer (\S+)'", printed)
    assert key, printed
    answer = ask(LocalEnvironment(place=where, endpoints=where.read("status")["endpoints"], key=key[1], task=""))
    assert answer["choices"][0]["message"]["content"]
