"""States as people and programs get them, and `status` of what was never applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.surfaces.stage import EXAMPLE, example

from cortops.cli import main
from cortops.cli.status import _as_text
from cortops.environment.graph import entities
from cortops.surfaces.states import EntityState
from cortops.surfaces.status_page import blind, page
from cortops.words.entity import Entity
from cortops.words.evidence import Evidence
from cortops.words.state import State

RPC, MINER = Entity("rpc", "c1"), Entity("miner", "m1")
FOUND = page(
    "lab",
    (
        EntityState(entity=RPC, state=State.OK, reason="chain 1", evidence=("chain:id",), depends_on=()),
        EntityState(entity=MINER, state=State.DOWN, reason="fatal on h1", evidence=("services:h1",), depends_on=(RPC,), since=40.0),
    ),
    (Evidence(id="chain:id", entity=RPC, value='0 "0x1"', at=7.0, how="chain"),),
    {"rpc": "http://127.0.0.1:1"},
    asked="watch",
    at=98.0,
    every_s=3.0,
)


def test_people_see_how_many_are_well_and_a_line_each() -> None:
    assert _as_text(FOUND, 100.0).splitlines() == [
        "lab · 1 of 2 ok · as watch saw it 2 s ago",
        "  ● ok    rpc/c1    chain 1",
        "  ■ down  miner/m1  fatal on h1 (for 1 min)",
    ]


def test_where_nobody_watches_nothing_is_known_and_the_next_command_stands_there() -> None:
    assert _as_text(blind(FOUND, "watch does not answer (refused)"), 100.0).splitlines() == [
        "lab · nothing is known: watch does not answer (refused) · next: cortops status --now",
        "  ◌ unknown  rpc/c1    not watched; asked now: ok, chain 1 (needed by miner/m1)",
        "  ◌ unknown  miner/m1  not watched; asked now: down, fatal on h1 (for 1 min)",
    ]


@pytest.mark.real
def test_before_any_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is there yet, not even the authority's certificate: that is no reason to fail."""
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as ended:
        main(("status", str(EXAMPLE), "--json", "--port-base", "22000"))
    shape = json.loads(capsys.readouterr().out)
    assert ended.value.code == 3 and not (tmp_path / "data").exists()
    states = {item["entity"]: item["state"] for item in shape["entities"]}
    assert list(states) == [str(entity) for entity in entities(example())]
    assert states.pop("host/here") == "ok"
    assert {states.pop(f"dns/{hostname}") for hostname in example().proxy} == {"ok"}, "loopback by its name"
    assert {name for name, state in states.items() if state == "unknown"} == {
        *(f"contract/{name}" for name in example().network.contracts.places()),
        "pool/smollm2",
    }, "whom nobody could be asked about"
    assert set(states.values()) == {"down", "unknown"}
