"""What must stand on the parent of a child chain: who may do what, what comes first, and that nothing of it touches other environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.stage import EXAMPLE, example, site_of

from cortops import surfaces
from cortops.contracts import create2
from cortops.contracts.abi import word
from cortops.deploy.plan import in_order
from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.environment.model import WalletNode
from cortops.surfaces.chain import orbit_render
from cortops.surfaces.chain.addresses import salt
from cortops.surfaces.chain.orbit_addresses import declared_places, init_codes, parent_addresses, parent_url
from cortops.surfaces.nodes.orbit import chain_id
from cortops.words.resource import Contract, ContractState, File, Funded, Service

L3 = EXAMPLE.with_name("local-l3.yaml")


def loaded(path: Path) -> Environment:
    env = load_file(path)
    assert isinstance(env, Environment), env
    return env


ENV = loaded(L3)
SITE = site_of(ENV)
RESOURCES = surfaces.render(ENV, SITE)
PARENT = tuple(orbit_render.render(ENV, SITE))
STATES = {item.name: item for item in PARENT if isinstance(item, ContractState)}
SERVICES = {item.name: item for item in RESOURCES if isinstance(item, Service)}


def text_of(name: str) -> dict[str, str]:
    """The env file of a node."""
    file = next(item for item in RESOURCES if isinstance(item, File) and item.path == f"/srv/local/etc/{name}.env")
    text = "".join(part if isinstance(part, str) else f"secret {part.name}" for part in file.content)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_contracts_know_each_other_by_the_addresses_that_they_will_have() -> None:
    codes, at = init_codes(ENV, SITE), parent_addresses(ENV, SITE)
    assert [item.name for item in PARENT if isinstance(item, Contract)] == ["gas-token", "bridge", "inbox", "sequencer-inbox", "rollup"]
    assert {item.name: item.address for item in PARENT if isinstance(item, Contract)} == dict(at)
    assert codes["bridge"].endswith(word(at["gas-token"])) and codes["inbox"].endswith(word(at["bridge"]))
    assert word(at["bridge"]) + word(31339) in codes["rollup"]
    assert {item.rpc_url for item in PARENT if isinstance(item, Contract | ContractState | Funded)} == {parent_url(ENV)}


def test_poster_and_staker_may_do_their_part_before_they_start() -> None:
    for name, state in (("poster-1", "sequencer-inbox knows poster-1"), ("staker-1", "rollup knows staker-1")):
        assert STATES[state].read.endswith(word(SITE.public[f"{name}/key"]))
        assert f"parent contract-state:{state}" in SERVICES[name].needs
    assert "parent contract-state:bridge pays by staker-1" in STATES["rollup knows staker-1"].needs
    assert "parent contract-state:bridge knows sequencer-inbox" in SERVICES["sequencer-1"].needs


def test_the_child_starts_after_the_contracts_that_name_it_and_the_parent_before_them() -> None:
    order = [item.key for item in in_order(RESOURCES)]
    chain = ["here service:parent-1", "parent contract:rollup", "here service:chain-1", "here service:sequencer-1", "chain funded:deployer"]
    assert [key for key in order if key in chain] == chain
    assert {f"parent contract:{name}" for name in declared_places(ENV)} <= set(SERVICES["chain-1"].needs)


def test_every_wallet_of_the_child_gets_its_gas_over_the_bridge() -> None:
    funded = {item.name: item for item in RESOURCES if isinstance(item, Funded) and item.place == "chain"}
    wallets = {name: SITE.public[node.wallet.secret] for name, node in ENV.nodes.items() if isinstance(node, WalletNode)}
    assert set(funded) == {"deployer", *wallets}
    for name, item in funded.items():
        assert item.bridged and f"parent contract-state:gas for {name}" in item.needs and "here service:sequencer-1" in item.needs
        deposit = STATES[f"gas for {name}"]
        assert deposit.read.endswith(word(item.address) + word(orbit_render.DEPOSIT_WEI))
        assert {"parent contract-state:gas token made", "parent contract-state:bridge knows inbox"} <= set(deposit.needs)


def test_each_program_is_told_both_chains_and_no_more_secrets_than_it_needs() -> None:
    assert (chain_id(ENV, "parent-1"), chain_id(ENV, "chain-1")) == (31338, 31339)
    parent, child, sequencer, poster = map(text_of, ("parent-1", "chain-1", "sequencer-1", "poster-1"))
    assert (parent["CHAINID"], parent["DEVCHAIN_SNAPSHOT_EVERY_S"]) == ("31338", "1") and "DEVCHAIN_OWNER" not in parent
    assert child["DEVCHAIN_BATCH_POSTER"] == SITE.public["poster-1/key"]
    assert "NODE_PRIVATE_KEY" not in sequencer and poster["NODE_PRIVATE_KEY"] == "secret poster-1/key"
    assert (poster["ORBIT_PARENT_CHAINID"], poster["CHAINID"]) == ("31338", "31339")
    assert poster["ORBIT_CHILD_HEALTH"] == "http://127.0.0.1:8548/health"
    assert poster["ORBIT_SEQUENCER_INBOX"] == parent_addresses(ENV, SITE)["sequencer-inbox"]


@pytest.mark.parametrize("path", [EXAMPLE, EXAMPLE.with_name("small.yaml")], ids=lambda path: path.stem)
def test_an_environment_without_a_parent_has_none_of_it(path: Path) -> None:
    env = loaded(path)
    site = site_of(env)
    assert list(orbit_render.render(env, site)) == []
    resources = surfaces.render(env, site)
    assert not any(item.bridged for item in resources if isinstance(item, Funded))
    assert not [item.key for item in resources if item.place == orbit_render.PLACE]
    assert example().network.parent is None


def test_addresses_of_others_are_taken_as_they_are() -> None:
    public = loaded(L3)
    assert public.network.parent is not None
    places = {"rollup": "0x" + "11" * 20}
    contracts = public.network.parent.contracts.model_copy(update=places)
    parent = public.network.parent.model_copy(update={"contracts": contracts})
    changed = public.network.model_copy(update={"parent": parent})
    env = replace(public, network=changed)
    assert parent_addresses(env, SITE)["rollup"] == places["rollup"]
    assert parent_addresses(env, SITE)["bridge"] == create2.address(init_codes(ENV, SITE)["bridge"], salt(ENV))
