"""`cortops chain` and `cortops contracts` as people and programs get them, asked of the fake pair in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces.chain.orbit_stage import FILE, fields

from cortops.cli import main
from cortops.contracts.artifact import load
from cortops.environment.chain_parts import PARTS
from cortops.surfaces.chain.addresses import ARTIFACTS
from cortops.testing.orbit.server import OrbitServer, serving
from cortops.testing.orbit.world import OrbitWorld
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real  # sockets, and a shell that looks for services

MODULES = {name: f"0x{at:040x}" for at, name in enumerate(ARTIFACTS, 0xC1)}


@pytest.fixture(scope="module")
def server() -> Iterator[OrbitServer]:
    """The fake pair with contracts of others on it, while the module's tests run."""
    ready, ended, kept = threading.Event(), threading.Event(), list[OrbitServer]()

    async def serve() -> None:
        world = OrbitWorld(now=SystemClock().now, modules={ARTIFACTS[name]: at for name, at in MODULES.items()})
        async with serving(world) as found:
            kept.append(found)
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield kept[0]
    ended.set()
    thread.join(10)


@pytest.fixture
def file(server: OrbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    server.world.heal()
    path = tmp_path / "lab.yaml"
    text = FILE.format(**fields(server)).partition("nodes:")[0] + "nodes: {}\n"
    path.write_text(text.replace("contracts: {runtime: deploy}", f"contracts: {json.dumps(MODULES)}"))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(str(ended.value.code)), capsys.readouterr().out


def test_chain_says_how_every_part_is(server: OrbitServer, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "chain", str(file))
    assert (status, out.splitlines()[-1]) == (0, f"{len(PARTS) - 1} of {len(PARTS) - 1} parts well.")
    assert "wallets  not in this environment: nothing of ours is in it" in out
    server.world.inject("bridge-paused")
    status, out = run(capsys, "chain", str(file), "--json")
    ill: list[dict[str, Any]] = [part for part in json.loads(out)["parts"] if part["outcome"] == "bad"]
    assert (status, [part["part"] for part in ill]) == (3, ["bridge"])
    assert ill[0]["reason"] == "the inbox is paused: nothing can be deposited" and "parent:inbox-paused" in ill[0]["evidence"]
    assert ill[0]["checks"][0]["owner"] == "ops@lab.example" and ill[0]["checks"][0]["severity"] == "page"


def test_the_matrix_names_every_module_of_both_chains(server: OrbitServer, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "contracts", "matrix", str(file))
    assert status == 0 and out.endswith(f"{len(MODULES) + 5} contracts of lab.\n")
    server.world.inject("contract-missing")
    status, out = run(capsys, "contracts", "matrix", str(file), "--json")
    rows = {row["name"]: row for row in json.loads(out)["contracts"]}
    assert (status, rows["rollup"]["code"], rows["session"]["code"]) == (3, "none", "there")
    assert rows["session"]["code_hash"] == load("session").code_hash and rows["session"]["owners"]["admin"]


def test_contracts_of_others_are_compared_with_what_their_compiler_wrote(
    server: OrbitServer, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run(capsys, "contracts", "verify", str(file))
    assert status == 0 and out.count("not compared") == len(MODULES) + 5
    folder = tmp_path / "built"
    folder.mkdir()
    for name, code in (("session", load("session").runtime_code), ("rollup", "0x6001600052")):
        (folder / f"{name}.json").write_text(json.dumps({"deployedBytecode": {"object": code, "immutableReferences": {}}}))
    status, out = run(capsys, "contracts", "verify", str(file), "--artifacts", str(folder), "--json")
    said = {row["name"]: row["same"] for row in json.loads(out)["contracts"]}
    assert (status, said["session"], said["rollup"], said["bridge"]) == (3, "exact", "differs", "not compared")


def test_a_folder_without_artifacts_is_refused(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "contracts", "verify", str(file), "--artifacts", str(tmp_path / "none"), "--json")
    assert status == 2 and "holds no MODULE.json" in json.loads(out)["error"]["what"]


def test_nothing_of_others_is_deployed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "contracts", "deploy", str(file))
    assert (status, out) == (0, "Nothing to do: all 0 resources of the contracts are as declared.\n")
