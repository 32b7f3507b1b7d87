"""The page of states that `status --json` and the console share."""

from __future__ import annotations

import json

import msgspec
import pytest

from cortops.surfaces.states import EntityState
from cortops.surfaces.status_page import StatusPage, blind, page
from cortops.words.entity import Entity
from cortops.words.evidence import Evidence
from cortops.words.state import State

RPC, MINER, WATCH = Entity("rpc", "c1"), Entity("miner", "m1"), Entity("monitor", "watch")


def state(entity: Entity, found: State, *needs: Entity) -> EntityState:
    return EntityState(entity=entity, state=found, reason=f"{entity.name} is {found}", evidence=("chain:id",), depends_on=needs, since=40.0)


FOUND = page(
    "lab",
    (state(RPC, State.OK), state(MINER, State.DOWN, RPC), state(WATCH, State.DOWN)),
    (Evidence(id="chain:id", entity=RPC, value='0 "0x1"', at=7.0, how="chain"),),
    {"rpc": "http://127.0.0.1:1"},
    asked="watch",
    at=100.0,
    every_s=3.0,
)


def test_programs_get_state_reason_evidence_and_both_sides_of_a_dependency() -> None:
    shape = json.loads(msgspec.json.encode(FOUND))
    assert (shape["environment"], shape["state"], shape["endpoints"]) == ("lab", "down", {"rpc": "http://127.0.0.1:1"})
    assert shape["entities"][0]["needed_by"] == ["miner/m1"]
    assert shape["entities"][1] == {
        "entity": "miner/m1",
        "kind": "miner",
        "state": "down",
        "since": 40.0,
        "reason": "m1 is down",
        "evidence": ["chain:id"],
        "depends_on": ["rpc/c1"],
        "needed_by": [],
    }
    assert shape["evidence"] == [{"id": "chain:id", "entity": "rpc/c1", "value": '0 "0x1"', "at": 7.0, "how": "chain"}]
    assert msgspec.json.decode(msgspec.json.encode(FOUND), type=StatusPage) == FOUND


@pytest.mark.parametrize(("now", "stale"), [(100.0, False), (109.0, False), (109.1, True)])
def test_a_page_is_stale_when_three_rounds_are_missing(now: float, stale: bool) -> None:
    assert FOUND.is_stale(now) is stale
    assert not msgspec.structs.replace(FOUND, asked="now").is_stale(now)


def test_without_the_watching_eye_nothing_is_known_but_what_is_said_of_the_eye() -> None:
    found = blind(FOUND, "watch does not answer (refused)")
    assert found.state is State.UNKNOWN
    assert [(row.entity, row.state) for row in found.entities] == [
        ("rpc/c1", State.UNKNOWN),
        ("miner/m1", State.UNKNOWN),
        ("monitor/watch", State.DOWN),
    ]
    assert (found.note, found.entities[1].reason) == ("watch does not answer (refused)", "not watched; asked now: down, m1 is down")
