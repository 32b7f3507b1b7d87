# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Deposits
@notice Stands on a development child chain and credits what was deposited on its parent: each message once, in the order of its number.
        That number and the credit are one state, so a chain that goes back to a snapshot loses both or neither.
@dev Ours; on Arbitrum the state transition itself does this. Put there by anvil_setCode, with a balance that stands for all tokens that
     have not crossed yet. Only the relay's account may deliver: on a development chain whoever reaches its RPC may speak as it.
"""

event DepositCredited:
    messageIndex: indexed(uint256)
    to: indexed(address)
    amount: uint256
    taken: bool

RELAY: immutable(address)
GAS_OF_RECEIVER: constant(uint256) = 30_000

delivered: public(uint256)
acc: public(bytes32)


@deploy
def __init__(relay: address):
    RELAY = relay


@external
@payable
def __default__():
    """
    @notice Takes back what leaves this chain.
    """
    pass


@external
def deliver(messageIndex: uint256, afterAcc: bytes32, to: address, amount: uint256):
    """
    @notice By the relay: the next message. afterAcc: the bridge's accumulator after it, so that another history is known as such.
    """
    assert msg.sender == RELAY, "not the relay"
    assert messageIndex == self.delivered, "not the next message"
    self.delivered = messageIndex + 1
    self.acc = afterAcc
    # A receiver with code that refuses must not hold up everybody behind it; what it refused stays here, and the event says so.
    taken: bool = raw_call(to, b"", value=amount, gas=GAS_OF_RECEIVER, revert_on_failure=False)
    log DepositCredited(messageIndex=messageIndex, to=to, amount=amount, taken=taken)
