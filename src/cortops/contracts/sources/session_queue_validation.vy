# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title SessionQueueValidation
@notice Verdicts of validators on the answers to a task.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. The public SessionQueueValidation's ABI is not known: every function
     and event here is ours. Of each session the verdicts on the last RING tasks stand in storage, one word a task; notes and evidence,
     the verdicts of earlier validators and everything older stand in events.
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

struct Task:
    id: uint256
    gid: uint256
    sessionId: uint256
    data: String[32]
    assignedMiners: DynArray[address, MINERS_MAX]
    ended: bool
    status: uint8
    createdAt: uint256
    lastPrecommitAt: uint256
    lastCommitAt: uint256
    finishedAt: uint256

interface SessionQueue:
    def getTask(sessionId: uint256, taskId: uint256) -> Task: view

interface NodeStats:
    def count(nodes: DynArray[address, MINERS_MAX], counter: uint256): nonpayable

VALIDATOR_ROLE: public(constant(bytes32)) = keccak256("VALIDATOR_ROLE")

RING: constant(uint256) = 64
MINERS_MAX: constant(uint256) = 8
NOTE_BYTES_MAX: constant(uint256) = 1024
SCORE_MAX: constant(uint256) = 1000
VALIDATORS_MAX: constant(uint256) = 64  # that ever recorded
U32: constant(uint256) = 2**32 - 1
JUDGED_BITS: constant(uint256) = 96  # where the miners' parts begin in a word
PART: constant(uint256) = 2**16 - 1
PART_SCORE: constant(uint256) = 2**12 - 1

# Verdicts; zero is none. Numbers are ours, the words are public.
VALID: constant(uint8) = 1
INVALID: constant(uint8) = 2
RETRY: constant(uint8) = 3
NEEDS_SPEC: constant(uint8) = 4

# Counters of NodeStats.
COUNT_VALID: constant(uint256) = 5
COUNT_INVALID: constant(uint256) = 6

event TaskValidated:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miner: indexed(address)
    validator: address
    verdict: uint8
    score: uint256
    evidence: bytes32

event TaskVerdictsRecorded:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    validator: indexed(address)
    note: String[NOTE_BYTES_MAX]

_queue: address
_stats: address
_numbers: HashMap[address, uint256]  # validator -> which bit is its, plus one
_count: uint256
# Key: session * RING + task % RING. Word: task (32 bits), which validators have recorded (64), then for each assigned miner in order
# score (12) and verdict (4).
_words: HashMap[uint256, uint256]


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
def getSessionQueueAddress() -> address:
    return self._queue


@external
def setSessionQueueAddress(queue: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._queue = queue


@external
@view
def getNodeStatsAddress() -> address:
    return self._stats


@external
def setNodeStatsAddress(stats: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._stats = stats


@external
def recordVerdicts(
    sessionId: uint256,
    taskId: uint256,
    miners: DynArray[address, MINERS_MAX],
    verdicts: DynArray[uint8, MINERS_MAX],
    scores: DynArray[uint256, MINERS_MAX],
    evidence: bytes32,
    note: String[NOTE_BYTES_MAX],
):
    """
    @notice Judge miners of an ended task, once by each validator. In storage the last validator's verdict on a miner stands.
            scores: 0 .. 1000. evidence: a hash of what was compared, zero for none.
    """
    roles._check(VALIDATOR_ROLE)
    assert len(miners) > 0, "no miners"
    assert len(miners) == len(verdicts) and len(miners) == len(scores), "lists differ in length"
    task: Task = staticcall SessionQueue(self._queue).getTask(sessionId, taskId)
    assert task.ended, "task not ended"
    at: uint256 = sessionId * RING + taskId % RING
    word: uint256 = self._words[at]
    if word & U32 != taskId:
        word = taskId
    bit: uint256 = 1 << (32 + self._number())
    assert word & bit == 0, "already recorded"
    word |= bit
    judged: uint256 = 0
    valid: DynArray[address, MINERS_MAX] = []
    invalid: DynArray[address, MINERS_MAX] = []
    for i: uint256 in range(len(miners), bound=MINERS_MAX):
        assert verdicts[i] >= VALID and verdicts[i] <= NEEDS_SPEC, "no such verdict"
        assert scores[i] <= SCORE_MAX, "score too high"
        place: uint256 = self._place(task.assignedMiners, miners[i])
        assert (judged >> place) & 1 == 0, "miner named twice"
        judged |= 1 << place
        low: uint256 = JUDGED_BITS + 16 * place
        word = (word & ~(PART << low)) | ((scores[i] | (convert(verdicts[i], uint256) << 12)) << low)
        if verdicts[i] == VALID:
            valid.append(miners[i])
        elif verdicts[i] == INVALID:
            invalid.append(miners[i])
        log TaskValidated(
            sessionId=sessionId,
            taskId=taskId,
            miner=miners[i],
            validator=msg.sender,
            verdict=verdicts[i],
            score=scores[i],
            evidence=evidence,
        )
    self._words[at] = word
    log TaskVerdictsRecorded(sessionId=sessionId, taskId=taskId, validator=msg.sender, note=note)
    if self._stats != empty(address):
        if len(valid) > 0:
            extcall NodeStats(self._stats).count(valid, COUNT_VALID)
        if len(invalid) > 0:
            extcall NodeStats(self._stats).count(invalid, COUNT_INVALID)


@external
@view
def getVerdicts(
    sessionId: uint256, taskId: uint256
) -> (DynArray[address, MINERS_MAX], DynArray[uint8, MINERS_MAX], DynArray[uint256, MINERS_MAX]):
    """
    @notice Of each assigned miner its verdict, zero as long as there is none, and its score; as long as the queue keeps the task.
    """
    task: Task = staticcall SessionQueue(self._queue).getTask(sessionId, taskId)
    word: uint256 = self._words[sessionId * RING + taskId % RING]
    if word & U32 != taskId:
        word = 0
    verdicts: DynArray[uint8, MINERS_MAX] = []
    scores: DynArray[uint256, MINERS_MAX] = []
    for i: uint256 in range(len(task.assignedMiners), bound=MINERS_MAX):
        part: uint256 = (word >> (JUDGED_BITS + 16 * i)) & PART
        verdicts.append(convert(part >> 12, uint8))
        scores.append(part & PART_SCORE)
    return task.assignedMiners, verdicts, scores


@external
@view
def hasRecorded(sessionId: uint256, taskId: uint256, validator: address) -> bool:
    """
    @notice Whether this validator has recorded its verdicts on the task; false also for a task that is no longer kept.
    """
    word: uint256 = self._words[sessionId * RING + taskId % RING]
    number: uint256 = self._numbers[validator]
    return taskId != 0 and word & U32 == taskId and number != 0 and (word >> (31 + number)) & 1 == 1


@internal
def _number() -> uint256:
    """
    @notice Which bit is the caller's; given at its first record, for ever.
    """
    number: uint256 = self._numbers[msg.sender]
    if number == 0:
        assert self._count < VALIDATORS_MAX, "too many validators"
        self._count += 1
        number = self._count
        self._numbers[msg.sender] = number
    return number - 1


@internal
@pure
def _place(miners: DynArray[address, MINERS_MAX], miner: address) -> uint256:
    for i: uint256 in range(len(miners), bound=MINERS_MAX):
        if miners[i] == miner:
            return i
    raise "not assigned"
