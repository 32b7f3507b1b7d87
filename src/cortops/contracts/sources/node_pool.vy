# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title NodePool
@notice Which nodes are free for any session (the ephemeral pool), and which are reserved by one.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. The public NodePool's ABI is not known: every function here is
     ours, and the pool is far smaller. As publicly described, a released node stands in neither pool until it is added again (it
     has to pass a check first).
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

interface NodeRegistry:
    def isNodeRegistered(node: address) -> bool: view

POOL_ROLE: public(constant(bytes32)) = keccak256("POOL_ROLE")

NODES_MAX: constant(uint256) = 256  # free at once
RESERVED_MAX: constant(uint256) = 32  # by one session
PAGE_MAX: constant(uint256) = 100
U64: constant(uint256) = 2**64 - 1

event EphemeralNodeAdded:
    node: indexed(address)

event EphemeralNodeRemoved:
    node: indexed(address)

event EphemeralNodeReserved:
    node: indexed(address)
    sessionId: indexed(uint256)

event EphemeralNodeReleased:
    node: indexed(address)
    sessionId: indexed(uint256)

_registry: address
_session: address
# One word a node: its place in _free plus one (64 bits) while it is free, or the session that holds it (64) while it is reserved.
_nodes: HashMap[address, uint256]
_free: HashMap[uint256, address]
_counts: uint256  # free nodes (64 bits), reserved nodes (64)


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
@view
def getNodeRegistryAddress() -> address:
    return self._registry


@external
def setNodeRegistryAddress(registry: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._registry = registry


@external
@view
def getSessionAddress() -> address:
    return self._session


@external
def setSessionAddress(session: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._session = session


@external
def addNode(node: address):
    """
    @notice Into the ephemeral pool, by who holds POOL_ROLE; the node must be registered.
    """
    roles._check(POOL_ROLE)
    assert staticcall NodeRegistry(self._registry).isNodeRegistered(node), "node not registered"
    word: uint256 = self._nodes[node]
    assert word & U64 == 0, "already in the pool"
    assert word == 0, "reserved by a session"
    count: uint256 = self._counts & U64
    assert count < NODES_MAX, "pool is full"
    self._free[count] = node
    self._nodes[node] = count + 1
    self._counts += 1
    log EphemeralNodeAdded(node=node)


@external
def removeNode(node: address):
    """
    @notice Out of the ephemeral pool, by who holds POOL_ROLE. A reserved node leaves when its session lets it go.
    """
    roles._check(POOL_ROLE)
    word: uint256 = self._nodes[node]
    assert word >> 64 == 0, "reserved by a session"
    assert word != 0, "not in the pool"
    self._take(node)
    log EphemeralNodeRemoved(node=node)


@external
def reserve(sessionId: uint256, minNumOfNodes: uint256, maxNumOfNodes: uint256) -> DynArray[address, RESERVED_MAX]:
    """
    @notice Only the session contract: up to maxNumOfNodes free nodes become the session's. Which ones is not promised.
    """
    assert msg.sender == self._session, "only the session contract"
    taken: DynArray[address, RESERVED_MAX] = []
    for i: uint256 in range(NODES_MAX):
        count: uint256 = self._counts & U64
        if count == 0 or len(taken) == min(maxNumOfNodes, RESERVED_MAX):
            break
        node: address = self._free[count - 1]
        self._take(node)
        if staticcall NodeRegistry(self._registry).isNodeRegistered(node):
            taken.append(node)
            self._nodes[node] = sessionId << 64
            log EphemeralNodeReserved(node=node, sessionId=sessionId)
        else:
            log EphemeralNodeRemoved(node=node)  # it has left the registry meanwhile
    assert len(taken) >= minNumOfNodes, "too few nodes in the ephemeral pool"
    self._counts += len(taken) << 64
    return taken


@external
def release(sessionId: uint256, nodes: DynArray[address, RESERVED_MAX]):
    """
    @notice Only the session contract. A node that is not the session's is passed over: letting go must always be possible.
    """
    assert msg.sender == self._session, "only the session contract"
    for node: address in nodes:
        if sessionId != 0 and self._nodes[node] == sessionId << 64:
            self._nodes[node] = 0
            self._counts -= 1 << 64
            log EphemeralNodeReleased(node=node, sessionId=sessionId)


@external
@view
def getEphemeralNodeCount() -> uint256:
    return self._counts & U64


@external
@view
def getReservedNodeCount() -> uint256:
    return self._counts >> 64


@external
@view
def isEphemeralNode(node: address) -> bool:
    return self._nodes[node] & U64 != 0


@external
@view
def getReservingSessionId(node: address) -> uint256:
    """
    @notice Zero when no session holds it.
    """
    return self._nodes[node] >> 64


@external
@view
def getEphemeralNodesByPage(offset: uint256, amount: uint256) -> DynArray[address, PAGE_MAX]:
    """
    @notice Free nodes offset .. offset + amount - 1; shorter at the end. The order changes when one leaves.
    """
    assert amount <= PAGE_MAX, "page too large"
    page: DynArray[address, PAGE_MAX] = []
    for i: uint256 in range(amount, bound=PAGE_MAX):
        if offset + i >= self._counts & U64:
            break
        page.append(self._free[offset + i])
    return page


@internal
def _take(node: address):
    """
    @notice Out of the list of free nodes; the last one takes its place.
    """
    place: uint256 = (self._nodes[node] & U64) - 1
    last: address = self._free[(self._counts & U64) - 1]
    self._counts -= 1
    self._nodes[last] = place + 1
    self._free[place] = last
    self._free[self._counts & U64] = empty(address)
    self._nodes[node] = 0
