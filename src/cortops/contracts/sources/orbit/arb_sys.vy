# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title ArbSys
@notice Stands at 0x64 of a development child chain, where Arbitrum has a precompile: who the chain is, and the way back to its parent.
@dev A stand-in of cortops, put there by anvil_setCode.
"""

event L2ToL1Tx:
    caller: address
    destination: indexed(address)
    hash: indexed(uint256)
    position: indexed(uint256)
    arbBlockNum: uint256
    ethBlockNum: uint256
    timestamp: uint256
    callvalue: uint256
    data: Bytes[1024]

VERSION_BASE: constant(uint256) = 55  # what ArbSys adds to the version of ArbOS
DEPOSITS: immutable(address)
ARBOS: immutable(uint256)

position: public(uint256)


@deploy
def __init__(deposits: address, arbos: uint256):
    DEPOSITS = deposits
    ARBOS = arbos


@external
@view
def arbChainID() -> uint256:
    return chain.id


@external
@view
def arbBlockNumber() -> uint256:
    return block.number


@external
@view
def arbOSVersion() -> uint256:
    return VERSION_BASE + ARBOS


@external
@payable
def withdrawEth(destination: address) -> uint256:
    """
    @notice The value leaves this chain; the number of the withdrawal, which the parent's bridge pays out.
    """
    return self._leave(destination, b"")


@external
@payable
def sendTxToL1(destination: address, data: Bytes[1024]) -> uint256:
    return self._leave(destination, data)


@internal
@payable
def _leave(destination: address, data: Bytes[1024]) -> uint256:
    number: uint256 = self.position
    self.position = number + 1
    raw_call(DEPOSITS, b"", value=msg.value)
    digest: bytes32 = keccak256(concat(convert(msg.sender, bytes32), convert(destination, bytes32), convert(number, bytes32), data))
    log L2ToL1Tx(
        caller=msg.sender,
        destination=destination,
        hash=convert(digest, uint256),
        position=number,
        arbBlockNum=block.number,
        ethBlockNum=block.number,
        timestamp=block.timestamp,
        callvalue=msg.value,
        data=data,
    )
    return number
