"""States as people and programs get them, and `status` of what was never applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.surfaces.stage import EXAMPLE, example

from cortops.cli import main
from cortops.cli.status import Status, _as_json, _as_text
from cortops.deploy.status import EntityState
from cortops.environment.graph import entities
from cortops.words.entity import Entity
from cortops.words.evidence import Evidence
from cortops.words.state import State

RPC, MINER = Entity("rpc", "c1"), Entity("miner", "m1")
FOUND = Status(
    state=State.DOWN,
    entities=(
        EntityState(entity=RPC, state=State.OK, reason="chain 1", evidence=("chain:id",), depends_on=()),
        EntityState(entity=MINER, state=State.DOWN, reason="fatal on h1", evidence=("services:h1",), depends_on=(RPC,)),
    ),
    evidence=(Evidence(id="chain:id", entity=RPC, value='0 "0x1"', at=7.0, how="chain"),),
)


def test_people_see_how_many_are_well_and_a_line_each() -> None:
    assert _as_text("lab", FOUND).splitlines() == [
        "lab · 1 of 2 ok · asked now",
        "  ● ok    rpc/c1    chain 1",
        "  ■ down  miner/m1  fatal on h1",
    ]


def test_programs_get_state_reason_evidence_and_dependencies() -> None:
    shape = json.loads(json.dumps(_as_json("lab", FOUND, {"rpc": "http://127.0.0.1:1"})))
    assert (shape["environment"], shape["state"], shape["endpoints"]) == ("lab", "down", {"rpc": "http://127.0.0.1:1"})
    assert shape["entities"][1] == {
        "entity": "miner/m1",
        "kind": "miner",
        "state": "down",
        "since": None,
        "reason": "fatal on h1",
        "evidence": ["services:h1"],
        "depends_on": ["rpc/c1"],
    }
    assert shape["evidence"] == [{"id": "chain:id", "entity": "rpc/c1", "value": '0 "0x1"', "at": 7.0, "how": "chain"}]


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
    assert {name for name, state in states.items() if state == "unknown"} == {
        "contract/node-registry",
        "contract/session",
        "contract/session-queue",
        "session/1",
        "pool/smollm2",
    }, "whom nobody could be asked about"
    assert set(states.values()) == {"down", "unknown"}
