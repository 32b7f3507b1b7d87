"""Cross-checks of a development child chain: its nodes stand between two chains that are known, with contracts on the parent."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.model import DEPLOY
from cortops.environment.orbit_nodes import ORBIT_ROLES, OrbitNode
from cortops.environment.reason import Finding, list_of

CONTRACTS = ("rollup", "bridge", "inbox", "sequencer-inbox")


def orbit_nodes_have_a_parent(declared: Declared) -> Iterator[Finding]:
    """A sequencer, poster or staker of ours works on a development child, whose parent has an RPC, an id and all four contracts."""
    network = declared.network
    if network is None:
        return
    modules = network.parent.contracts.modules if network.parent else {}
    deploys = DEPLOY in modules.values()
    nodes = [name for name, node in declared.nodes.items() if isinstance(node, OrbitNode)]
    if not nodes and not deploys:
        return
    where = ("nodes", nodes[0], "role") if nodes else ("network", "parent", "contracts")
    said = f"is one of {list_of(ORBIT_ROLES)}" if nodes else "are deployed on the parent"
    missing = [name for name in CONTRACTS if name not in modules]
    if network.parent is None or network.parent.rpc is None or network.parent.chain_id is None or missing:
        what = f"{said}, and network.parent does not say where that is"
        yield Finding(where, what, "Write network.parent with rpc, chain_id and contracts: rollup, bridge, inbox and sequencer-inbox.")
        return
    if not network.development:
        yield Finding(where, f"{said}, and this is no development chain", "Write network.development: true, or remove it.")
    token = network.gas_token.address if network.gas_token else None
    strays = [name for name, place in {**modules, "gas token": token}.items() if (place == DEPLOY) != deploys]
    if strays:
        what = f"are not all deployed: {list_of(strays)}"
        yield Finding(("network", "parent", "contracts"), what, "Write deploy for all four and for gas_token.address, or each address.")
