# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title ArbGasInfo
@notice Stands at 0x6c of a development child chain, where Arbitrum has a precompile: what gas costs. Here it is free.
@dev A stand-in of cortops, put there by anvil_setCode.
"""


@external
@view
def getMinimumGasPrice() -> uint256:
    return 0


@external
@view
def getGasBacklog() -> uint64:
    return 0


@external
@view
def getPricesInWei() -> (uint256, uint256, uint256, uint256, uint256, uint256):
    return 0, 0, 0, 0, block.basefee, block.basefee
