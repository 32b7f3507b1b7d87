# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title SequencerInbox
@notice Takes the batches of the child chain from its batch posters. Public names and the event are those of nitro-contracts.
@dev A stand-in of cortops for development chains: what a batch holds is not read here, so it proves nothing about the child's state.
"""

interface Bridge:
    def enqueueSequencerMessage(
        dataHash: bytes32, afterDelayedMessagesRead: uint256, prevMessageCount: uint256, newMessageCount: uint256
    ) -> (uint256, bytes32, bytes32, bytes32): nonpayable

struct TimeBounds:
    minTimestamp: uint64
    maxTimestamp: uint64
    minBlockNumber: uint64
    maxBlockNumber: uint64

event SequencerBatchDelivered:
    batchSequenceNumber: indexed(uint256)
    beforeAcc: indexed(bytes32)
    afterAcc: indexed(bytes32)
    delayedAcc: bytes32
    afterDelayedMessagesRead: uint256
    timeBounds: TimeBounds
    dataLocation: uint8

event OwnerFunctionCalled:
    id: indexed(uint256)

BATCH_BYTES_MAX: constant(uint256) = 1024
DELAY_BLOCKS: constant(uint256) = 5760
FUTURE_BLOCKS: constant(uint256) = 64
DELAY_SECONDS: constant(uint256) = 86_400
FUTURE_SECONDS: constant(uint256) = 3_600
FROM_ORIGIN: constant(uint8) = 0  # BatchDataLocation.TxInput
SET_BATCH_POSTER: constant(uint256) = 1

owner: public(address)
bridge: public(address)
isBatchPoster: public(HashMap[address, bool])
batchCount: public(uint256)
totalDelayedMessagesRead: public(uint256)


@deploy
def __init__(owner: address, bridge: address):
    self.owner = owner
    self.bridge = bridge


@external
@view
def maxTimeVariation() -> (uint256, uint256, uint256, uint256):
    """
    @notice Delay in blocks, future in blocks, delay in seconds, future in seconds.
    """
    return DELAY_BLOCKS, FUTURE_BLOCKS, DELAY_SECONDS, FUTURE_SECONDS


@external
def setIsBatchPoster(account: address, allowed: bool):
    assert msg.sender == self.owner, "not the owner"
    self.isBatchPoster[account] = allowed
    log OwnerFunctionCalled(id=SET_BATCH_POSTER)


@external
def addSequencerL2BatchFromOrigin(
    sequenceNumber: uint256,
    data: Bytes[BATCH_BYTES_MAX],
    afterDelayedMessagesRead: uint256,
    gasRefunder: address,
    prevMessageCount: uint256,
    newMessageCount: uint256,
):
    """
    @notice By a batch poster: the messages from prevMessageCount up to newMessageCount. The same batch is refused a second time.
    """
    assert self.isBatchPoster[msg.sender], "not a batch poster"
    assert sequenceNumber == self.batchCount, "bad sequence number"
    assert afterDelayedMessagesRead >= self.totalDelayedMessagesRead, "delayed messages backwards"
    number: uint256 = 0
    before: bytes32 = empty(bytes32)
    delayed: bytes32 = empty(bytes32)
    after: bytes32 = empty(bytes32)
    number, before, delayed, after = extcall Bridge(self.bridge).enqueueSequencerMessage(
        keccak256(data), afterDelayedMessagesRead, prevMessageCount, newMessageCount
    )
    self.batchCount = number + 1
    self.totalDelayedMessagesRead = afterDelayedMessagesRead
    now: uint64 = convert(block.timestamp, uint64)
    height: uint64 = convert(block.number, uint64)
    log SequencerBatchDelivered(
        batchSequenceNumber=number,
        beforeAcc=before,
        afterAcc=after,
        delayedAcc=delayed,
        afterDelayedMessagesRead=afterDelayedMessagesRead,
        timeBounds=TimeBounds(
            minTimestamp=now - min(now, convert(DELAY_SECONDS, uint64)),
            maxTimestamp=now + convert(FUTURE_SECONDS, uint64),
            minBlockNumber=height - min(height, convert(DELAY_BLOCKS, uint64)),
            maxBlockNumber=height + convert(FUTURE_BLOCKS, uint64),
        ),
        dataLocation=FROM_ORIGIN,
    )
