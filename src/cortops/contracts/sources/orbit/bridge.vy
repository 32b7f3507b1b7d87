# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Bridge
@notice Holds the gas token that was deposited for the child chain, numbers the messages to it, and knows how many of its own messages
        the sequencer has reported. The public reads and the event are those of nitro-contracts' ERC20Bridge.
@dev A stand-in of cortops for development chains. Accumulators are kept for the newest message only: a block of this chain costs time for
     every slot in storage. `payOut` is ours; an Outbox with Merkle proofs has its place on public chains.
"""

from ethereum.ercs import IERC20

event MessageDelivered:
    messageIndex: indexed(uint256)
    beforeInboxAcc: indexed(bytes32)
    inbox: address
    kind: uint8
    sender: address
    messageDataHash: bytes32
    baseFeeL1: uint256
    timestamp: uint64

event BridgeCallTriggered:
    outbox: indexed(address)
    to: indexed(address)
    amount: uint256
    data: Bytes[32]

owner: public(address)
nativeToken: public(address)
sequencerInbox: public(address)
allowedDelayedInboxes: public(HashMap[address, bool])
allowedOutboxes: public(HashMap[address, bool])
delayedMessageCount: public(uint256)
delayedAcc: public(bytes32)
sequencerMessageCount: public(uint256)
sequencerReportedSubMessageCount: public(uint256)
sequencerAcc: public(bytes32)
paidOut: public(uint256)


@deploy
def __init__(owner: address, token: address):
    self.owner = owner
    self.nativeToken = token


@external
@view
def nativeTokenDecimals() -> uint8:
    return 18


@external
def setSequencerInbox(inbox: address):
    assert msg.sender == self.owner, "not the owner"
    self.sequencerInbox = inbox


@external
def setDelayedInbox(inbox: address, enabled: bool):
    assert msg.sender == self.owner, "not the owner"
    self.allowedDelayedInboxes[inbox] = enabled


@external
def setOutbox(outbox: address, enabled: bool):
    assert msg.sender == self.owner, "not the owner"
    self.allowedOutboxes[outbox] = enabled


@external
def enqueueDelayedMessage(kind: uint8, sender: address, messageDataHash: bytes32, tokenFeeAmount: uint256) -> uint256:
    """
    @notice By an allowed inbox, which has seen to it that the tokens are here already; the number of the message, from 0.
    """
    assert self.allowedDelayedInboxes[msg.sender], "not a delayed inbox"
    index: uint256 = self.delayedMessageCount
    before: bytes32 = self.delayedAcc
    self.delayedMessageCount = index + 1
    self.delayedAcc = keccak256(concat(before, convert(kind, bytes32), convert(sender, bytes32), convert(index, bytes32), messageDataHash))
    log MessageDelivered(
        messageIndex=index,
        beforeInboxAcc=before,
        inbox=msg.sender,
        kind=kind,
        sender=sender,
        messageDataHash=messageDataHash,
        baseFeeL1=block.basefee,
        timestamp=convert(block.timestamp, uint64),
    )
    return index


@external
def enqueueSequencerMessage(
    dataHash: bytes32, afterDelayedMessagesRead: uint256, prevMessageCount: uint256, newMessageCount: uint256
) -> (uint256, bytes32, bytes32, bytes32):
    """
    @notice By the sequencer inbox. Gives the number of the batch, the accumulator before it, that of delayed messages, and that after it.
    """
    assert msg.sender == self.sequencerInbox, "not the sequencer inbox"
    assert prevMessageCount == self.sequencerReportedSubMessageCount, "bad message number"
    assert newMessageCount > prevMessageCount, "no new message"
    assert afterDelayedMessagesRead <= self.delayedMessageCount, "not delivered yet"
    index: uint256 = self.sequencerMessageCount
    before: bytes32 = self.sequencerAcc
    self.sequencerMessageCount = index + 1
    self.sequencerReportedSubMessageCount = newMessageCount
    self.sequencerAcc = keccak256(concat(before, dataHash, self.delayedAcc))
    return index, before, self.delayedAcc, self.sequencerAcc


@external
def payOut(position: uint256, to: address, amount: uint256):
    """
    @notice By an allowed outbox: the withdrawal of this number, each once and in order.
    """
    assert self.allowedOutboxes[msg.sender], "not an outbox"
    assert position == self.paidOut, "not the next withdrawal"
    self.paidOut = position + 1
    extcall IERC20(self.nativeToken).transfer(to, amount)
    log BridgeCallTriggered(outbox=msg.sender, to=to, amount=amount, data=b"")
