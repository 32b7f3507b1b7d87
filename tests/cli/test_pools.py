"""`cortops pools` and its verbs where no gateway runs: the file and the store are enough to see, drain and undrain."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cortops.cli import main
from cortops.cli.common import Common, environment
from cortops.cli.places import gateway_store
from cortops.protocol.keys import open_keys

GOOD = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"
BASE = "30000"  # nobody listens there


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CORTOPS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CORTOPS_PORT_BASE", BASE)
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
    monkeypatch.chdir(tmp_path)
    yield
    gc.enable()


@pytest.fixture
def store(own_folders: None) -> Path:
    """A store as the gateway makes it at its first start."""
    common = Common(port_base=int(BASE))
    path = Path(gateway_store(environment(GOOD, common), common).keys_db)
    open_keys(path).close()
    return path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def read(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert run(*words, "--json") == status
    return json.loads(capsys.readouterr().out)


def test_the_verb_may_be_left_out(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    every = read(capsys, "pools", str(GOOD), status=3)
    named = read(capsys, "pools", "smollm2", str(GOOD), status=3)
    shown = read(capsys, "pools", "show", "smollm2", str(GOOD), status=3)
    assert every["pools"] == named["pools"] == shown["pools"]
    (pool,) = named["pools"]
    assert (pool["state"], pool["in_flight"], pool["queued"]) == ("unknown", None, None), "what nobody tells is not zero"
    member = pool["members"][0]
    assert (member["name"], member["upstream"], member["sessions"], member["slots"]) == (
        *("router-1", f"http://127.0.0.1:{5010 + int(BASE)}"),
        *({"smollm2": [1]}, 1),
    )


def test_a_drain_is_kept_with_who_when_and_why(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    told = read(capsys, "pools", "drain", "router-2", str(GOOD), "--why", "a new kernel")
    assert (told["member"], told["why"], told["in_flight"]) == ("router-2", "a new kernel", None) and "@" in told["by"]
    row = read(capsys, "pools", str(GOOD), status=3)["pools"][0]["members"][1]
    assert row["state"] == "maintenance" and row["drain"]["by"] == told["by"]
    assert run("pools", "drain", "router-1", str(GOOD)) == 1
    assert "router-1 is the last one of pool smollm2 that takes requests" in capsys.readouterr().err
    assert run("pools", "drain", "router-1", str(GOOD), "--force") == 0
    assert read(capsys, "pools", "undrain", "router-2", str(GOOD))["ended_by"] == told["by"]
    assert run("pools", "undrain", "router-2", str(GOOD)) == 2
    assert "'router-2' is not drained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("pools", "nope"), "there is no pool 'nope'"),
        (("pools", "drain", "miner-1"), "'miner-1' is in no pool"),
        (("pools", "drain", "router-1", "--why", "x" * 500), "why has at most 200"),
    ],
)
def test_what_is_wrong_is_told(capsys: pytest.CaptureFixture[str], store: Path, words: tuple[str, ...], what: str) -> None:
    assert run(*words, str(GOOD)) == 2
    assert what in capsys.readouterr().err


def test_before_the_first_apply_there_is_no_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert "drains are not known" in read(capsys, "pools", str(GOOD), status=3)["note"]
    assert run("pools", "drain", "router-2", str(GOOD)) == 1
