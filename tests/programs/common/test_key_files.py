"""A key that stays in a file of its host: the program reads it there, and only from a file that not everybody can read."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import pytest

from cortops.contracts.keccak import keccak_hex
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, run
from cortops.protocol.settings import OracleSettings
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, PermissionMissing

KEY = keccak_hex(b"a key that stays on its host")
SETTINGS = {"NODE_NAME": "o1", "RPC_URL": "http://127.0.0.1:1", "CHAINID": "1", "NODE_PUBLIC_KEY": "0x" + "1" * 40, "NODE_BIND_PORT": "1"}


def settings_of(folder: Path, **more: str) -> OracleSettings:
    keys = {spec.metadata["key"]: SETTINGS.get(spec.metadata["key"], "1") for spec in fields(OracleSettings)}
    del keys["NODE_PRIVATE_KEY"]
    path = folder / "oracle.env"
    path.write_text("".join(f"{key}={value}\n" for key, value in {**keys, **more}.items()))
    return env_file(OracleSettings)(path)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


def test_the_key_is_read_from_its_file(tmp_path: Path, key_file: Path) -> None:
    assert settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file)).private_key == KEY
    other = keccak_hex(b"another")
    assert settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file), NODE_PRIVATE_KEY=other).private_key == other


def test_a_file_of_its_own_group_is_read_and_one_that_all_may_read_is_not(tmp_path: Path, key_file: Path) -> None:
    key_file.chmod(0o640)
    assert settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file)).private_key == KEY
    key_file.chmod(0o604)
    with pytest.raises(PermissionMissing, match=r"can be read by every user of this host \(mode 0604\)") as caught:
        settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file))
    assert caught.value.next == f"Run there: chmod 600 {key_file}"


def test_a_key_file_that_is_not_there_or_holds_no_text_is_named(tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(BadInput, match="/none cannot be read"):
        settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=f"{tmp_path}/none")
    key_file.write_text("\n")
    with pytest.raises(BadInput, match="NODE_PRIVATE_KEY: missing"):
        settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file))


def test_a_key_from_a_file_is_taken_out_of_the_log_too(tmp_path: Path, key_file: Path) -> None:
    settings_of(tmp_path, NODE_PRIVATE_KEY_FILE=str(key_file))
    out = io.BytesIO()

    async def serve(settings: OracleSettings, log: Log) -> None:
        log.info("said", what=f"it is {settings.private_key}")

    assert run("oracle", env_file(OracleSettings), serve, [f"{tmp_path}/oracle.env"], out, VirtualClock()) == 0
    assert b"said" in out.getvalue() and KEY[2:].encode() not in out.getvalue()
