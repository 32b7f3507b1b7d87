# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title NodeStats
@notice How often each node was assigned, acked, precommitted, committed, saw its task end, and was judged valid or invalid.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. The public NodeStats' ABI is not known: every function here is
     ours. One word a node, counters of 32 bits that stop at their end.
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

struct Node:
    account: address
    registeredAt: uint256
    lastPingAt: uint256
    verified: bool

interface NodeRegistry:
    def getNodesByPage(offset: uint256, amount: uint256) -> DynArray[Node, PAGE_MAX]: view

PAGE_MAX: constant(uint256) = 100
NODES_MAX: constant(uint256) = 8  # of one task
U32: constant(uint256) = 2**32 - 1

# Which counter; the first five are the queue's, the last two the validation's.
ENDED: constant(uint256) = 4
VALID: constant(uint256) = 5
INVALID: constant(uint256) = 6

struct Stats:
    account: address
    assigned: uint256  # each time the oracle chose it
    acked: uint256
    precommitted: uint256
    committed: uint256
    ended: uint256  # tasks of its that ended, whether it had committed or not
    valid: uint256  # each verdict of each validator
    invalid: uint256

_registry: address
_queue: address
_validation: address
_stats: HashMap[address, uint256]


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
def getSessionQueueAddress() -> address:
    return self._queue


@external
def setSessionQueueAddress(queue: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._queue = queue


@external
@view
def getSessionQueueValidationAddress() -> address:
    return self._validation


@external
def setSessionQueueValidationAddress(validation: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._validation = validation


@external
def count(nodes: DynArray[address, NODES_MAX], counter: uint256):
    """
    @notice One more for each of the nodes. counter: 0 assigned, 1 acked, 2 precommitted, 3 committed, 4 ended (only the queue),
            5 valid, 6 invalid (only the validation).
    """
    assert counter <= INVALID, "no such counter"
    writer: address = self._queue if counter <= ENDED else self._validation
    assert msg.sender == writer, "not the writer of this counter"
    bits: uint256 = 32 * counter
    for node: address in nodes:
        word: uint256 = self._stats[node]
        if (word >> bits) & U32 < U32:
            self._stats[node] = word + (1 << bits)


@external
@view
def getNodeStats(node: address) -> Stats:
    return self._of(node)


@external
@view
def getNodeStatsByPage(offset: uint256, amount: uint256) -> DynArray[Stats, PAGE_MAX]:
    """
    @notice Of the registry's nodes offset .. offset + amount - 1, in the registry's order.
    """
    page: DynArray[Stats, PAGE_MAX] = []
    nodes: DynArray[Node, PAGE_MAX] = staticcall NodeRegistry(self._registry).getNodesByPage(offset, amount)
    for node: Node in nodes:
        page.append(self._of(node.account))
    return page


@internal
@view
def _of(node: address) -> Stats:
    word: uint256 = self._stats[node]
    return Stats(
        account=node,
        assigned=word & U32,
        acked=(word >> 32) & U32,
        precommitted=(word >> 64) & U32,
        committed=(word >> 96) & U32,
        ended=(word >> 128) & U32,
        valid=(word >> 160) & U32,
        invalid=(word >> 192) & U32,
    )
