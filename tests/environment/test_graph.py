"""What depends on what, from the file alone."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter

from cortops.environment.declared import Environment
from cortops.environment.graph import KINDS, declared_at, depends_on, entities
from cortops.words.entity import Entity

CONTRACTS = ["contract/node-registry", "contract/session", "contract/session-queue"]


def edges(env: Environment) -> dict[str, list[str]]:
    return {str(entity): [str(need) for need in needs] for entity, needs in depends_on(env).items()}


def test_the_example_as_a_graph(example: Environment) -> None:
    assert edges(example) == {
        "host/here": [],
        "rpc/chain-1": ["host/here"],
        **{contract: ["rpc/chain-1"] for contract in CONTRACTS},
        "engine/engine-1": ["host/here"],
        "miner/miner-1": ["engine/engine-1", *CONTRACTS, "rpc/chain-1", "host/here"],
        "oracle/oracle-1": [*CONTRACTS, "rpc/chain-1", "host/here"],
        "session/1": ["miner/miner-1", "oracle/oracle-1", *CONTRACTS],
        "router/router-1": ["session/1", *CONTRACTS, "rpc/chain-1", "host/here"],
        "pool/smollm2": ["router/router-1"],
        "gateway/gateway": ["pool/smollm2", "host/here"],
        "proxy/gateway.localhost": ["gateway/gateway", "host/here"],
    }


def test_every_edge_leads_to_an_entity_of_an_earlier_kind(example: Environment) -> None:
    graph = depends_on(example)
    assert set(graph) == set(entities(example))
    assert all(need in graph and KINDS.index(need.kind) < KINDS.index(entity.kind) for entity, needs in graph.items() for need in needs)
    assert list(TopologicalSorter(graph).static_order())[-1] == Entity("proxy", "gateway.localhost")


def test_what_is_only_a_url_is_an_entity_without_host(example_text: str, loaded: Callable[[str], Environment]) -> None:
    text = "\n".join(line for line in example_text.splitlines() if not line.startswith(("  chain-1:", "  engine-1:")))
    text = text.replace("  development: true ", "  # ").replace("rpc: chain-1", 'rpc: {url: "https://rpc.lab.example/key"}')
    env = loaded(text.replace("engine: engine-1", 'engine: {url: "http://10.0.0.7:8090/v1", model: smollm2}'))
    graph = edges(env)
    assert (graph["rpc/rpc"], graph["engine/10.0.0.7:8090"]) == ([], [])
    assert graph["miner/miner-1"] == ["engine/10.0.0.7:8090", *CONTRACTS, "rpc/rpc", "host/here"]
    assert declared_at(env, Entity("engine", "10.0.0.7:8090")) == env.position("nodes.miner-1.engine")
    assert declared_at(env, Entity("rpc", "rpc")) == env.position("network.rpc")


def test_every_entity_knows_its_line(example: Environment, example_text: str) -> None:
    lines = example_text.splitlines()
    for entity in entities(example):
        assert (entity.name if entity.kind != "gateway" else "gateway:") in lines[declared_at(example, entity).line - 1]
