# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Inbox
@notice Takes the gas token on the parent, and has the bridge tell the child chain whom to credit. Public names are those of ERC20Inbox.
@dev A stand-in of cortops for development chains. `depositERC20To` and `hasDeposited` are ours.
"""

from ethereum.ercs import IERC20

interface Bridge:
    def owner() -> address: view
    def nativeToken() -> address: view
    def enqueueDelayedMessage(kind: uint8, sender: address, messageDataHash: bytes32, tokenFeeAmount: uint256) -> uint256: nonpayable

event InboxMessageDelivered:
    messageNum: indexed(uint256)
    data: Bytes[52]

DEPOSIT: constant(uint8) = 12  # L1MessageType_ethDeposit

bridge: public(address)
paused: public(bool)
_deposited: HashMap[address, uint256]


@deploy
def __init__(bridge: address):
    self.bridge = bridge


@external
def pause():
    assert msg.sender == staticcall Bridge(self.bridge).owner(), "not the owner"
    self.paused = True


@external
def unpause():
    assert msg.sender == staticcall Bridge(self.bridge).owner(), "not the owner"
    self.paused = False


@external
@view
def hasDeposited(account: address, amount: uint256) -> bool:
    """
    @notice Whether at least so much was deposited for an account, ever.
    """
    return self._deposited[account] >= amount


@external
def depositERC20(amount: uint256) -> uint256:
    """
    @notice To the sender's own account on the child chain; the number of the message.
    """
    return self._deposit(msg.sender, amount)


@external
def depositERC20To(to: address, amount: uint256) -> uint256:
    """
    @notice To an account on the child chain, paid by the sender.
    """
    return self._deposit(to, amount)


@internal
def _deposit(to: address, amount: uint256) -> uint256:
    assert not self.paused, "paused"
    bridge: address = self.bridge
    extcall IERC20(staticcall Bridge(bridge).nativeToken()).transferFrom(msg.sender, bridge, amount)
    self._deposited[to] += amount
    data: Bytes[52] = concat(convert(to, bytes20), convert(amount, bytes32))
    index: uint256 = extcall Bridge(bridge).enqueueDelayedMessage(DEPOSIT, msg.sender, keccak256(data), amount)
    log InboxMessageDelivered(messageNum=index, data=data)
    return index
