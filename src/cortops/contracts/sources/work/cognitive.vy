# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Cognitive
@notice The network's own tasks: request, create, prepare, precommit, commit, end.
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Selectors, the struct of `get` and the events of the steps are
     public (facts C.4, operators 2.4); how nodes are picked, the numbers of the states but 3, 4 and 6, and request's details are ours.
     One task at a time; its struct is kept of the last TASKS_KEPT only, texts stand in events.
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
    def getNodeCount() -> uint256: view
    def getNodesByPage(offset: uint256, amount: uint256) -> DynArray[Node, PAGE_MAX]: view

ORACLE_ROLE: public(constant(bytes32)) = keccak256("ORACLE_ROLE")

PAGE_MAX: constant(uint256) = 100  # nodes that are looked at for one choice
MINERS_MAX: constant(uint256) = 8
CHALLENGES_MAX: constant(uint256) = 4
WORD_BYTES_MAX: constant(uint256) = 64
CHALLENGE_BYTES_MAX: constant(uint256) = 512
TEXT_BYTES_MAX: constant(uint256) = 4096
SIGNATURE_BYTES_MAX: constant(uint256) = 256
TASKS_KEPT: constant(uint256) = 16

CREATE: constant(uint8) = 1
PREPARE: constant(uint8) = 2
PRECOMMIT: constant(uint8) = 3
COMMIT: constant(uint8) = 4
ENDED: constant(uint8) = 6

# The fields of the public struct, in its order; those that are of no use here stay empty.
struct Session:
    id: uint256
    timestamp: uint256
    seed: uint256
    domain: String[WORD_BYTES_MAX]
    subdomain: String[WORD_BYTES_MAX]
    maxPrompts: uint256
    challengeIndex: uint256
    challenges: DynArray[String[32], 1]
    miners: DynArray[address, MINERS_MAX]
    state: uint8
    startTimestamp: uint256
    endTimestamp: uint256
    creator: address
    preparers: DynArray[address, 1]
    preparerIndex: uint256
    submitterIds: DynArray[bytes32, 1]
    completionHashes: DynArray[bytes32, 1]
    completions: DynArray[String[32], 1]
    completionCounter: uint256
    validators: DynArray[address, 1]

event NewSessionRequestAssigned:
    id: indexed(uint256)
    creator: indexed(address)

event SessionCreated:
    id: indexed(uint256)
    creator: indexed(address)
    preparer: address
    domain: String[WORD_BYTES_MAX]
    subdomain: String[WORD_BYTES_MAX]

event SessionPreparerAssigned:
    id: indexed(uint256)
    preparer: indexed(address)

event SessionPrepared:
    id: indexed(uint256)
    addr: indexed(address)
    challenges: DynArray[String[CHALLENGE_BYTES_MAX], CHALLENGES_MAX]

event SessionStarted:
    id: indexed(uint256)
    startTimestamp: uint256
    addrs: DynArray[address, MINERS_MAX]

event SessionPrecommitted:
    id: indexed(uint256)
    addr: indexed(address)

event SessionAllPrecommitted:
    id: indexed(uint256)
    addrs: DynArray[address, MINERS_MAX]
    forceEnd: bool

event SessionCommitted:
    id: indexed(uint256)
    addr: indexed(address)

event SessionCompletion:
    id: indexed(uint256)
    addr: indexed(address)
    completion: String[TEXT_BYTES_MAX]

event SessionAllCommitted:
    id: indexed(uint256)
    addrs: DynArray[address, MINERS_MAX]

event SessionEnded:
    id: indexed(uint256)
    endTimestamp: uint256

minerCooldownPeriod: public(uint256)  # seconds from one choice of a miner to the next
thresholdMiner: public(uint256)  # how many miners answer
thresholdPing: public(uint256)  # ours: seconds since its last ping for which a node counts as alive
sessionCounter: public(uint256)
_registry: address
_tasks: HashMap[uint256, Session]  # by id modulo TASKS_KEPT
_hashes: HashMap[uint256, HashMap[address, bytes32]]  # by id modulo TASKS_KEPT, as the next
_committed: HashMap[uint256, HashMap[address, bool]]
_promised: uint256  # of the latest task: precommits (128 bits), commits
_chosen_at: HashMap[address, uint256]


@deploy
def __init__(admin: address):
    roles.__init__(admin)
    self.minerCooldownPeriod = 60
    self.thresholdMiner = 3
    self.thresholdPing = 900


@external
@pure
def version() -> uint8:
    return 1


@external
@pure
def subversion() -> uint8:
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
def setThresholds(miners: uint256, cooldown: uint256, ping: uint256):
    """
    @notice Ours. How many miners answer, seconds between two choices of one, seconds that a ping counts.
    """
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    assert miners > 0 and miners <= MINERS_MAX, "miners out of range"
    self.thresholdMiner = miners
    self.minerCooldownPeriod = cooldown
    self.thresholdPing = ping


@external
@view
def getThresholds() -> (uint256, uint256, uint256):
    """
    @notice Ours. As setThresholds takes them.
    """
    return self.thresholdMiner, self.minerCooldownPeriod, self.thresholdPing


@external
def request() -> uint256:
    """
    @notice The oracle opens the next task: a node that is alive is to create it.
    """
    roles._check(ORACLE_ROLE)
    last: uint256 = self.sessionCounter
    assert last == 0 or self._tasks[last % TASKS_KEPT].state == ENDED, "session open"
    id: uint256 = last + 1
    creator: DynArray[address, MINERS_MAX] = self._pick(1, empty(address), 0)
    assert len(creator) == 1, "no node is alive"
    task: Session = empty(Session)
    task.id = id
    task.timestamp = block.timestamp
    task.creator = creator[0]
    task.state = CREATE
    self.sessionCounter = id
    self._promised = 0
    for miner: address in self._tasks[id % TASKS_KEPT].miners:  # the place of a task that is forgotten now
        self._hashes[id % TASKS_KEPT][miner] = empty(bytes32)
        self._committed[id % TASKS_KEPT][miner] = False
    self._tasks[id % TASKS_KEPT] = task
    log NewSessionRequestAssigned(id=id, creator=creator[0])
    return id


@external
def requestNextCreator(id: uint256):
    """
    @notice The oracle moves on when the creator is late.
    """
    roles._check(ORACLE_ROLE)
    self._check_state(id, CREATE)
    late: address = self._tasks[id % TASKS_KEPT].creator
    found: DynArray[address, MINERS_MAX] = self._pick(1, late, 0)
    assert len(found) == 1, "no other node is alive"
    self._tasks[id % TASKS_KEPT].creator = found[0]
    log NewSessionRequestAssigned(id=id, creator=found[0])


@external
def create(domain: String[WORD_BYTES_MAX], subdomain: String[WORD_BYTES_MAX]):
    """
    @notice By the creator of the latest task: what it is about.
    """
    id: uint256 = self.sessionCounter
    self._check_state(id, CREATE)
    assert self._tasks[id % TASKS_KEPT].creator == msg.sender, "not the creator"
    found: DynArray[address, MINERS_MAX] = self._pick(1, msg.sender, 0)
    preparer: address = msg.sender  # alone it prepares as well
    if len(found) == 1:
        preparer = found[0]
    self._tasks[id % TASKS_KEPT].domain = domain
    self._tasks[id % TASKS_KEPT].subdomain = subdomain
    self._tasks[id % TASKS_KEPT].preparers = [preparer]
    self._tasks[id % TASKS_KEPT].state = PREPARE
    log SessionCreated(id=id, creator=msg.sender, preparer=preparer, domain=domain, subdomain=subdomain)


@external
def requestNextPreparer(id: uint256):
    """
    @notice The oracle moves on when the preparer is late.
    """
    roles._check(ORACLE_ROLE)
    self._check_state(id, PREPARE)
    found: DynArray[address, MINERS_MAX] = self._pick(1, self._tasks[id % TASKS_KEPT].preparers[0], 0)
    assert len(found) == 1, "no other node is alive"
    self._tasks[id % TASKS_KEPT].preparers = [found[0]]
    log SessionPreparerAssigned(id=id, preparer=found[0])


@external
def prepare(
    id: uint256,
    challenges: DynArray[String[CHALLENGE_BYTES_MAX], CHALLENGES_MAX],
    signature: Bytes[SIGNATURE_BYTES_MAX],
    seed: uint256,
):
    """
    @notice By the preparer: the prompts. Miners are picked, and may precommit at once.
    """
    self._check_state(id, PREPARE)
    assert self._tasks[id % TASKS_KEPT].preparers[0] == msg.sender, "not the preparer"
    assert len(challenges) > 0, "no challenge"
    miners: DynArray[address, MINERS_MAX] = self._pick(self.thresholdMiner, empty(address), self.minerCooldownPeriod)
    assert len(miners) > 0, "no miner is free"
    for miner: address in miners:
        self._chosen_at[miner] = block.timestamp
    self._tasks[id % TASKS_KEPT].seed = seed
    self._tasks[id % TASKS_KEPT].miners = miners
    self._tasks[id % TASKS_KEPT].startTimestamp = block.timestamp
    self._tasks[id % TASKS_KEPT].state = PRECOMMIT
    log SessionPrepared(id=id, addr=msg.sender, challenges=challenges)
    log SessionStarted(id=id, startTimestamp=block.timestamp, addrs=miners)


@external
def precommit(id: uint256, hash: bytes32, signature: Bytes[SIGNATURE_BYTES_MAX], seed: uint256):
    self._check_state(id, PRECOMMIT)
    self._check_miner(id)
    assert self._hashes[id % TASKS_KEPT][msg.sender] == empty(bytes32), "already precommitted"
    assert hash != empty(bytes32), "no hash"
    self._hashes[id % TASKS_KEPT][msg.sender] = hash
    self._promised += 1 << 128
    log SessionPrecommitted(id=id, addr=msg.sender)
    if self._promised >> 128 == len(self._tasks[id % TASKS_KEPT].miners):
        self._open_commits(id, False)


@external
def endPrecommit(id: uint256):
    """
    @notice The oracle moves on: who has not precommitted is out.
    """
    roles._check(ORACLE_ROLE)
    self._check_state(id, PRECOMMIT)
    assert self._promised >> 128 > 0, "nobody has precommitted"
    self._open_commits(id, True)


@external
def commit(id: uint256, completion: String[TEXT_BYTES_MAX], signature: Bytes[SIGNATURE_BYTES_MAX], seed: uint256):
    self._check_state(id, COMMIT)
    self._check_miner(id)
    assert not self._committed[id % TASKS_KEPT][msg.sender], "already committed"
    assert keccak256(completion) == self._hashes[id % TASKS_KEPT][msg.sender], "hash differs"
    self._committed[id % TASKS_KEPT][msg.sender] = True
    self._promised += 1
    log SessionCommitted(id=id, addr=msg.sender)
    log SessionCompletion(id=id, addr=msg.sender, completion=completion)
    if self._promised & (2**128 - 1) == self._promised >> 128:
        log SessionAllCommitted(id=id, addrs=self._tasks[id % TASKS_KEPT].miners)


@external
def end(id: uint256, forceEnd: bool):
    """
    @notice By the oracle: all have committed, or it is forced.
    """
    roles._check(ORACLE_ROLE)
    assert id != 0 and id == self.sessionCounter, "not the latest"
    state: uint8 = self._tasks[id % TASKS_KEPT].state
    assert state != ENDED, "ended"
    complete: bool = state == COMMIT and self._promised & (2**128 - 1) == self._promised >> 128
    assert complete or forceEnd, "not all have committed"
    self._tasks[id % TASKS_KEPT].state = ENDED
    self._tasks[id % TASKS_KEPT].endTimestamp = block.timestamp
    log SessionEnded(id=id, endTimestamp=block.timestamp)


@external
@view
def get(id: uint256) -> Session:
    """
    @notice Empty when it is none of the last TASKS_KEPT.
    """
    task: Session = self._tasks[id % TASKS_KEPT]
    return task if task.id == id else empty(Session)


@external
@view
def getLatestSessionId() -> uint256:
    return self.sessionCounter


@external
@view
def getLatestSessionState() -> uint8:
    return self._tasks[self.sessionCounter % TASKS_KEPT].state


@external
@view
def getLatestSessionInfo() -> (uint256, uint8):
    return self.sessionCounter, self._tasks[self.sessionCounter % TASKS_KEPT].state


@external
@view
def getSessionState(id: uint256) -> uint8:
    task: Session = self._tasks[id % TASKS_KEPT]
    return task.state if task.id == id else 0


@external
@view
def alreadyPrecommitted(id: uint256, miner: address) -> bool:
    return self._kept(id) and self._hashes[id % TASKS_KEPT][miner] != empty(bytes32)


@external
@view
def alreadyCommitted(id: uint256, miner: address) -> bool:
    return self._kept(id) and self._committed[id % TASKS_KEPT][miner]


@internal
@view
def _kept(id: uint256) -> bool:
    return id != 0 and self._tasks[id % TASKS_KEPT].id == id


@internal
@view
def _check_state(id: uint256, state: uint8):
    assert id != 0 and id == self.sessionCounter, "not the latest"
    assert self._tasks[id % TASKS_KEPT].state == state, "not in this step"


@internal
@view
def _check_miner(id: uint256):
    for miner: address in self._tasks[id % TASKS_KEPT].miners:
        if miner == msg.sender:
            return
    raise "not selected"


@internal
def _open_commits(id: uint256, forced: bool):
    self._tasks[id % TASKS_KEPT].state = COMMIT
    log SessionAllPrecommitted(id=id, addrs=self._tasks[id % TASKS_KEPT].miners, forceEnd=forced)


@internal
@view
def _pick(count: uint256, not_this: address, cooldown: uint256) -> DynArray[address, MINERS_MAX]:
    """
    @notice Up to `count` nodes that pinged lately and were not chosen within `cooldown` seconds, from a place that the last block chose.
    """
    picked: DynArray[address, MINERS_MAX] = []
    total: uint256 = staticcall NodeRegistry(self._registry).getNodeCount()
    if total == 0:
        return picked
    chance: bytes32 = keccak256(concat(blockhash(block.number - 1), convert(self.sessionCounter, bytes32)))
    start: uint256 = convert(chance, uint256) % total
    for lap: uint256 in range(2):  # from there to the end, then from the beginning to there
        offset: uint256 = start if lap == 0 else 0
        amount: uint256 = min(total - start if lap == 0 else start, PAGE_MAX)
        for node: Node in staticcall NodeRegistry(self._registry).getNodesByPage(offset, amount):
            if len(picked) == count:
                return picked
            alive: bool = node.lastPingAt + self.thresholdPing >= block.timestamp
            rested: bool = self._chosen_at[node.account] + cooldown <= block.timestamp
            if alive and rested and node.account != not_this:
                picked.append(node.account)
    return picked
