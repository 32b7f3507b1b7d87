# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Roles
@notice Who may do what, with the ABI of OpenZeppelin's AccessControlEnumerable, so that the same reads work on other contracts.
        The zero role administers every role. Membership is a bounded list: roles of this house are held by few.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts.
"""

MEMBERS_MAX: constant(uint256) = 32
DEFAULT_ADMIN_ROLE: public(constant(bytes32)) = empty(bytes32)

event RoleGranted:
    role: indexed(bytes32)
    account: indexed(address)
    sender: indexed(address)

event RoleRevoked:
    role: indexed(bytes32)
    account: indexed(address)
    sender: indexed(address)

_members: HashMap[bytes32, DynArray[address, MEMBERS_MAX]]


@deploy
def __init__(admin: address):
    # An argument, not msg.sender: the deployer is the CREATE2 proxy.
    assert admin != empty(address), "no admin"
    self._grant(DEFAULT_ADMIN_ROLE, admin)


@external
@view
def hasRole(role: bytes32, account: address) -> bool:
    return self._has(role, account)


@external
@view
def getRoleAdmin(role: bytes32) -> bytes32:
    return DEFAULT_ADMIN_ROLE


@external
@view
def getRoleMemberCount(role: bytes32) -> uint256:
    return len(self._members[role])


@external
@view
def getRoleMember(role: bytes32, index: uint256) -> address:
    assert index < len(self._members[role]), "no such member"
    return self._members[role][index]


@external
def grantRole(role: bytes32, account: address):
    self._check(DEFAULT_ADMIN_ROLE)
    if not self._has(role, account):
        self._grant(role, account)


@external
def revokeRole(role: bytes32, account: address):
    self._check(DEFAULT_ADMIN_ROLE)
    members: DynArray[address, MEMBERS_MAX] = self._members[role]
    assert role != DEFAULT_ADMIN_ROLE or len(members) > 1, "last admin"
    for i: uint256 in range(len(members), bound=MEMBERS_MAX):
        if members[i] == account:
            self._members[role][i] = members[len(members) - 1]
            self._members[role].pop()
            log RoleRevoked(role=role, account=account, sender=msg.sender)
            return


@internal
@view
def _has(role: bytes32, account: address) -> bool:
    return account in self._members[role]


@internal
@view
def _check(role: bytes32):
    assert self._has(role, msg.sender), "missing role"


@internal
def _grant(role: bytes32, account: address):
    assert len(self._members[role]) < MEMBERS_MAX, "role is full"
    self._members[role].append(account)
    log RoleGranted(role=role, account=account, sender=msg.sender)
