"""Puts onto a child chain what Arbitrum's own chains have from their first block; again whenever a snapshot lacks it."""

from __future__ import annotations

from cortops.contracts.orbit import DEPOSITS, RESERVE_WEI, predeploys
from cortops.contracts.rpc import RpcClient
from cortops.programs.common.logs import Log
from cortops.protocol.settings import DevchainSettings


async def put(rpc: RpcClient, settings: DevchainSettings, log: Log) -> None:
    """Each code that is not there as it should be, and the reserve where there was none. Nothing on a chain without a parent.

    A changed code keeps its storage: deposits stay counted. Raises ChainError.
    """
    if not settings.chain_owner:
        return
    wanted = predeploys(settings.chain_owner, settings.batch_poster)
    found = await rpc.batch_results([("eth_getCode", (address, "latest")) for address in wanted])
    missing = [address for address, code in zip(wanted, found, strict=True) if code.lower() != wanted[address].lower()]
    if dict(zip(wanted, found, strict=True))[DEPOSITS] == "0x":
        await rpc.call("anvil_setBalance", DEPOSITS, hex(RESERVE_WEI))
    for address in missing:
        await rpc.call("anvil_setCode", address, wanted[address])
    if missing:
        log.info("precompile stand-ins put", count=len(missing))
