"""`cortops secrets`: names, kinds and public parts; a value goes in by standard input and never comes out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.surfaces.stage import EXAMPLE

from cortops.cli import main
from cortops.contracts.keccak import keccak256
from cortops.contracts.wallet import new_private_key
from cortops.testing.chain import wallet_of

NAME = "miner-1/key"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("secrets", *words))
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path))
    monkeypatch.setenv("CORTOPS_HOME", str(tmp_path))


def test_before_the_first_apply_all_are_named_and_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", str(EXAMPLE), "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["kind"] for row in rows}.items() >= {NAME: "wallet", "smollm2/api-key": "token"}.items()
    assert all(row["created_at"] is None and row["public"] == "" for row in rows)
    assert run("list", str(EXAMPLE)) == 0
    assert capsys.readouterr().out.count("not yet") == len(rows)
    assert not list(tmp_path.iterdir()), "looking makes nothing"


def test_a_value_is_read_from_standard_input_and_only_its_address_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, address = new_private_key(keccak256(b"cortops test cli")), wallet_of("cli").address
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    assert run("set", NAME, str(EXAMPLE), "--json") == 0
    assert run("list", str(EXAMPLE)) == 0
    said = capsys.readouterr()
    assert f'"name": "{NAME}"' in said.out and address in said.out
    assert key not in said.out + said.err and key[2:] not in said.out + said.err


@pytest.mark.parametrize(("name", "value"), [("nobody/key", "value-of-nobody"), (NAME, "no-private-key"), (NAME, "")])
def test_a_name_that_is_not_wanted_and_a_value_that_does_not_fit_are_bad_input(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(value))
    assert run("set", name, str(EXAMPLE), "--json") == 2
    said = capsys.readouterr().out
    assert json.loads(said)["error"]["code"] == "bad_input"
    assert not value or value not in said
