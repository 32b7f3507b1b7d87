"""What depends on what, from the file alone."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

from cortops.environment.declared import Environment
from cortops.environment.graph import KINDS, declared_at, depends_on, entities
from cortops.words.entity import Entity

CONTRACTS = [
    "contract/runtime",
    "contract/node-registry",
    "contract/node-pool",
    "contract/node-stats",
    "contract/session",
    "contract/session-queue",
    "contract/session-queue-validation",
]


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
        "gateway/gateway-1": ["pool/smollm2", "host/here"],
        "dns/gateway.localhost": ["host/here"],
        "proxy/gateway.localhost": ["dns/gateway.localhost", "gateway/gateway-1", "host/here"],
    }


def test_what_the_whole_example_adds(whole: Environment) -> None:
    graph = edges(whole)
    assert graph["session/2"][:5] == ["miner/miner-1", "miner/miner-2", "miner/miner-3", "oracle/oracle-1", "validator/validator-1"]
    assert graph["pool/smollm2"] == ["router/router-1", "router/router-2"]
    assert graph["proxy/gateway.localhost"] == ["dns/gateway.localhost", "gateway/gateway-1", "gateway/gateway-2", "host/here"]
    assert graph["proxy/router.localhost"] == ["dns/router.localhost", "pool/smollm2", "host/here"]
    assert graph["proxy/portal.localhost"] == ["dns/portal.localhost", "portal/portal", "host/here"]
    assert graph["proxy/rpc.localhost"] == ["dns/rpc.localhost", "rpc/chain-1", "host/here"]
    assert graph["proxy/console.localhost"] == ["dns/console.localhost", "monitor/watch", "host/here"]
    assert graph["monitor/watch"] == ["host/here"]


def test_every_edge_leads_to_an_entity_of_an_earlier_kind(whole: Environment) -> None:
    graph = depends_on(whole)
    assert set(graph) == set(entities(whole))
    assert all(need in graph and KINDS.index(need.kind) < KINDS.index(entity.kind) for entity, needs in graph.items() for need in needs)
    assert list(TopologicalSorter(graph).static_order())[-1].kind == "proxy"


def test_what_is_only_a_url_is_an_entity_without_host(example_text: str, loaded: Callable[[str], Environment]) -> None:
    text = "\n".join(line for line in example_text.splitlines() if not line.startswith(("  chain-1:", "  engine-1:")))
    text = text.replace("  development: true ", "  # ").replace("rpc: chain-1", 'rpc: {url: "https://rpc.lab.example/key"}')
    env = loaded(text.replace("engine: engine-1", 'engine: {url: "http://10.0.0.7:8090/v1", model: smollm2}'))
    graph = edges(env)
    assert (graph["rpc/rpc"], graph["engine/10.0.0.7:8090"]) == ([], [])
    assert graph["miner/miner-1"] == ["engine/10.0.0.7:8090", *CONTRACTS, "rpc/rpc", "host/here"]
    assert declared_at(env, Entity("engine", "10.0.0.7:8090")) == env.position("nodes.miner-1.engine")
    assert declared_at(env, Entity("rpc", "rpc")) == env.position("network.rpc")


def test_a_fleet_as_a_graph(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(fleet_text)
    installed = ["contract/runtime", "rpc/rpc"]
    assert edges(env) == {
        **{f"host/h{number}": [] for number in range(1, 5)},
        "rpc/rpc": [],
        "contract/runtime": ["rpc/rpc"],
        "miner/m1": [*installed, "host/h1"],
        "miner/m2": [*installed, "host/h1"],
        "miner/m3": [*installed, "host/h2"],
        "pool-oracle/p1": [*installed, "host/h3"],
        "router/r1": [*installed, "host/h2"],
    }
    assert declared_at(env, Entity("miner", "m2")) == env.position("nodes.m1")
    assert declared_at(env, Entity("rpc", "rpc")) == env.position("network")


def test_every_entity_knows_its_line(whole: Environment) -> None:
    lines = Path(whole.file).read_text().splitlines()
    for entity in entities(whole):
        word = {"gateway": "gateway:", "monitor": "monitor:"}.get(entity.kind, entity.name)
        assert ("contracts:" if entity.kind == "contract" else word) in lines[declared_at(whole, entity).line - 1]
