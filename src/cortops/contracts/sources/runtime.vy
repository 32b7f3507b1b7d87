# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Runtime
@notice The registry of modules: programs are given this one address and find every other contract through it.
@dev A stand-in of cortops for public environments' runtime (RuntimeV1), not code of Cortensor's deployed contracts. Its ABI is not
     public; the names follow the rule that is: each module has getXAddress and setXAddress, version and subversion.
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

event ModuleAddressSet:
    module: String[32]
    account: indexed(address)

_registry: address
_pool: address
_stats: address
_session: address
_queue: address
_validation: address


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
    """
    @notice This and the others: zero as long as nobody has set it.
    """
    return self._registry


@external
def setNodeRegistryAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._registry = account
    log ModuleAddressSet(module="NodeRegistry", account=account)


@external
@view
def getNodePoolAddress() -> address:
    return self._pool


@external
def setNodePoolAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._pool = account
    log ModuleAddressSet(module="NodePool", account=account)


@external
@view
def getNodeStatsAddress() -> address:
    return self._stats


@external
def setNodeStatsAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._stats = account
    log ModuleAddressSet(module="NodeStats", account=account)


@external
@view
def getSessionAddress() -> address:
    return self._session


@external
def setSessionAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._session = account
    log ModuleAddressSet(module="Session", account=account)


@external
@view
def getSessionQueueAddress() -> address:
    return self._queue


@external
def setSessionQueueAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._queue = account
    log ModuleAddressSet(module="SessionQueue", account=account)


@external
@view
def getSessionQueueValidationAddress() -> address:
    return self._validation


@external
def setSessionQueueValidationAddress(account: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._validation = account
    log ModuleAddressSet(module="SessionQueueValidation", account=account)
