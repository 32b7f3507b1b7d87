# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title ArbAggregator
@notice Stands at 0x6d of a development child chain, where Arbitrum has a precompile: who posts its batches.
@dev A stand-in of cortops, put there by anvil_setCode.
"""

POSTER: immutable(address)


@deploy
def __init__(poster: address):
    POSTER = poster


@external
@view
def getBatchPosters() -> DynArray[address, 8]:
    return [POSTER]


@external
@view
def getFeeCollector(poster: address) -> address:
    return poster
