"""Which network an env file means, and what in it contradicts that."""

from __future__ import annotations

import pytest
from tests.surfaces.fleet.nodes_found import RUNTIME

from cortops.environment.networks import known_networks
from cortops.surfaces.fleet.found.networks import Meant, meant, most_meant

RECORDS = known_networks()
DEVNET_7 = "0x8d67608D0F674F359DE0e420857739ECBDeb6B90"
TESTNET_1 = "0x0188C7F0c23c8be756F7b56486193E086f48E64b"
OTHER = "0x" + "a1" * 20


def of(runtime: str, chain_id: str, host: str = "https://rpc.example#sha256:0123456789abcdef") -> Meant:
    return meant({"CONTRACT_ADDRESS_RUNTIME": runtime, "CHAINID": chain_id, "HOST": host}, RECORDS)


@pytest.mark.parametrize(
    ("runtime", "chain_id", "name", "why"),
    [
        (RUNTIME, "421614", "testnet-0", "CONTRACT_ADDRESS_RUNTIME 0xa438cE…"),
        (RUNTIME.lower(), "421614", "testnet-0", "CONTRACT_ADDRESS_RUNTIME 0xa438ce…"),
        (DEVNET_7, "421614", "devnet-7", "CONTRACT_ADDRESS_RUNTIME 0x8d6760…"),
        (TESTNET_1, "18964747554", "testnet-1a", "CONTRACT_ADDRESS_RUNTIME 0x0188C7… and CHAINID 18964747554"),
        (TESTNET_1, "12515", "testnet-1", "CONTRACT_ADDRESS_RUNTIME 0x0188C7… and CHAINID 12515"),
        (OTHER, "42161", "mainnet-lite", "CHAINID 42161 (its runtime contract is not public, so 0xa1a1a1… cannot be compared)"),
        (OTHER, "421614", "unknown", "CONTRACT_ADDRESS_RUNTIME 0xa1a1a1… is of no network that is known"),
        ("", "421614", "unknown", "no CONTRACT_ADDRESS_RUNTIME could be read"),
        ("?", "421614", "unknown", "no CONTRACT_ADDRESS_RUNTIME could be read"),
    ],
)
def test_the_runtime_decides(runtime: str, chain_id: str, name: str, why: str) -> None:
    found = of(runtime, chain_id)
    assert (found.name, found.why) == (name, why)


@pytest.mark.parametrize(
    ("runtime", "chain_id", "wrong"),
    [
        (RUNTIME, "421614", ""),
        (RUNTIME, "12515", "CHAINID is 12515, and testnet-0 is 421614"),
        (RUNTIME, "", "CHAINID is missing; testnet-0 is 421614"),
        (RUNTIME, "0x1", "CHAINID is missing; testnet-0 is 421614"),
        (TESTNET_1, "18964747554", ""),
        (TESTNET_1, "12515", "CHAINID is 12515, which the Ansible role writes for every COR chain; testnet-1a is 18964747554"),
        (OTHER, "1", ""),
    ],
)
def test_a_chain_id_that_contradicts_is_told(runtime: str, chain_id: str, wrong: str) -> None:
    assert of(runtime, chain_id).wrong == wrong


@pytest.mark.parametrize("rpc", ["https://sequencer.testnet1a.cortensor.org", "https://cor-0-testnet.agnc.my.id"])
def test_where_two_networks_share_a_runtime_the_rpc_tells_them_apart(rpc: str) -> None:
    """12515 with an RPC of COR-0: the trap of operators 2.6."""
    found = of(TESTNET_1, "12515", f"{rpc}#sha256:0123456789abcdef")
    assert (found.name, found.wrong) == ("testnet-1a", "CHAINID is 12515, and testnet-1a is 18964747554")
    assert found.why.endswith("and the host of its RPC")


def test_a_stranger_with_a_familiar_name_is_no_proof() -> None:
    assert of(TESTNET_1, "12515", "https://testnet1a.cortensor.org.evil.example#sha256:0123456789abcdef").name == "testnet-1"
    assert of(TESTNET_1, "12515", "https://[::1#sha256:0123456789abcdef").name == "testnet-1"


def test_the_network_of_a_fleet_is_that_of_most() -> None:
    some = [of(DEVNET_7, "421614"), of(RUNTIME, "421614"), of(OTHER, "421614"), of(RUNTIME.lower(), "12515")]
    found = most_meant(some)
    assert found is not None and found.name == "testnet-0"
    assert most_meant([]) is None
    two_strangers = [of(OTHER, "1"), of("0x" + "b2" * 20, "1"), of("0x" + "b2" * 20, "1")]
    found = most_meant(two_strangers)
    assert found is not None and found.runtime == "0x" + "b2" * 20
