# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title SessionQueue
@notice The life of user tasks: queued, assigned, acked, precommitted, committed, ended. Public names and selectors of SessionQueueV2.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Of each session the last RING tasks stand in storage, as numbers
     and hashes; all text, and everything older, stands in events. Task ids count from 1 in each session. Public are the argument lists
     of ack, precommit, commit, assignTask, end2, getTaskResultState, verifyHash and getHash, the fields of a task and those of the
     events TaskQueued, TaskAssigned and TaskEnded; of all others only the names, and their arguments are ours.
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

interface NodeStats:
    def count(nodes: DynArray[address, MINERS_MAX], counter: uint256): nonpayable

ORACLE_ROLE: public(constant(bytes32)) = keccak256("ORACLE_ROLE")

RING: constant(uint256) = 64
MINERS_MAX: constant(uint256) = 8
TEXT_BYTES_MAX: constant(uint256) = 32768
NOTE_BYTES_MAX: constant(uint256) = 4096
PAGE_MAX: constant(uint256) = 16
SESSIONS_MAX: constant(uint256) = 100
U32: constant(uint256) = 2**32 - 1
U160: constant(uint256) = 2**160 - 1

# Status of a task, and step of one miner in it; assigned is QUEUED with miners.
QUEUED: constant(uint8) = 0
ACKED: constant(uint8) = 1
PRECOMMITTED: constant(uint8) = 2
COMMITTED: constant(uint8) = 3
COMPLETED: constant(uint8) = 4

# Counters of NodeStats.
COUNT_ASSIGNED: constant(uint256) = 0
COUNT_ACKED: constant(uint256) = 1
COUNT_PRECOMMITTED: constant(uint256) = 2
COUNT_COMMITTED: constant(uint256) = 3
COUNT_ENDED: constant(uint256) = 4

struct Task:
    id: uint256
    gid: uint256
    sessionId: uint256
    data: String[32]  # always empty: the text is in TaskQueued
    assignedMiners: DynArray[address, MINERS_MAX]
    ended: bool
    status: uint8
    createdAt: uint256
    lastPrecommitAt: uint256
    lastCommitAt: uint256
    finishedAt: uint256

# Ours: what one miner has done in a task.
struct TaskResult:
    miner: address
    state: uint8
    hash: bytes32  # zero until it has precommitted
    data: String[32]  # always empty: the text is in TaskCommitted
    ackedAt: uint256
    precommittedAt: uint256
    committedAt: uint256

# Ours: how many of the assigned miners have taken each step, and whether those who have not may still ack.
struct TaskDecoration:
    assigned: uint256
    acked: uint256
    precommitted: uint256
    committed: uint256
    ackClosed: bool

# A task in storage, one word.
struct Entry:
    id: uint256  # 32 bits, as the next
    gid: uint256
    createdAt: uint256
    lastPrecommitAt: uint256
    lastCommitAt: uint256
    finishedAt: uint256
    status: uint8  # 8 bits, as the next four
    miners: uint256  # how many are assigned
    acked: uint256  # how many of them have
    precommitted: uint256
    committed: uint256
    ended: bool
    ackClosed: bool

# One miner's part in a task, one word.
struct Part:
    miner: address
    ackedAt: uint256  # 32 bits, as the next two
    precommittedAt: uint256
    committedAt: uint256

event TaskQueued:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    gid: uint256
    data: String[TEXT_BYTES_MAX]

event TaskAssigned:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miners: DynArray[address, MINERS_MAX]

# Ours: the public TaskAssigned does not tell the model.
event TaskModelChosen:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    modelIdentifier: uint256

event TaskAcked:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miner: indexed(address)

event TaskAckEnded:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)

event TaskPrecommitted:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miner: indexed(address)
    hash: bytes32
    data: String[NOTE_BYTES_MAX]

event TaskAllPrecommitted:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)

event TaskPrecommitEnded:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)

event TaskCommitted:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miner: indexed(address)
    data: String[TEXT_BYTES_MAX]

event TaskAllCommitted:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)

event TaskCommitEnded:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)

# miners: those that committed; empty when the task failed.
event TaskEnded:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miners: DynArray[address, MINERS_MAX]

_registry: address
_session: address
_stats: address
_gid: uint256
_counts: HashMap[uint256, uint256]  # session -> tasks so far
# Keys of the rings: session * RING + task % RING; of parts and hashes: that key * MINERS_MAX + the miner's place. Words are packed:
# storage is what a development chain pays for with every block.
_entries: HashMap[uint256, uint256]
_parts: HashMap[uint256, uint256]
_hashes: HashMap[uint256, bytes32]


@deploy
def __init__(admin: address):
    roles.__init__(admin)


@external
@pure
def version() -> uint256:
    return 2


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
@view
def getNodeStatsAddress() -> address:
    return self._stats


@external
def setNodeStatsAddress(stats: address):
    """
    @notice Zero: nothing is counted.
    """
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._stats = stats


# --- from the session ---


@external
def enqueue(sessionId: uint256, data: String[TEXT_BYTES_MAX]) -> uint256:
    """
    @notice Only the session contract; refused while the place in the ring is held by a task that has not ended.
    """
    assert msg.sender == self._session, "only the session contract"
    taskId: uint256 = self._counts[sessionId] + 1
    at: uint256 = self._at(sessionId, taskId)
    old: Entry = self._entry(at)
    assert old.id == 0 or old.ended, "queue full"
    self._counts[sessionId] = taskId
    self._gid += 1
    fresh: Entry = empty(Entry)
    fresh.id = taskId
    fresh.gid = self._gid
    fresh.createdAt = block.timestamp
    self._keep(at, fresh)
    log TaskQueued(sessionId=sessionId, taskId=taskId, gid=self._gid, data=data)
    return taskId


# --- from miners ---


@external
def ack(sessionId: uint256, taskId: uint256):
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at, task)
    part: Part = self._part(place)
    assert self._step(part) == QUEUED, "already acked"
    assert not task.ackClosed, "too late to ack"
    task.acked += 1
    if task.acked == task.miners:
        task.ackClosed = True
        task.status = ACKED
    part.ackedAt = block.timestamp
    self._keep_part(place, part)
    log TaskAcked(sessionId=sessionId, taskId=taskId, miner=msg.sender)
    self._keep(at, task)
    self._count([msg.sender], COUNT_ACKED)


@external
def precommit(sessionId: uint256, taskId: uint256, hash: bytes32, data: String[NOTE_BYTES_MAX]):
    """
    @notice hash: keccak256 of what will be committed. data: a note of the miner, or "".
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at, task)
    part: Part = self._part(place)
    step: uint8 = self._step(part)
    assert step != QUEUED, "not acked"
    assert step == ACKED, "already precommitted"
    assert task.status < PRECOMMITTED, "too late to precommit"
    assert hash != empty(bytes32), "no hash"
    task.precommitted += 1
    task.lastPrecommitAt = block.timestamp
    self._hashes[place] = hash
    part.precommittedAt = block.timestamp
    self._keep_part(place, part)
    log TaskPrecommitted(sessionId=sessionId, taskId=taskId, miner=msg.sender, hash=hash, data=data)
    self._keep(at, self._all_precommitted(sessionId, taskId, task))
    self._count([msg.sender], COUNT_PRECOMMITTED)


@external
def commit(sessionId: uint256, taskId: uint256, data: String[TEXT_BYTES_MAX]):
    """
    @notice Nobody commits before all have precommitted (or the oracle closed that step), so that nobody can copy.
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at, task)
    part: Part = self._part(place)
    step: uint8 = self._step(part)
    assert step != COMMITTED, "already committed"
    assert step == PRECOMMITTED, "not precommitted"
    assert task.status >= PRECOMMITTED, "others have not precommitted"
    assert task.status < COMMITTED, "too late to commit"
    assert keccak256(data) == self._hashes[place], "hash differs"
    task.committed += 1
    task.lastCommitAt = block.timestamp
    part.committedAt = block.timestamp
    self._keep_part(place, part)
    log TaskCommitted(sessionId=sessionId, taskId=taskId, miner=msg.sender, data=data)
    if task.committed == task.precommitted:
        task.status = COMMITTED
        log TaskAllCommitted(sessionId=sessionId, taskId=taskId)
    self._keep(at, task)
    self._count([msg.sender], COUNT_COMMITTED)


# --- from the oracle ---


@external
def assignTask(sessionId: uint256, taskId: uint256, miners: DynArray[address, MINERS_MAX], modelIdentifier: uint256):
    """
    @notice Choose the miners; may be done again, with others, as long as none has acked.
    """
    roles._check(ORACLE_ROLE)
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    assert task.acked == 0, "already acked"
    assert len(miners) > 0, "no miners"
    for i: uint256 in range(len(miners), bound=MINERS_MAX):
        assert staticcall NodeRegistry(self._registry).isNodeRegistered(miners[i]), "miner not registered"
        for j: uint256 in range(i, bound=MINERS_MAX):
            assert miners[j] != miners[i], "miner named twice"
        self._keep_part(at * MINERS_MAX + i, Part(miner=miners[i], ackedAt=0, precommittedAt=0, committedAt=0))
    task.miners = len(miners)
    self._keep(at, task)
    log TaskAssigned(sessionId=sessionId, taskId=taskId, miners=miners)
    log TaskModelChosen(sessionId=sessionId, taskId=taskId, modelIdentifier=modelIdentifier)
    self._count(miners, COUNT_ASSIGNED)


@external
def endAck(sessionId: uint256, taskId: uint256):
    """
    @notice Who has not acked is out.
    """
    roles._check(ORACLE_ROLE)
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    assert not task.ackClosed, "ack already ended"
    assert task.acked > 0, "nobody acked"
    task.ackClosed = True
    task.status = ACKED
    log TaskAckEnded(sessionId=sessionId, taskId=taskId)
    self._keep(at, self._all_precommitted(sessionId, taskId, task))


@external
def endPrecommit(sessionId: uint256, taskId: uint256):
    """
    @notice Who has not precommitted is out.
    """
    roles._check(ORACLE_ROLE)
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    assert task.status < PRECOMMITTED, "precommit already ended"
    assert task.precommitted > 0, "nobody precommitted"
    task.ackClosed = True
    task.status = PRECOMMITTED
    log TaskPrecommitEnded(sessionId=sessionId, taskId=taskId)
    self._keep(at, task)


@external
def endCommit(sessionId: uint256, taskId: uint256):
    """
    @notice Who has not committed is out.
    """
    roles._check(ORACLE_ROLE)
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    assert task.status < COMMITTED, "commit already ended"
    assert task.committed > 0, "nobody committed"
    task.status = COMMITTED
    log TaskCommitEnded(sessionId=sessionId, taskId=taskId)
    self._keep(at, task)


@external
def end(sessionId: uint256, taskId: uint256):
    self._end(sessionId, taskId, False)


@external
def end2(sessionId: uint256, taskId: uint256, force: bool):
    """
    @notice force: end it wherever it stands, with what has been committed.
    """
    self._end(sessionId, taskId, force)


# --- reads ---


@external
@view
def getTask(sessionId: uint256, taskId: uint256) -> Task:
    return self._task(sessionId, self._at(sessionId, taskId), taskId)


@external
@view
def getTasksBySessionId(sessionId: uint256, offset: uint256, amount: uint256) -> DynArray[Task, PAGE_MAX]:
    """
    @notice Tasks offset + 1 .. offset + amount of the session, as far as they stand in the ring.
    """
    assert amount <= PAGE_MAX, "page too large"
    page: DynArray[Task, PAGE_MAX] = []
    count: uint256 = self._counts[sessionId]
    for i: uint256 in range(amount, bound=PAGE_MAX):
        taskId: uint256 = offset + i + 1
        if taskId > count:
            break
        if taskId + RING > count:
            page.append(self._task(sessionId, self._at(sessionId, taskId), taskId))
    return page


@external
@view
def getTaskStatus(sessionId: uint256, taskId: uint256) -> uint8:
    return self._known(self._at(sessionId, taskId), taskId).status


@external
@view
def getTaskResultState(sessionId: uint256, taskId: uint256, miner: address) -> uint8:
    """
    @notice How far this miner has come: 0 assigned, 1 acked, 2 precommitted, 3 committed.
    """
    at: uint256 = self._at(sessionId, taskId)
    return self._step(self._part(self._place_of(at, self._known(at, taskId), miner)))


@external
@view
def getTaskResults(sessionId: uint256, taskId: uint256) -> DynArray[TaskResult, MINERS_MAX]:
    """
    @notice One for each assigned miner, in the order of assignment.
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._known(at, taskId)
    results: DynArray[TaskResult, MINERS_MAX] = []
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        part: Part = self._part(at * MINERS_MAX + i)
        results.append(TaskResult(
            miner=part.miner,
            state=self._step(part),
            hash=self._hash(at * MINERS_MAX + i, part),
            data="",
            ackedAt=part.ackedAt,
            precommittedAt=part.precommittedAt,
            committedAt=part.committedAt,
        ))
    return results


@external
@view
def getTaskDecoration(sessionId: uint256, taskId: uint256) -> TaskDecoration:
    task: Entry = self._known(self._at(sessionId, taskId), taskId)
    return TaskDecoration(
        assigned=task.miners,
        acked=task.acked,
        precommitted=task.precommitted,
        committed=task.committed,
        ackClosed=task.ackClosed,
    )


@external
@view
def getTaskResultHashes(sessionId: uint256, taskId: uint256) -> (DynArray[address, MINERS_MAX], DynArray[bytes32, MINERS_MAX]):
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._known(at, taskId)
    hashes: DynArray[bytes32, MINERS_MAX] = []
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        hashes.append(self._hash(at * MINERS_MAX + i, self._part(at * MINERS_MAX + i)))
    return self._assigned(at, task), hashes


@external
@view
def getAllTaskResultAckedTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 0)


@external
@view
def getAllTaskResultPrecommitTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 1)


@external
@view
def getAllTaskResultCommitTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 2)


@external
@view
def getTaskCountBySessionIds(sessionIds: DynArray[uint256, SESSIONS_MAX]) -> DynArray[uint256, SESSIONS_MAX]:
    counts: DynArray[uint256, SESSIONS_MAX] = []
    for sessionId: uint256 in sessionIds:
        counts.append(self._counts[sessionId])
    return counts


@external
@pure
def getHash(data: String[TEXT_BYTES_MAX]) -> bytes32:
    return keccak256(data)


@external
@pure
def verifyHash(data: String[TEXT_BYTES_MAX], hash: bytes32) -> bool:
    return keccak256(data) == hash


# --- inside ---


@internal
@pure
def _at(sessionId: uint256, taskId: uint256) -> uint256:
    return sessionId * RING + taskId % RING


@internal
@view
def _entry(at: uint256) -> Entry:
    packed: uint256 = self._entries[at]
    return Entry(
        id=packed & U32,
        gid=(packed >> 32) & U32,
        createdAt=(packed >> 64) & U32,
        lastPrecommitAt=(packed >> 96) & U32,
        lastCommitAt=(packed >> 128) & U32,
        finishedAt=(packed >> 160) & U32,
        status=convert((packed >> 192) & 255, uint8),
        miners=(packed >> 200) & 255,
        acked=(packed >> 208) & 255,
        precommitted=(packed >> 216) & 255,
        committed=(packed >> 224) & 255,
        ended=(packed >> 232) & 1 == 1,
        ackClosed=(packed >> 233) & 1 == 1,
    )


@internal
def _keep(at: uint256, entry: Entry):
    self._entries[at] = (
        entry.id
        | (entry.gid << 32)
        | (entry.createdAt << 64)
        | (entry.lastPrecommitAt << 96)
        | (entry.lastCommitAt << 128)
        | (entry.finishedAt << 160)
        | (convert(entry.status, uint256) << 192)
        | (entry.miners << 200)
        | (entry.acked << 208)
        | (entry.precommitted << 216)
        | (entry.committed << 224)
        | (convert(entry.ended, uint256) << 232)
        | (convert(entry.ackClosed, uint256) << 233)
    )


@internal
@view
def _part(place: uint256) -> Part:
    packed: uint256 = self._parts[place]
    return Part(
        miner=convert(convert(packed & U160, uint160), address),
        ackedAt=(packed >> 160) & U32,
        precommittedAt=(packed >> 192) & U32,
        committedAt=packed >> 224,
    )


@internal
def _keep_part(place: uint256, part: Part):
    self._parts[place] = (
        convert(part.miner, uint256) | (part.ackedAt << 160) | (part.precommittedAt << 192) | (part.committedAt << 224)
    )


@internal
@view
def _known(at: uint256, taskId: uint256) -> Entry:
    entry: Entry = self._entry(at)
    assert taskId != 0 and entry.id == taskId, "no such task"
    return entry


@internal
@view
def _open(at: uint256, taskId: uint256) -> Entry:
    entry: Entry = self._known(at, taskId)
    assert not entry.ended, "task ended"
    return entry


@internal
@view
def _place(at: uint256, task: Entry) -> uint256:
    assert staticcall NodeRegistry(self._registry).isNodeRegistered(msg.sender), "not registered"
    return self._place_of(at, task, msg.sender)


@internal
@view
def _place_of(at: uint256, task: Entry, miner: address) -> uint256:
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        if self._parts[at * MINERS_MAX + i] & U160 == convert(miner, uint256):
            return at * MINERS_MAX + i
    raise "not assigned"


@internal
@view
def _assigned(at: uint256, task: Entry) -> DynArray[address, MINERS_MAX]:
    miners: DynArray[address, MINERS_MAX] = []
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        miners.append(self._part(at * MINERS_MAX + i).miner)
    return miners


@internal
@pure
def _step(part: Part) -> uint8:
    if part.committedAt != 0:
        return COMMITTED
    if part.precommittedAt != 0:
        return PRECOMMITTED
    if part.ackedAt != 0:
        return ACKED
    return QUEUED


@internal
@view
def _hash(place: uint256, part: Part) -> bytes32:
    """
    @notice What stood there before, of an older task, is not told.
    """
    return self._hashes[place] if part.precommittedAt != 0 else empty(bytes32)


@internal
def _count(miners: DynArray[address, MINERS_MAX], counter: uint256):
    if self._stats != empty(address):
        extcall NodeStats(self._stats).count(miners, counter)


@internal
def _all_precommitted(sessionId: uint256, taskId: uint256, entry: Entry) -> Entry:
    task: Entry = entry
    if task.ackClosed and task.precommitted == task.acked:
        task.status = PRECOMMITTED
        log TaskAllPrecommitted(sessionId=sessionId, taskId=taskId)
    return task


@internal
def _end(sessionId: uint256, taskId: uint256, force: bool):
    roles._check(ORACLE_ROLE)
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    assert force or task.status == COMMITTED, "not committed"
    task.status = COMPLETED
    task.ended = True
    task.finishedAt = block.timestamp
    done: DynArray[address, MINERS_MAX] = []
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        part: Part = self._part(at * MINERS_MAX + i)
        if part.committedAt != 0:
            done.append(part.miner)
    log TaskEnded(sessionId=sessionId, taskId=taskId, miners=done)
    self._keep(at, task)
    if task.miners > 0:
        self._count(self._assigned(at, task), COUNT_ENDED)


@internal
@view
def _task(sessionId: uint256, at: uint256, taskId: uint256) -> Task:
    task: Entry = self._known(at, taskId)
    return Task(
        id=taskId,
        gid=task.gid,
        sessionId=sessionId,
        data="",
        assignedMiners=self._assigned(at, task),
        ended=task.ended,
        status=task.status,
        createdAt=task.createdAt,
        lastPrecommitAt=task.lastPrecommitAt,
        lastCommitAt=task.lastCommitAt,
        finishedAt=task.finishedAt,
    )


@internal
@view
def _timestamps(sessionId: uint256, taskId: uint256, which: uint256) -> DynArray[uint256, MINERS_MAX]:
    """
    @notice which: 0 acked, 1 precommitted, 2 committed.
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._known(at, taskId)
    times: DynArray[uint256, MINERS_MAX] = []
    for i: uint256 in range(task.miners, bound=MINERS_MAX):
        times.append((self._parts[at * MINERS_MAX + i] >> (160 + 32 * which)) & U32)
    return times
