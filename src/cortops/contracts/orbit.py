"""What stands on a development child chain from its first block: stand-ins of Arbitrum's precompiles, and our own Deposits. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.contracts.abi import word
from cortops.contracts.artifact import load

ARB_SYS = "0x0000000000000000000000000000000000000064"
ARB_OWNER_PUBLIC = "0x000000000000000000000000000000000000006B"
ARB_GAS_INFO = "0x000000000000000000000000000000000000006C"
ARB_AGGREGATOR = "0x000000000000000000000000000000000000006d"
DEPOSITS = "0x00000000000000000000000000000000000C0b50"  # ours
RELAY = "0x00000000000000000000000000000000000A4B05"  # who speaks for ArbOS on Arbitrum; here the sequencer, by impersonation
ARBOS_VERSION = 40  # of the child; ArbSys adds 55
RESERVE_WEI = 2**112  # held by DEPOSITS before anything was deposited: what has not crossed yet


def predeploys(owner: str, batch_poster: str) -> Mapping[str, str]:
    """Address -> code (0x…) of everything that is put there. Vyper reads immutable values behind the code."""
    return {
        ARB_SYS: _code("arb_sys", DEPOSITS, ARBOS_VERSION),
        ARB_OWNER_PUBLIC: _code("arb_owner_public", owner),
        ARB_GAS_INFO: _code("arb_gas_info"),
        ARB_AGGREGATOR: _code("arb_aggregator", batch_poster),
        DEPOSITS: _code("deposits", RELAY),
    }


def _code(name: str, *immutables: str | int) -> str:
    return load(f"orbit/{name}").runtime_code + "".join(word(value) for value in immutables)
