# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title PrivacySettingData
@notice Who may have the key of a private session's payloads, or of one task's.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. The public contract's ABI is not known: every function here is ours.
     A list is set whole, and its hash is kept beside it, so that one word tells whether the chain has the list that is declared.
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

ADDRESSES_MAX: constant(uint256) = 32

event SessionAllowlistSet:
    sessionId: indexed(uint256)
    listHash: indexed(bytes32)

event TaskAllowlistSet:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    listHash: indexed(bytes32)

_ofSession: HashMap[uint256, DynArray[address, ADDRESSES_MAX]]
_ofTask: HashMap[uint256, HashMap[uint256, DynArray[address, ADDRESSES_MAX]]]


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
def isAllowed(sessionId: uint256, taskId: uint256, account: address) -> bool:
    """
    @notice Whether the account stands in the session's list or in the task's.
    """
    return account in self._ofSession[sessionId] or account in self._ofTask[sessionId][taskId]


@external
@view
def getSessionAllowlist(sessionId: uint256) -> DynArray[address, ADDRESSES_MAX]:
    return self._ofSession[sessionId]


@external
@view
def getSessionAllowlistHash(sessionId: uint256) -> bytes32:
    """
    @notice keccak256 of the list's ABI encoding, in its order; that of the empty list where none was ever set.
    """
    return keccak256(abi_encode(self._ofSession[sessionId]))


@external
@view
def getTaskAllowlist(sessionId: uint256, taskId: uint256) -> DynArray[address, ADDRESSES_MAX]:
    return self._ofTask[sessionId][taskId]


@external
def setSessionAllowlist(sessionId: uint256, accounts: DynArray[address, ADDRESSES_MAX]):
    """
    @notice By an admin, as the next: this list in place of the one before.
    """
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._ofSession[sessionId] = accounts
    log SessionAllowlistSet(sessionId=sessionId, listHash=keccak256(abi_encode(accounts)))


@external
def setTaskAllowlist(sessionId: uint256, taskId: uint256, accounts: DynArray[address, ADDRESSES_MAX]):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._ofTask[sessionId][taskId] = accounts
    log TaskAllowlistSet(sessionId=sessionId, taskId=taskId, listHash=keccak256(abi_encode(accounts)))
