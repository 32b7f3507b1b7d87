"""Programs that are made to be bad do what they are made for."""

from __future__ import annotations

import platform
import signal
import subprocess
from pathlib import Path

import pytest

from cortops.deploy.rehearsal.made import CRASHES, DIES, LINGERS, STEADY, Exit, Made, Say, Sleep, demand_machine
from cortops.words.errors import Refused

HERE = pytest.mark.skipif(platform.machine() != "x86_64", reason="made programs run on x86_64")


def run(made: Made, folder: Path) -> subprocess.Popen[str]:
    program = folder / made.name
    program.write_bytes(made.data)
    program.chmod(0o755)
    return subprocess.Popen([str(program), ".env", "minerv4", "1", "docker"], stdout=subprocess.PIPE, text=True)


@HERE
@pytest.mark.parametrize("made", [CRASHES, Made(name="later", does="", acts=(Say("later"), Sleep(0), Exit(1)))])
def test_one_ends_by_itself(made: Made, tmp_path: Path) -> None:
    said, _ = (process := run(made, tmp_path)).communicate(timeout=20)
    assert (process.returncode, said.split()[0]) == (1, made.name if made is CRASHES else "later")


@HERE
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_one_ends_when_it_is_asked_to(tmp_path: Path, asked: signal.Signals) -> None:
    with run(STEADY, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made-steady runs\n"
        assert process.poll() is None
        process.send_signal(asked)
        assert process.wait(20) == 0


@HERE
def test_one_takes_its_time(tmp_path: Path) -> None:
    with run(LINGERS, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "made-lingers takes its time\n"
        assert process.poll() is None, "asked, and still there"
        process.kill()


def test_each_is_another_program_and_always_the_same() -> None:
    made = (STEADY, CRASHES, DIES, LINGERS)
    assert len({one.sha256 for one in made}) == len(made)
    assert STEADY.data == STEADY.data
    assert max(len(one.data) for one in made) < 1_000


def test_another_machine_is_refused_by_name() -> None:
    demand_machine("x86_64")
    with pytest.raises(Refused, match="run on x86_64, and this machine is aarch64"):
        demand_machine("aarch64")
