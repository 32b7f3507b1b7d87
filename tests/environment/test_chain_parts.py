"""Which parts of a chain there are, which entities follow, and what each stands on."""

from __future__ import annotations

from typing import Any

import pytest

from cortops.environment.chain_parts import OWN, PARTS, STANDS_ON, has, parent_modules, why_absent
from cortops.environment.declared import Environment
from cortops.environment.graph import KINDS, declared_at, depends_on, entities
from cortops.environment.load import load
from cortops.environment.model import Network
from cortops.words.entity import Entity

AT = {name: f"0x{number:040x}" for number, name in enumerate(("rollup", "bridge", "inbox", "sequencer-inbox", "token"), 0xA1)}
BARE: dict[str, Any] = {"chain_id": "5", "rpc": {"url": "http://127.0.0.1:1"}, "contracts": {"runtime": AT["rollup"]}}
PARENT = {"rpc": {"url": "http://127.0.0.1:2"}, "contracts": {name: at for name, at in AT.items() if name != "token"}}
WHOLE: dict[str, Any] = {
    **BARE,
    "fallbacks": ["http://127.0.0.1:3"],
    "parent": PARENT,
    "sequencer": {"url": "http://127.0.0.1:4", "feed": {"url": "ws://127.0.0.1:5"}},
    "gas_token": {"symbol": "COR", "address": AT["token"]},
    "explorer": "http://127.0.0.1:6",
}


def network(**changes: Any) -> Network:
    return Network.model_validate({**BARE, **changes})


def test_of_a_bare_chain_there_is_little_and_every_other_part_says_why() -> None:
    bare = network()
    assert [part for part in PARTS if has(bare, part)] == ["chain-id", "head", "contracts"]
    assert all(why_absent(bare, part) for part in PARTS if not has(bare, part))


def test_of_a_whole_one_there_is_everything() -> None:
    whole = Network.model_validate(WHOLE)
    assert {part: why_absent(whole, part) for part in PARTS} == dict.fromkeys(PARTS, "")


@pytest.mark.parametrize(
    ("changes", "part", "why"),
    [
        ({}, "fees", "neither network.limits nor network.parent is declared"),
        ({"development": "true"}, "fees", "a development chain of our own: its gas costs nothing"),
        ({"limits": {"gas_days_min": "9"}}, "fees", ""),
        ({"development": "true", "limits": {"gas_days_min": "9"}}, "wallets", "a development chain of our own: its gas costs nothing"),
        ({"references": ["http://127.0.0.1:7"]}, "rpc-pool", "network.limits does not say when an RPC is too far behind the references"),
        ({"references": ["http://127.0.0.1:7"], "limits": {"lag_max_blocks": "9"}}, "rpc-pool", ""),
        ({"fallbacks": ["http://127.0.0.1:7"]}, "rpc-pool", ""),
        ({"parent": {}}, "arbos", ""),
        ({"parent": {}}, "batch-poster", "network.parent.rpc is not declared: the parent cannot be asked"),
        ({"parent": {"rpc": {"url": "http://127.0.0.1:2"}}}, "bridge", "network.parent.contracts.bridge is not declared"),
        ({"parent": PARENT}, "bridge", ""),
        ({"parent": PARENT}, "gas-token", "network.gas_token is not declared: fees are paid in ETH"),
        ({"explorer": "http://127.0.0.1:6"}, "explorer", "the explorer is of others, who run this chain"),
        ({"sequencer": {}}, "feed", "network.sequencer.feed is not declared"),
    ],
)
def test_why_a_part_is_not_there(changes: dict[str, Any], part: str, why: str) -> None:
    assert why_absent(network(**changes), part) == why


def test_contracts_of_a_parent_that_cannot_be_asked_are_not_looked_at() -> None:
    assert parent_modules(network(parent={"contracts": PARENT["contracts"]})) == {}
    assert list(parent_modules(Network.model_validate(WHOLE))) == ["rollup", "bridge", "inbox", "sequencer-inbox", "gas-token"]


def environment(body: dict[str, Any]) -> Environment:
    import json

    head = "format: 1\nenvironment: lab\nowners: {default: ops@lab.example}\nhosts: {here: {local: true}}\nnodes: {}\nnetwork: "
    loaded = load(head + json.dumps(body) + "\n", "lab.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def test_a_file_that_declares_nothing_of_it_has_the_entities_that_it_had() -> None:
    assert {entity.kind for entity in entities(environment(BARE))} == {"host", "rpc", "contract"}


def test_every_part_is_an_entity_that_stands_on_earlier_ones() -> None:
    env = environment(WHOLE)
    graph = depends_on(env)
    assert {entity.name for entity in graph if entity.kind == "chain"} == set(OWN)
    assert {str(entity) for entity in graph if entity.kind == "rpc"} == {"rpc/rpc", "rpc/fallback-1", "rpc/parent"}
    for entity, needs in graph.items():
        assert all(KINDS.index(need.kind) < KINDS.index(entity.kind) for need in needs)
        assert declared_at(env, entity).line >= 1
    for part, contracts in STANDS_ON.items():
        assert {f"contract/{name}" for name in contracts} <= {str(need) for need in graph[Entity("chain", part)]}
    assert graph[Entity("contract", "rollup")] == (Entity("rpc", "parent"),)
