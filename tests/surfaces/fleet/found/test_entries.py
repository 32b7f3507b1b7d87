"""Found nodes as entries of an environment file that `cortops validate` accepts."""

from __future__ import annotations

import hashlib

from tests.surfaces.fleet.nodes_found import ENV, address, node

from cortops.environment.cortensord import CortensordNode
from cortops.environment.networks import known_networks
from cortops.surfaces.fleet.found.describe import UNNAMED, UNREADABLE
from cortops.surfaces.fleet.found.entries import Entries, network_text, node_entries
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.surfaces.fleet.found.naming import name_nodes
from cortops.surfaces.fleet.found.networks import meant

RECORDS = known_networks()


def entries(*nodes: Installed, known: dict[str, CortensordNode] | None = None) -> Entries:
    return node_entries(nodes, name_nodes(nodes, {}), known or {})


def as_known(body: dict[str, str]) -> CortensordNode:
    return CortensordNode.model_validate(body)


def test_an_entry_says_what_is_so_and_nothing_empty() -> None:
    found = entries(node(7), node(0, shape=Shape.NOHUP, instance="", unit="", address="", env_file="/home/ops/.cortensor/.env"))
    assert found.bodies["h1-m7"] == {
        "program": "cortensord",
        "role": "miner",
        "runs": "minerv4",
        "host": "h1",
        "shape": "ansible",
        "instance": "7",
        "unit": "cortensor-7.service",
        "env_file": "/home/deploy/.cortensor/.env-7",
        "log": "/var/log/cortensord-7.log",
        "binary": "/usr/local/bin/cortensord",
        "address": address(7),
    }
    assert set(found.bodies["h1-miner"]) == {"program", "role", "runs", "host", "shape", "env_file", "log", "binary"}
    assert list(found.bodies) == ["h1-m7", "h1-miner"] and found.comments == {} and found.left == ()


def test_one_address_stands_on_one_node_and_the_other_says_why() -> None:
    both = node(1, running=False), node(2, address=address(1))
    found = entries(*both)
    assert "address" not in found.bodies["h1-m1"] and found.bodies["h1-m2"]["address"] == address(1)
    assert found.comments == {"h1-m1": f"its address {address(1)} is also that of h1-m2: one key on one host"}
    known = {"h1-m1": as_known({**found.bodies["h1-m1"], "address": address(1)})}
    assert entries(*both, known=known).bodies["h1-m1"]["address"] == address(1), "who has it in the file keeps it"


def test_what_no_file_can_hold_is_left_out_with_the_reason() -> None:
    found = entries(
        node(1), node(2, log="/var/log/cortensord-1.log"), node(3, env_file="/a b"), node(4, shape=Shape.DOCKER, notes=(UNNAMED,))
    )
    assert list(found.bodies) == ["h1-m1"]
    assert found.left == (
        "h1-m2: its log /var/log/cortensord-1.log is also that of h1-m1; each node needs its own",
        "h1-m3: its env_file has a form that no environment file can hold",
        f"h1-m4: {UNNAMED}",
    )


def test_where_the_env_file_cannot_be_read_what_the_file_says_already_stays() -> None:
    blind = node(1, notes=(UNREADABLE,), address="", log="/guessed")
    known = {"h1-m1": as_known(dict(entries(node(1)).bodies["h1-m1"]))}
    assert "log" in entries(blind).bodies["h1-m1"]
    assert set(entries(blind, known=known).bodies["h1-m1"]) == {"program", "role", "runs", "host", "shape", "unit"}


def test_numbers_are_in_their_order() -> None:
    assert list(entries(*(node(number) for number in (10, 2, 1))).bodies) == ["h1-m1", "h1-m2", "h1-m10"]


def test_a_known_network_is_one_word() -> None:
    text = network_text(meant(ENV, RECORDS), [node(1), node(2)])
    assert text is not None
    assert (text.like, text.chain_id, text.rpc_url, text.runtime) == ("testnet-0", None, "", "")
    assert text.told == ("From 2 env files: CONTRACT_ADDRESS_RUNTIME 0xa438cE…",)


def test_what_is_not_public_of_a_network_comes_from_the_env_files() -> None:
    env = {"CONTRACT_ADDRESS_RUNTIME": "0x" + "a1" * 20, "CHAINID": "42161"}
    text = network_text(meant(env, RECORDS), [node(1, env=env)])
    assert text is not None and (text.like, text.chain_id, text.rpc_url, text.runtime) == ("mainnet-lite", None, "", "0x" + "a1" * 20)
    env = {"CONTRACT_ADDRESS_RUNTIME": "0x0188C7F0c23c8be756F7b56486193E086f48E64b", "CHAINID": "18964747554"}
    text = network_text(meant(env, RECORDS), [node(1, env=env)])
    assert text is not None and (text.like, text.chain_id) == ("testnet-1a", None)
    assert text.rpc_url == "https://cor-0-testnet.agnc.my.id/" and text.runtime == env["CONTRACT_ADDRESS_RUNTIME"]
    assert "community guides" in text.told[1]


def test_the_rpc_of_an_unknown_network_is_the_nodes_own_where_it_holds_no_key() -> None:
    env = {"CONTRACT_ADDRESS_RUNTIME": "0x" + "a1" * 20, "CHAINID": "31338"}

    def with_rpc(url: str, host: str) -> Installed:
        return node(1, env={**env, "HOST": f"{host}#sha256:{hashlib.sha256(url.encode()).hexdigest()[:16]}"})

    text = network_text(meant(env, RECORDS), [with_rpc("http://10.1.1.1:8545/", "http://10.1.1.1:8545")])
    assert text is not None and (text.like, text.chain_id, text.rpc_url) == ("", 31338, "http://10.1.1.1:8545")
    assert text.told[1:] == ("The RPC is the one of your nodes.",)
    text = network_text(meant(env, RECORDS), [with_rpc("https://rpc.example/v1/key", "https://rpc.example")])
    assert text is not None and text.rpc_url == "https://rpc.example" and "Complete it." in text.told[1]


def test_too_little_is_told() -> None:
    assert network_text(meant({}, RECORDS), [node(1, env={})]) is None
    assert network_text(meant({"CONTRACT_ADDRESS_RUNTIME": "0x" + "a1" * 20}, RECORDS), [node(1)]) is None
    env = {"CONTRACT_ADDRESS_RUNTIME": "0x" + "a1" * 20, "CHAINID": "5", "HOST": "?://?#sha256:0123456789abcdef"}
    assert network_text(meant(env, RECORDS), [node(1, env=env)]) is None
