# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title NodeRegistry
@notice Which nodes there are, and when each was last heard of. Public method names and selectors: register, verify, ping.
@dev A stand-in of cortops for public environments' registry, not code of Cortensor's deployed contracts.
"""

import roles

initializes: roles
exports: (
    roles.DEFAULT_ADMIN_ROLE,
    roles.hasRole,
    roles.grantRole,
    roles.revokeRole,
    roles.getRoleAdmin,
    roles.getRoleMemberCount,
    roles.getRoleMember,
)

METADATA_BYTES_MAX: constant(uint256) = 1024
PAGE_MAX: constant(uint256) = 100
U64: constant(uint256) = 2**64 - 1
U128: constant(uint256) = 2**128 - 1

struct Node:
    account: address
    registeredAt: uint256
    lastPingAt: uint256
    verified: bool

event NodeRegistered:
    node: indexed(address)
    metadata: String[METADATA_BYTES_MAX]

event NodeVerified:
    node: indexed(address)

event NodeRemoved:
    node: indexed(address)

event NodePinged:
    node: indexed(address)

# One word a node: position in _accounts plus one (64 bits), registered at (64), last ping at (64), verified (1).
_nodes: HashMap[address, uint256]
_accounts: HashMap[uint256, address]
_count: uint256


@deploy
def __init__(admin: address):
    roles.__init__(admin)


@external
@pure
def version() -> uint256:
    return 1


@external
@pure
def subversion() -> uint256:
    return 0


@external
def register(metadata: String[METADATA_BYTES_MAX]):
    """
    @notice The caller becomes a node.
    """
    assert self._nodes[msg.sender] == 0, "already registered"
    self._accounts[self._count] = msg.sender
    self._count += 1
    self._nodes[msg.sender] = self._count | (block.timestamp << 64)
    log NodeRegistered(node=msg.sender, metadata=metadata)


@external
def verify(node: address):
    """
    @notice An admin vouches for a node.
    """
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    assert self._nodes[node] != 0, "not registered"
    self._nodes[node] |= 1 << 192
    log NodeVerified(node=node)


@external
def remove(node: address):
    """
    @notice The node itself or an admin takes it out; it may register again.
    """
    if msg.sender != node:
        roles._check(roles.DEFAULT_ADMIN_ROLE)
    position: uint256 = self._nodes[node] & U64
    assert position != 0, "not registered"
    last: address = self._accounts[self._count - 1]
    self._nodes[last] = (self._nodes[last] >> 64 << 64) | position
    self._accounts[position - 1] = last
    self._nodes[node] = 0
    self._count -= 1
    self._accounts[self._count] = empty(address)
    log NodeRemoved(node=node)


@external
def ping():
    """
    @notice The caller is alive.
    """
    node: uint256 = self._nodes[msg.sender]
    assert node != 0, "not registered"
    kept: uint256 = node & (U128 | (1 << 192))
    self._nodes[msg.sender] = kept | (block.timestamp << 128)
    log NodePinged(node=msg.sender)


@external
@view
def isNodeRegistered(node: address) -> bool:
    return self._nodes[node] != 0


@external
@view
def isNodeVerified(node: address) -> bool:
    return (self._nodes[node] >> 192) & 1 == 1


@external
@view
def lastPingAt(node: address) -> uint256:
    return (self._nodes[node] >> 128) & U64


@external
@view
def getNodeCount() -> uint256:
    return self._count


@external
@view
def getNodesByPage(offset: uint256, amount: uint256) -> DynArray[Node, PAGE_MAX]:
    """
    @notice Nodes offset .. offset + amount - 1 of all; shorter at the end. The order changes when a node is removed.
    """
    assert amount <= PAGE_MAX, "page too large"
    page: DynArray[Node, PAGE_MAX] = []
    for i: uint256 in range(amount, bound=PAGE_MAX):
        if offset + i >= self._count:
            break
        account: address = self._accounts[offset + i]
        node: uint256 = self._nodes[account]
        page.append(Node(
            account=account,
            registeredAt=(node >> 64) & U64,
            lastPingAt=(node >> 128) & U64,
            verified=(node >> 192) & 1 == 1,
        ))
    return page
