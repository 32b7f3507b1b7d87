# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title CognitiveLevel
@notice The level of each node, which rises and falls with its network tasks.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Public names: getNodeLevels, isEligibleForUpgrade,
     getLevelRequirements, getReportEligibility, MIN_LEVEL, MAX_LEVEL, setMaxLevel and NodeLevelChanged (facts D, operators 2.4); what
     they do in detail, and everything else, is ours. One word a node.
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

VALIDATOR_ROLE: public(constant(bytes32)) = keccak256("VALIDATOR_ROLE")

NODES_MAX: constant(uint256) = 32  # of one report
PAGE_MAX: constant(uint256) = 100
MIN_LEVEL: public(constant(uint256)) = 0
LEVELS_MAX: constant(uint256) = 10
REASON_BYTES_MAX: constant(uint256) = 32

U16: constant(uint256) = 2**16 - 1
U64: constant(uint256) = 2**64 - 1

struct Requirements:
    minConsecutiveCount: uint256
    minSuccessPercentage: uint256

event NodeLevelChanged:
    node: indexed(address)
    before: uint256
    level: uint256
    reason: String[REASON_BYTES_MAX]

event NodeReported:
    sessionId: indexed(uint256)
    node: indexed(address)
    passed: bool

MAX_LEVEL: public(uint256)
_requirements: HashMap[uint256, uint256]  # of a level: minConsecutiveCount (16 bits), minSuccessPercentage (16)
# A node: level (16 bits), successes in a row (16), failures in a row (16), tasks at this level (16), of which passed (16),
# the last report passed (16), and the session of that report (64).
_nodes: HashMap[address, uint256]
_reported: uint256  # the newest task of which a report came


@deploy
def __init__(admin: address):
    roles.__init__(admin)
    self.MAX_LEVEL = LEVELS_MAX


@external
@pure
def version() -> uint256:
    return 1


@external
@pure
def subversion() -> uint256:
    return 0


@external
def setMaxLevel(level: uint256):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    assert level <= LEVELS_MAX, "level too high"
    self.MAX_LEVEL = level


@external
def setLevelRequirements(level: uint256, minConsecutiveCount: uint256, minSuccessPercentage: uint256):
    """
    @notice What a node of this level needs to rise; failing minConsecutiveCount times in a row takes it down by one.
    """
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    assert level <= LEVELS_MAX, "level too high"
    assert minConsecutiveCount > 0 and minConsecutiveCount <= U16, "count out of range"
    assert minSuccessPercentage <= 100, "percentage out of range"
    self._requirements[level] = minConsecutiveCount | (minSuccessPercentage << 16)


@external
@view
def getLevelRequirements(level: uint256) -> Requirements:
    return self._needs(level)


@external
def report(sessionId: uint256, nodes: DynArray[address, NODES_MAX], passed: DynArray[bool, NODES_MAX]):
    """
    @notice Who passed a network task and who did not, by who holds VALIDATOR_ROLE; once a task, in their order.
    """
    roles._check(VALIDATOR_ROLE)
    assert len(nodes) == len(passed), "one verdict a node"
    assert sessionId > self._reported, "already reported"
    self._reported = sessionId
    for i: uint256 in range(len(nodes), bound=NODES_MAX):
        self._take(sessionId, nodes[i], passed[i])


@external
@view
def getReportEligibility(sessionId: uint256) -> bool:
    return sessionId > self._reported


@external
@view
def getNodeLevels(nodes: DynArray[address, PAGE_MAX]) -> DynArray[uint256, PAGE_MAX]:
    levels: DynArray[uint256, PAGE_MAX] = []
    for node: address in nodes:
        levels.append(self._nodes[node] & U16)
    return levels


@external
@view
def getNodeResults(nodes: DynArray[address, PAGE_MAX]) -> DynArray[uint256, PAGE_MAX]:
    """
    @notice Ours. Of each node's last report: 0 none yet, 1 failed, 2 passed.
    """
    results: DynArray[uint256, PAGE_MAX] = []
    for node: address in nodes:
        word: uint256 = self._nodes[node]
        results.append(0 if word >> 96 == 0 else 1 + ((word >> 80) & U16))
    return results


@external
@view
def isEligibleForUpgrade(node: address) -> bool:
    return self._may_rise(self._nodes[node])


@internal
def _take(session: uint256, node: address, passed: bool):
    word: uint256 = self._nodes[node]
    level: uint256 = word & U16
    won: uint256 = 0
    lost: uint256 = 0
    if passed:
        won = min(((word >> 16) & U16) + 1, U16)
    else:
        lost = min(((word >> 32) & U16) + 1, U16)
    tasks: uint256 = min(((word >> 48) & U16) + 1, U16)
    good: uint256 = min(((word >> 64) & U16) + convert(passed, uint256), tasks)
    tail: uint256 = (convert(passed, uint256) << 80) | ((session & U64) << 96)
    log NodeReported(sessionId=session, node=node, passed=passed)
    word = level | (won << 16) | (lost << 32) | (tasks << 48) | (good << 64) | tail
    if self._may_rise(word):
        self._move(node, level, level + 1, tail, "tasks passed")
    elif level > MIN_LEVEL and lost >= self._needs(level).minConsecutiveCount:
        self._move(node, level, level - 1, tail, "tasks failed")
    else:
        self._nodes[node] = word


@internal
def _move(node: address, before: uint256, level: uint256, tail: uint256, reason: String[REASON_BYTES_MAX]):
    """
    @notice Counting begins anew at each level.
    """
    self._nodes[node] = level | tail
    log NodeLevelChanged(node=node, before=before, level=level, reason=reason)


@internal
@view
def _may_rise(word: uint256) -> bool:
    level: uint256 = word & U16
    if level >= self.MAX_LEVEL:
        return False
    needs: Requirements = self._needs(level)
    won: uint256 = (word >> 16) & U16
    tasks: uint256 = (word >> 48) & U16
    good: uint256 = (word >> 64) & U16
    return won >= needs.minConsecutiveCount and good * 100 >= tasks * needs.minSuccessPercentage


@internal
@view
def _needs(level: uint256) -> Requirements:
    word: uint256 = self._requirements[level]
    if word == 0:
        return Requirements(minConsecutiveCount=3 * (level + 1), minSuccessPercentage=60)
    return Requirements(minConsecutiveCount=word & U16, minSuccessPercentage=word >> 16)
