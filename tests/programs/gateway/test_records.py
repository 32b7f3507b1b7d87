"""Keys and usage, asked by one request: in this process, and of the program that another host runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cortops.programs.gateway.key_records import Issue, ListKeys, Revoke
from cortops.programs.gateway.records import Request, answer
from cortops.programs.gateway.usage_records import TaskUsage
from cortops.protocol import keys
from cortops.words.errors import StoreMissing, UnknownName

NOW = 1_000.0


@pytest.fixture
def keys_db(tmp_path: Path) -> str:
    path = tmp_path / "keys.db"
    keys.open_keys(path).close()
    return str(path)


def chance(count: int) -> bytes:
    return bytes(range(count))


def program(request: Request) -> dict[str, object]:
    """What it writes, run as on another host."""
    argv = [sys.executable, "-m", "cortops.programs.gateway.records"]
    done = subprocess.run(argv, input=msgspec.json.encode(request), capture_output=True, timeout=60, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, object])


def test_a_key_is_issued_listed_and_taken_back(keys_db: str) -> None:
    issued = answer(Issue(keys_db=keys_db, environment="lab", name="me", days=2), NOW, chance)
    assert isinstance(issued, keys.IssuedKey) and issued.key.startswith("ck_lab_") and issued.row.expires_at == NOW + 2 * 86_400
    assert answer(ListKeys(keys_db=keys_db), NOW, chance) == [issued.row]
    taken = answer(Revoke(keys_db=keys_db, id=issued.row.id), NOW + 1, chance)
    assert isinstance(taken, keys.KeyRow) and taken.revoked_at == NOW + 1
    with pytest.raises(UnknownName):
        answer(Revoke(keys_db=keys_db, id="key_none"), NOW, chance)


def test_what_was_never_counted_is_nothing_and_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert answer(TaskUsage(usage_db=str(tmp_path / "none.db"), session=1, task=1), NOW, chance) == []
    for missing in (tmp_path / "none.db", tmp_path / "none.url"):  # the second would hold the address of a database
        with pytest.raises(StoreMissing, match=f"there is no .*{missing.name}"):
            answer(ListKeys(keys_db=str(missing)), NOW, chance)
    error = program(ListKeys(keys_db=str(tmp_path / "none.db")))["error"]
    assert isinstance(error, dict) and (error["code"], error["where"]) == ("store_missing", str(tmp_path / "none.db"))


def test_the_program_answers_in_one_line_and_tells_an_error_as_such(keys_db: str) -> None:
    told = program(Issue(keys_db=keys_db, environment="lab", name="me"))
    made = msgspec.convert(told["answer"], keys.IssuedKey)
    assert answer(ListKeys(keys_db=keys_db), NOW, chance) == [made.row]
    refused = program(Revoke(keys_db=keys_db, id="key_none"))["error"]
    assert isinstance(refused, dict) and (refused["code"], refused["next"]) == ("unknown_name", "see the ids: cortops keys list")
