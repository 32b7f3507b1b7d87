"""What must stand on chain: who is linked to whom, who may do what, and what has to be there before a program starts."""

from __future__ import annotations

from dataclasses import replace

from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.contracts.abi import static_call, word
from cortops.contracts.artifact import NAMES, load
from cortops.contracts.calls import LINKS, MODULES
from cortops.contracts.network import ORACLE_ROLE, VALIDATOR_ROLE
from cortops.environment.model import Contracts, WalletNode
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses
from cortops.surfaces.chain.render import discovery_needs, render
from cortops.words.resource import Contract, ContractState, Funded, Service

ENV = example()
SITE = site_of(ENV)
ADDRESSES = contract_addresses(ENV, SITE)
RESOURCES = tuple(render(ENV, SITE))
STATES = {item.name: item for item in RESOURCES if isinstance(item, ContractState)}


def test_every_contract_stands_and_knows_those_that_it_calls() -> None:
    assert [ARTIFACTS[item.name] for item in RESOURCES if isinstance(item, Contract)] == list(NAMES)
    for holder, modules in LINKS.items():
        for module in modules:
            state = STATES[f"{holder.replace('_', '-')} knows {module}"]
            assert state.to == getattr(ADDRESSES, holder)
            assert state.read == static_call(load(holder), f"get{module}Address()")
            assert state.expect == "0x" + word(getattr(ADDRESSES, MODULES[module]))


def test_who_counts_is_known_to_the_counter_before_it_counts() -> None:
    for holder, writer in (("session-queue", "SessionQueue"), ("session-queue-validation", "SessionQueueValidation")):
        assert f"chain contract-state:node-stats knows {writer}" in STATES[f"{holder} knows NodeStats"].needs


def test_every_wallet_is_funded_and_registered_and_has_its_role() -> None:
    wallets = {name: SITE.public[node.wallet.secret] for name, node in ENV.nodes.items() if isinstance(node, WalletNode)}
    assert {item.name: item.address for item in RESOURCES if isinstance(item, Funded) and item.name != "deployer"} == wallets
    for name, account in wallets.items():
        assert STATES[f"{name} registered"].read.endswith(word(account))
    for name, state, contract, role in (
        ("oracle-1", "oracle-1 oracle role", ADDRESSES.session_queue, ORACLE_ROLE),
        ("validator-1", "validator-1 validator role", ADDRESSES.session_queue_validation, VALIDATOR_ROLE),
    ):
        assert STATES[state].to == contract
        assert STATES[state].read.endswith(word(role) + word(wallets[name]))


def test_a_session_says_how_many_answer_and_how_many_judge() -> None:
    written = bytes.fromhex(STATES["session 1"].write[10:])
    words = [int.from_bytes(written[at : at + 32], "big") for at in range(0, 13 * 32, 32)]
    assert (words[3], words[4], words[5], words[6]) == (1, 3, 3, 1)  # nodes at least, at most; redundant; validators


def test_programs_start_when_they_can_find_the_contracts() -> None:
    needs = discovery_needs(ENV)
    assert set(needs) == {f"chain contract-state:runtime knows {module}" for module in MODULES}
    services = {item.name: item for item in surfaces.render(ENV, SITE) if isinstance(item, Service)}
    for name, node in ENV.nodes.items():
        if isinstance(node, WalletNode):
            assert {*needs, f"chain contract-state:{name} registered"} <= set(services[name].needs)


def test_contracts_of_others_are_neither_deployed_nor_linked() -> None:
    places = {name: f"0x{at:040x}" for at, name in enumerate(ARTIFACTS, 1)}
    theirs = replace(ENV, network=ENV.network.model_copy(update={"contracts": Contracts.model_validate(places)}))
    assert discovery_needs(theirs) == ()
    found = tuple(render(theirs, SITE))
    assert not any(isinstance(item, Contract) or " knows " in item.key for item in found)
    assert contract_addresses(theirs, SITE).runtime == places["runtime"]
