"""`plan`, `status` and `apply` of a node that was there before us, started by hand on this machine: looked at, never touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cortops.cli import main

pytestmark = pytest.mark.real

ADDRESS = "0x00000000000000000000000000000000000000a3"


@dataclass(frozen=True, slots=True)
class ByHand:
    """A folder as the installer leaves it. What runs as cortensord is `cat`, which waits for a pipe that has the name of the role."""

    home: Path
    process: subprocess.Popen[bytes]

    @property
    def file(self) -> Path:
        return self.home / "lab.yaml"

    def stamps(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.home.rglob("*")}


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByHand]:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    home = tmp_path / "me"
    folder = home / ".cortensor"
    (folder / "bin").mkdir(parents=True)
    (folder / "logs").mkdir()
    program = Path(shutil.copy(shutil.which("cat") or "", folder / "bin" / "cortensord"))
    (folder / ".env").write_text(f'NODE_PUBLIC_KEY="{ADDRESS}"\nCHAINID=421614\n')
    os.mkfifo(folder / "minerv2")
    node = {
        "program": "cortensord",
        "role": "miner",
        "runs": "minerv2",
        "host": "here",
        "shape": "nohup",
        "binary": str(program),
        "env_file": f"{folder}/.env",
        "log": f"{folder}/logs/cortensord.log",
        "address": ADDRESS,
    }
    gone = node | {"unit": "cortensor-993.service", "shape": "ansible", "env_file": "/home/deploy/.env-993", "log": "/home/deploy/993.log"}
    gone = {key: value for key, value in gone.items() if key != "address"}
    text = {
        "format": 1,
        "environment": "lab",
        "owners": {"default": "ops@lab.example"},
        "hosts": {"here": {"local": True}},
        "network": {"like": "testnet-0", "rpc": {"url": "http://127.0.0.1:9"}},
        "nodes": {"m1": node, "m2": gone},
    }
    with (folder / "logs" / "cortensord.log").open("wb") as log:
        process = subprocess.Popen([str(program), ".env", "minerv2"], cwd=folder, stdout=log)
    made = ByHand(home, process)
    made.file.write_text(json.dumps(text))  # JSON is YAML
    try:
        yield made
    finally:
        process.kill()
        process.wait()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main((*words, "--json"))
    assert isinstance(ended.value.code, int)
    return ended.value.code, json.loads(capsys.readouterr().out)


def test_a_node_as_found_plans_to_no_change_and_one_that_is_gone_is_told(by_hand: ByHand, capsys: pytest.CaptureFixture[str]) -> None:
    code, shape = said(capsys, "plan", str(by_hand.file))
    before = by_hand.stamps()
    assert (code, shape["changes"], shape["secrets_to_make"]) == (3, [], [])
    (unchanged,), (unknown,) = shape["unchanged"], shape["unknown"]
    assert (unchanged["resource"], unchanged["differs"]) == ("cortensord:m1", False)
    assert f"as found, pid {by_hand.process.pid} since " in unchanged["reason"]
    assert (unknown["target"], unknown["resource"]) == ("here", "cortensord:m2")
    assert said(capsys, "plan", str(by_hand.file))[1]["digest"] == shape["digest"], "what runs on is no change"
    code, applied = said(capsys, "apply", str(by_hand.file))
    assert (code, applied["changes"], applied["generation"]) == (0, 0, 0)
    assert by_hand.stamps() == before and by_hand.process.poll() is None
    assert not (by_hand.home.parent / "data").exists()


def test_status_says_whether_it_runs_and_not_whether_it_should(by_hand: ByHand, capsys: pytest.CaptureFixture[str]) -> None:
    _, shape = said(capsys, "status", str(by_hand.file))
    states = {row["entity"]: (row["state"], row["reason"]) for row in shape["entities"]}
    assert states["miner/m1"] == ("ok", f"runs, pid {by_hand.process.pid}")
    assert states["host/here"][0] == "ok"
    by_hand.process.kill()
    by_hand.process.wait()
    _, shape = said(capsys, "status", str(by_hand.file))
    states = {row["entity"]: (row["state"], row["reason"]) for row in shape["entities"]}
    assert states["miner/m1"] == ("down", "no process of it")
    _, shape = said(capsys, "plan", str(by_hand.file))
    assert [item["reason"] for item in shape["unchanged"]] == ["as found, and it does not run; not adopted"]
