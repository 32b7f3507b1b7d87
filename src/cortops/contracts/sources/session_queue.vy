# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title SessionQueue
@notice The life of user tasks: queued, assigned, acked, precommitted, committed, ended. Public names and selectors of SessionQueueV2.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Of each session the last RING tasks stand in storage, as numbers
     and hashes; all text, and everything older, stands in events. Task ids count from 1 in each session.
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

ORACLE_ROLE: public(constant(bytes32)) = keccak256("ORACLE_ROLE")

RING: constant(uint256) = 64
MINERS_MAX: constant(uint256) = 8
TEXT_BYTES_MAX: constant(uint256) = 32768
NOTE_BYTES_MAX: constant(uint256) = 4096
PAGE_MAX: constant(uint256) = 16
SESSIONS_MAX: constant(uint256) = 100
U64: constant(uint256) = 2**64 - 1

# Status of a task, and step of one miner in it; assigned is QUEUED with miners.
QUEUED: constant(uint8) = 0
ACKED: constant(uint8) = 1
PRECOMMITTED: constant(uint8) = 2
COMMITTED: constant(uint8) = 3
COMPLETED: constant(uint8) = 4

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

struct Entry:
    id: uint64
    gid: uint64
    status: uint8
    acked: uint8  # how many miners have
    precommitted: uint8
    committed: uint8
    ended: bool
    ackClosed: bool

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
_gid: uint256
_counts: HashMap[uint256, uint256]  # session -> tasks so far
# Keys of the rings: session * RING + task % RING; of results: that key * MINERS_MAX + the miner's place. Words are packed: storage is
# what a development chain pays for with every block.
_entries: HashMap[uint256, uint256]
_times: HashMap[uint256, uint256]
_miners: HashMap[uint256, DynArray[address, MINERS_MAX]]
_hashes: HashMap[uint256, bytes32]
_stamps: HashMap[uint256, uint256]


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
    fresh.id = convert(taskId, uint64)
    fresh.gid = convert(self._gid, uint64)
    self._keep(at, fresh)
    self._times[at] = block.timestamp
    self._miners[at] = []
    log TaskQueued(sessionId=sessionId, taskId=taskId, gid=self._gid, data=data)
    return taskId


# --- from miners ---


@external
def ack(sessionId: uint256, taskId: uint256):
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at)
    assert self._step(place) == QUEUED, "already acked"
    assert not task.ackClosed, "too late to ack"
    task.acked += 1
    if convert(task.acked, uint256) == len(self._miners[at]):
        task.ackClosed = True
        task.status = ACKED
    self._stamps[place] = block.timestamp
    log TaskAcked(sessionId=sessionId, taskId=taskId, miner=msg.sender)
    self._keep(at, task)


@external
def precommit(sessionId: uint256, taskId: uint256, hash: bytes32, data: String[NOTE_BYTES_MAX]):
    """
    @notice hash: keccak256 of what will be committed. data: a note of the miner, or "".
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at)
    step: uint8 = self._step(place)
    assert step != QUEUED, "not acked"
    assert step == ACKED, "already precommitted"
    assert task.status < PRECOMMITTED, "too late to precommit"
    assert hash != empty(bytes32), "no hash"
    task.precommitted += 1
    self._hashes[place] = hash
    self._stamps[place] |= block.timestamp << 64
    self._stamp(at, 1)
    log TaskPrecommitted(sessionId=sessionId, taskId=taskId, miner=msg.sender, hash=hash, data=data)
    self._keep(at, self._all_precommitted(sessionId, taskId, task))


@external
def commit(sessionId: uint256, taskId: uint256, data: String[TEXT_BYTES_MAX]):
    """
    @notice Nobody commits before all have precommitted (or the oracle closed that step), so that nobody can copy.
    """
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._open(at, taskId)
    place: uint256 = self._place(at)
    step: uint8 = self._step(place)
    assert step != COMMITTED, "already committed"
    assert step == PRECOMMITTED, "not precommitted"
    assert task.status >= PRECOMMITTED, "others have not precommitted"
    assert task.status < COMMITTED, "too late to commit"
    assert keccak256(data) == self._hashes[place], "hash differs"
    task.committed += 1
    self._stamps[place] |= block.timestamp << 128
    self._stamp(at, 2)
    log TaskCommitted(sessionId=sessionId, taskId=taskId, miner=msg.sender, data=data)
    if task.committed == task.precommitted:
        task.status = COMMITTED
        log TaskAllCommitted(sessionId=sessionId, taskId=taskId)
    self._keep(at, task)


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
        self._stamps[at * MINERS_MAX + i] = 0
        self._hashes[at * MINERS_MAX + i] = empty(bytes32)
    self._miners[at] = miners
    log TaskAssigned(sessionId=sessionId, taskId=taskId, miners=miners)
    log TaskModelChosen(sessionId=sessionId, taskId=taskId, modelIdentifier=modelIdentifier)


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
    task: Entry = self._known(at, taskId)
    return self._step(self._place_of(at, miner))


@external
@view
def getTaskResultHashes(sessionId: uint256, taskId: uint256) -> (DynArray[address, MINERS_MAX], DynArray[bytes32, MINERS_MAX]):
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._known(at, taskId)
    hashes: DynArray[bytes32, MINERS_MAX] = []
    for i: uint256 in range(len(self._miners[at]), bound=MINERS_MAX):
        hashes.append(self._hashes[at * MINERS_MAX + i])
    return self._miners[at], hashes


@external
@view
def getAllTaskResultAckedTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 0)


@external
@view
def getAllTaskResultPrecommitTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 64)


@external
@view
def getAllTaskResultCommitTimestamps(sessionId: uint256, taskId: uint256) -> DynArray[uint256, MINERS_MAX]:
    return self._timestamps(sessionId, taskId, 128)


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
        id=convert(packed & U64, uint64),
        gid=convert((packed >> 64) & U64, uint64),
        status=convert((packed >> 128) & 255, uint8),
        acked=convert((packed >> 136) & 255, uint8),
        precommitted=convert((packed >> 144) & 255, uint8),
        committed=convert((packed >> 152) & 255, uint8),
        ended=(packed >> 160) & 1 == 1,
        ackClosed=(packed >> 161) & 1 == 1,
    )


@internal
def _keep(at: uint256, entry: Entry):
    self._entries[at] = (
        convert(entry.id, uint256)
        | (convert(entry.gid, uint256) << 64)
        | (convert(entry.status, uint256) << 128)
        | (convert(entry.acked, uint256) << 136)
        | (convert(entry.precommitted, uint256) << 144)
        | (convert(entry.committed, uint256) << 152)
        | (convert(entry.ended, uint256) << 160)
        | (convert(entry.ackClosed, uint256) << 161)
    )


@internal
@view
def _known(at: uint256, taskId: uint256) -> Entry:
    entry: Entry = self._entry(at)
    assert taskId != 0 and convert(entry.id, uint256) == taskId, "no such task"
    return entry


@internal
@view
def _open(at: uint256, taskId: uint256) -> Entry:
    entry: Entry = self._known(at, taskId)
    assert not entry.ended, "task ended"
    return entry


@internal
@view
def _place(at: uint256) -> uint256:
    assert staticcall NodeRegistry(self._registry).isNodeRegistered(msg.sender), "not registered"
    return self._place_of(at, msg.sender)


@internal
@view
def _place_of(at: uint256, miner: address) -> uint256:
    miners: DynArray[address, MINERS_MAX] = self._miners[at]
    for i: uint256 in range(len(miners), bound=MINERS_MAX):
        if miners[i] == miner:
            return at * MINERS_MAX + i
    raise "not assigned"


@internal
@view
def _step(place: uint256) -> uint8:
    stamps: uint256 = self._stamps[place]
    if stamps >> 128 != 0:
        return COMMITTED
    if stamps >> 64 != 0:
        return PRECOMMITTED
    if stamps != 0:
        return ACKED
    return QUEUED


@internal
def _stamp(at: uint256, which: uint256):
    """
    @notice The present as the task's time number `which`: 0 created, 1 last precommit, 2 last commit, 3 finished.
    """
    bits: uint256 = 64 * which
    self._times[at] = (self._times[at] & ~(U64 << bits)) | (block.timestamp << bits)


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
    self._stamp(at, 3)
    done: DynArray[address, MINERS_MAX] = []
    for i: uint256 in range(len(self._miners[at]), bound=MINERS_MAX):
        if self._step(at * MINERS_MAX + i) == COMMITTED:
            done.append(self._miners[at][i])
    log TaskEnded(sessionId=sessionId, taskId=taskId, miners=done)
    self._keep(at, task)


@internal
@view
def _task(sessionId: uint256, at: uint256, taskId: uint256) -> Task:
    task: Entry = self._known(at, taskId)
    times: uint256 = self._times[at]
    return Task(
        id=taskId,
        gid=convert(task.gid, uint256),
        sessionId=sessionId,
        data="",
        assignedMiners=self._miners[at],
        ended=task.ended,
        status=task.status,
        createdAt=times & U64,
        lastPrecommitAt=(times >> 64) & U64,
        lastCommitAt=(times >> 128) & U64,
        finishedAt=(times >> 192) & U64,
    )


@internal
@view
def _timestamps(sessionId: uint256, taskId: uint256, bits: uint256) -> DynArray[uint256, MINERS_MAX]:
    at: uint256 = self._at(sessionId, taskId)
    task: Entry = self._known(at, taskId)
    times: DynArray[uint256, MINERS_MAX] = []
    for i: uint256 in range(len(self._miners[at]), bound=MINERS_MAX):
        times.append((self._stamps[at * MINERS_MAX + i] >> bits) & U64)
    return times
