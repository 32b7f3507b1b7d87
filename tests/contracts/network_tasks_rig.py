"""Cognitive and CognitiveLevel on a test's chain, linked, with an oracle and a validator."""

from __future__ import annotations

from cortops.contracts import create2
from cortops.contracts.abi import encode_call, encode_constructor
from cortops.contracts.artifact import load
from cortops.contracts.network import ORACLE_ROLE, VALIDATOR_ROLE, Call, Network
from cortops.contracts.network_tasks import COGNITIVE, COGNITIVE_LEVEL, NetworkTasks
from cortops.testing.chain import Chain, wallet_of


async def tasks_on(chain: Chain, network: Network) -> NetworkTasks:
    """Deploy both; who holds the labels `oracle` and `validator` has the roles. No cooldown, two tasks for a level."""
    codes = {name: encode_constructor(load(name), wallet_of("admin").address) for name in (COGNITIVE, COGNITIVE_LEVEL)}
    cognitive, level = (create2.address(code) for code in codes.values())
    await chain.do("admin", *(Call(create2.DEPLOYER, create2.deploy_calldata(code)) for code in codes.values()))

    def on(address: str, name: str, function: str, *args: object) -> Call:
        return Call(address, encode_call(load(name), function, *args))

    await chain.do(
        "admin",
        on(cognitive, COGNITIVE, "setNodeRegistryAddress", network.addresses.node_registry),
        on(cognitive, COGNITIVE, "setThresholds", 3, 0, 900),
        on(cognitive, COGNITIVE, "grantRole", bytes.fromhex(ORACLE_ROLE[2:]), wallet_of("oracle").address),
        on(level, COGNITIVE_LEVEL, "grantRole", bytes.fromhex(VALIDATOR_ROLE[2:]), wallet_of("validator").address),
        *(on(level, COGNITIVE_LEVEL, "setLevelRequirements", of, 2, 60) for of in (0, 1)),
    )
    return NetworkTasks(chain.rpc, cognitive, level)
