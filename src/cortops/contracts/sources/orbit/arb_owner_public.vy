# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title ArbOwnerPublic
@notice Stands at 0x6b of a development child chain, where Arbitrum has a precompile: who owns the chain, and which upgrade is due.
@dev A stand-in of cortops, put there by anvil_setCode.
"""

OWNER: immutable(address)


@deploy
def __init__(owner: address):
    OWNER = owner


@external
@view
def getAllChainOwners() -> DynArray[address, 8]:
    return [OWNER]


@external
@view
def isChainOwner(account: address) -> bool:
    return account == OWNER


@external
@view
def getScheduledUpgrade() -> (uint64, uint64):
    """
    @notice Version and time; zero: none.
    """
    return 0, 0
