"""A box: root inside, with no process of this machine in sight, and gone with whoever opened it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.deploy.rehearsal.copied import demand_box

from cortops.deploy.rehearsal import box as boxes
from cortops.deploy.rehearsal.box import box
from cortops.targets.ask import ask
from cortops.testing.cortensord.network import wait_until
from cortops.words.errors import Refused

pytestmark = pytest.mark.real

LEFT = "setsid nohup sleep 977531 >/dev/null 2>&1 </dev/null & echo left"
OPENS = f"""
import asyncio, pathlib, sys
from cortops.deploy.rehearsal.box import box
from cortops.targets.ask import ask

async def main():
    async with box("copies", pathlib.Path(sys.argv[1])) as place:
        print((await ask(place.target, {LEFT!r}, 10)).out[0], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def left_running(marker: str = "977531") -> bool:
    return subprocess.run(["pgrep", "-f", f"sleep {marker}"], capture_output=True, check=False).returncode == 0


def test_inside_one_is_root_and_alone(tmp_path: Path) -> None:
    demand_box(tmp_path)

    async def inside() -> None:
        async with box("copies", tmp_path) as place:
            script = f"id -u; ls -A /var/lib/cortops; echo ours >/var/lib/cortops/file; [ -d /proc/{os.getpid()} ] || echo alone; {LEFT}"
            said = await ask(place.target, script, 10)
            assert said.out == ("0", "alone", "left"), said
            assert (place.folder / "file").read_text() == "ours\n"
            assert left_running()

    asyncio.run(inside())
    wait_until(lambda: not left_running() and not list(tmp_path.iterdir()), 20)
    assert not Path("/var/lib/cortops/file").exists()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_with_whoever_opened_it(tmp_path: Path, by: signal.Signals) -> None:
    demand_box(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", OPENS, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as opener:
        assert opener.stdout is not None and opener.stdout.readline() == "left\n"
        assert left_running()
        opener.send_signal(by)
    wait_until(lambda: not left_running() and not list(tmp_path.iterdir()), 20)


def test_what_cannot_be_opened_is_refused_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(words: tuple[str, ...]) -> Callable[..., object]:
        return lambda tool: None if tool in words else f"/usr/bin/{tool}"

    async def opened() -> None:
        async with box("copies", tmp_path):
            pass

    monkeypatch.setattr("shutil.which", without(("nsenter",)))
    with pytest.raises(Refused, match="no place to rehearse in: it has no nsenter"):
        asyncio.run(opened())
    monkeypatch.setattr("shutil.which", without(()))
    monkeypatch.setattr(boxes, "_FIRST", "echo 'unshare: Operation not permitted' >&2; exit 1")
    with pytest.raises(Refused, match="no place to rehearse in: unshare: Operation not permitted") as refused:
        asyncio.run(opened())
    assert "Run it by sudo" in refused.value.next
    assert list(tmp_path.iterdir()) == []
