"""`cortops report --share`: a block to paste, with nothing in it that is ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB, bare_hosts, put_in_place, silence

from cortops.cli import main

PRIVATE = ("lab.example", "me@", "a-key-in-the-path", "rpc.lab", "m07", "0xa1a1a1a1", "/home/", "cortensor/.env", "lab ·")


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("report", *words))
    return int(ended.value.code or 0)


def test_one_block_without_anything_of_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    put_in_place(monkeypatch, bare_hosts)
    assert run("--share", "lab.yaml") == 3
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == lines[-1] == "```" and lines[1].startswith("cortops ") and "a network of its own (chain 31338)" in lines[1]
    assert "h1: Debian GNU/Linux 12 x86_64, 0 nodes" in lines and "h2: Debian GNU/Linux 12 x86_64, 0 nodes" in lines
    assert any(line.startswith("■ ") and "is declared, and its host has no such node" in line for line in lines)
    assert not [private for private in PRIVATE if private in said.out]


def test_json_holds_the_same_and_no_more(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    put_in_place(monkeypatch, silence)
    assert run("--share", "lab.yaml", "--json") == 1
    said = capsys.readouterr().out
    assert json.loads(said)["hosts"] == ["h1: did not answer", "h2: did not answer"]
    assert not [private for private in PRIVATE if private in said]


def test_it_is_made_to_be_shared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lab.yaml") == 2
    assert "cortops report --share" in capsys.readouterr().err
