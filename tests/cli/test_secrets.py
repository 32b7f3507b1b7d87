"""`cortops secrets`: names, kinds and public parts; a value goes in by standard input and never comes out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces.stage import EXAMPLE

from cortops.cli import main
from cortops.cli.secrets_check import ATTENTION, ILL
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


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = run(*words, "--json")
    return code, dict(json.loads(capsys.readouterr().out))


def keep(monkeypatch: pytest.MonkeyPatch, name: str, value: str, file: Path = EXAMPLE) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{value}\n"))
    assert run("set", name, str(file)) == 0


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A file whose secrets lie in an age file beside it, for the two of us."""
    recipients = []
    for who in ("other", "me"):
        monkeypatch.setenv("CORTOPS_IDENTITY", str(tmp_path / who / "identity.txt"))
        code, said = told(capsys, "identity")
        assert code == 0 and said["made"] and (tmp_path / who / "identity.txt").stat().st_mode & 0o777 == 0o600
        recipients.append(said["recipient"])
    file = tmp_path / "lab.yaml"
    file.write_text(EXAMPLE.read_text() + f"\nrules: {{secrets: {{file: lab.age, recipients: [{', '.join(recipients)}]}}}}\n")
    return file


def test_secrets_of_one_machine_move_to_a_file_that_others_open(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(monkeypatch, "smollm2/api-key", "a-token-of-this-test")
    capsys.readouterr()
    code, said = told(capsys, "list", str(shared))
    assert (code, said["error"]["next"]) == (1, "Move them there: cortops secrets seal")
    code, said = told(capsys, "seal", str(shared))
    assert (code, said["moved"], said["recipients"]) == (0, ["smollm2/api-key"], 2)
    monkeypatch.setenv("CORTOPS_IDENTITY", str(tmp_path / "other" / "identity.txt"))
    assert run("list", str(shared)) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("smollm2/api-key"))
    assert "lab.age" in line and "a-token" not in line


def test_an_old_value_is_listed_and_can_be_forgotten(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (b"one", b"two"):
        keep(monkeypatch, NAME, new_private_key(keccak256(seed)))
    capsys.readouterr()
    assert run("list", str(EXAMPLE), "--json") == 0
    (old,) = (row for row in json.loads(capsys.readouterr().out) if row["name"].startswith(f"{NAME}@"))
    assert old["public"] and old["fingerprint"]
    assert told(capsys, "remove", NAME, str(EXAMPLE))[0] == 2
    assert told(capsys, "remove", old["name"], str(EXAMPLE)) == (0, {"removed": old["name"]})


def test_what_is_made_anew_is_shown_before_it_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = told(capsys, "rotate", NAME, str(EXAMPLE))
    assert (code, said["error"]["code"]) == (1, "secret_missing")
    keep(monkeypatch, NAME, new_private_key(keccak256(b"one")))
    before = _fingerprint(capsys)
    code, said = told(capsys, "rotate", NAME, str(EXAMPLE))
    assert (code, said["done"], said["public"]) == (3, False, "")
    assert {"place": "here", "what": "restarted", "resource": "service:miner-1"} in said["follows"]
    assert _fingerprint(capsys) == before, "nothing was changed"
    code, said = told(capsys, "rotate", NAME, str(EXAMPLE), "--yes")
    assert (code, said["done"], len(said["public"])) == (0, True, 42)
    assert _fingerprint(capsys) != before


def _fingerprint(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run("list", str(EXAMPLE), "--json") == 0
    return str(next(row["fingerprint"] for row in json.loads(capsys.readouterr().out) if row["name"] == NAME))


def test_check_finds_a_value_where_it_should_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    value = keccak256(b"a token of this test").hex()
    keep(monkeypatch, "smollm2/api-key", value)
    capsys.readouterr()
    code, said = told(capsys, "check", str(EXAMPLE))
    assert code == ATTENTION and said["machines"] == [{"machine": "here", "searched_for": 2, "why": ""}]
    assert {remark["level"] for remark in said["remarks"]} == {"attention"}
    log = tmp_path / "local" / "log" / "smollm2.log"
    log.parent.mkdir()
    log.write_text(f"authorization: Bearer {value}\n")
    assert run("check", str(EXAMPLE)) == ILL
    told_people = capsys.readouterr().out
    assert value not in told_people
    line = next(line for line in told_people.splitlines() if line.startswith("!"))
    assert f"here:{log}" in line and "next: remove it there, then cortops secrets rotate smollm2/api-key" in line


def test_what_others_keep_is_listed_without_asking_and_told_when_they_do_not_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(
        EXAMPLE.read_text() + "\nrules: {secrets: {from: {smollm2/api-key: {env: LAB_TOKEN}, '*/key': {command: ['false']}}}}\n"
    )
    assert run("list", str(file)) == 0
    listed = capsys.readouterr().out
    assert "env LAB_TOKEN" in listed and "command false" in listed
    code, said = told(capsys, "rotate", "smollm2/api-key", str(file))
    assert (code, said["error"]["what"]) == (2, "smollm2/api-key is not kept here: it comes from env LAB_TOKEN")
    monkeypatch.setattr("sys.stdin", io.StringIO("x"))
    assert told(capsys, "set", "smollm2/api-key", str(file))[0] == 2
    code, said = told(capsys, "check", str(file))
    whats = {remark["secret"]: remark["what"] for remark in said["remarks"]}
    assert code == ILL and "which is not set" in whats["smollm2/api-key"] and "ended with status 1" in whats[NAME]
