"""Which parts of a chain there are to be looked at in an environment, and why the others are not. Pure.

One table, from which the entities, the questions, the checks and the rows of `cortops chain` follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cortops.environment.model import Network

Why = Callable[[Network], str]

FALLBACK = "fallback-"  # `rpc/fallback-1`: the first of network.fallbacks
PARENT = "parent"  # `rpc/parent`: the parent's RPC where it is only a URL
GAS_TOKEN = "gas-token"


def _there(network: Network) -> str:
    return ""


def _to_compare(network: Network) -> str:
    if not network.references and not network.fallbacks:
        return "network.references names no other RPC to compare with"
    asked_for = network.fallbacks or network.parent is not None or "limits" in network.model_fields_set
    return "" if asked_for else "network.limits does not say when an RPC is too far behind the references"


def _settles(network: Network) -> str:
    return "" if network.parent is not None else "network.parent is not declared: this chain settles on no other, or on one of others"


def _paid(network: Network) -> str:
    if network.parent is not None or ("limits" in network.model_fields_set and not network.development):
        return ""
    if network.development:
        return "a development chain of our own: its gas costs nothing"
    return "neither network.limits nor network.parent is declared"


def _parent(network: Network) -> str:
    if network.parent is not None and network.parent.rpc is None:
        return "network.parent.rpc is not declared: the parent cannot be asked"
    return _settles(network)


def _with(*names: str) -> Why:
    """The parent can be asked, and these of its contracts are declared."""

    def why(network: Network) -> str:
        if (absent := _parent(network)) or network.parent is None:
            return absent
        missing = [name for name in names if name not in network.parent.contracts.modules]
        return f"network.parent.contracts.{missing[0]} is not declared" if missing else ""

    return why


def _gas_token(network: Network) -> str:
    return _with("bridge")(network) if network.gas_token is not None else "network.gas_token is not declared: fees are paid in ETH"


def _sequencer(network: Network) -> str:
    there = network.sequencer is not None and network.sequencer.url is not None
    return "" if there else "network.sequencer.url is not declared"


def _feed(network: Network) -> str:
    there = network.sequencer is not None and network.sequencer.feed is not None
    return "" if there else "network.sequencer.feed is not declared"


def _explorer(network: Network) -> str:
    if network.explorer is None:
        return "network.explorer is not declared"
    return "" if network.parent is not None else "the explorer is of others, who run this chain"


# Name of the part -> why it is not there, in the order in which a reader wants them.
PARTS: Mapping[str, Why] = {
    "chain-id": _there,
    "head": _there,
    "rpc-pool": _to_compare,
    "arbos": _settles,
    "fees": _paid,
    "parent": _parent,
    "sequencer": _sequencer,
    "feed": _feed,
    "batch-poster": _with("sequencer-inbox", "bridge"),
    "delayed-inbox": _with("sequencer-inbox", "bridge"),
    "assertions": _with("rollup"),
    "bridge": _with("bridge"),
    "retryables": _settles,
    GAS_TOKEN: _gas_token,
    "owners": _settles,
    "explorer": _explorer,
    "contracts": _there,
    "wallets": _paid,
}
# Parts that are an entity of their own, `chain/NAME`; the others are of an RPC, of contracts and of wallets.
OWN = (
    "arbos",
    "fees",
    "sequencer",
    "feed",
    "batch-poster",
    "delayed-inbox",
    "assertions",
    "bridge",
    "retryables",
    GAS_TOKEN,
    "owners",
    "explorer",
)
# Which contracts on the parent each of them stands on.
STANDS_ON: Mapping[str, tuple[str, ...]] = {
    "batch-poster": ("sequencer-inbox", "bridge"),
    "delayed-inbox": ("sequencer-inbox", "bridge"),
    "assertions": ("rollup",),
    "bridge": ("bridge", "inbox"),
    GAS_TOKEN: (GAS_TOKEN, "bridge"),
    "owners": ("rollup",),
}
# Which role runs them, where it is ours.
RUN_BY: Mapping[str, str] = {
    "batch-poster": "batch-poster",
    "feed": "sequencer",
    "delayed-inbox": "sequencer",
    "assertions": "staker",
}


def why_absent(network: Network, part: str) -> str:
    """Why a part of PARTS is not in this environment; empty where it is."""
    return PARTS[part](network)


def has(network: Network, part: str) -> bool:
    """Whether a part of PARTS is there to be looked at."""
    return not PARTS[part](network)


def parent_modules(network: Network) -> Mapping[str, str]:
    """Contracts on the parent that can be looked at -> `deploy` or an address: those of `parent`, and the gas token."""
    if not has(network, "parent") or network.parent is None:
        return {}
    token = network.gas_token.address if network.gas_token is not None else None
    return {**network.parent.contracts.modules, **({GAS_TOKEN: token} if token is not None else {})}
