# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Cognitive
@notice Network sessions for tests, with the selectors, views and events of the public Cognitive ABI (facts C.4, operators 2.4).
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Of the cycle only precommit (3), commit (4) and ended (6) exist;
     `begin` is ours, stands for request to start, and like endPrecommit and end may be called by anybody.
"""

MINERS_MAX: constant(uint256) = 32
TEXT_BYTES_MAX: constant(uint256) = 1024

PRECOMMIT: constant(uint8) = 3
COMMIT: constant(uint8) = 4
ENDED: constant(uint8) = 6

# The fields of the public struct, in its order; lists that tests do not need stay empty.
struct Session:
    id: uint256
    timestamp: uint256
    seed: uint256
    domain: String[32]
    subdomain: String[32]
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

event SessionAllCommitted:
    id: indexed(uint256)
    addrs: DynArray[address, MINERS_MAX]

event SessionEnded:
    id: indexed(uint256)
    endTimestamp: uint256

minerCooldownPeriod: public(uint256)
sessionCounter: public(uint256)
lastPingAt: public(HashMap[address, uint256])  # ours
_sessions: HashMap[uint256, Session]
_hashes: HashMap[uint256, HashMap[address, bytes32]]
_committed: HashMap[uint256, HashMap[address, bool]]
_precommits: HashMap[uint256, uint256]
_commits: HashMap[uint256, uint256]


@external
@pure
def version() -> uint8:
    return 1


@external
@pure
def subversion() -> uint8:
    return 0


@external
def ping():
    self.lastPingAt[msg.sender] = block.timestamp


@external
def begin(miners: DynArray[address, MINERS_MAX]) -> uint256:
    """
    @notice Ours: the next session, with these miners, open for precommits. The one before must have ended.
    """
    last: uint256 = self.sessionCounter
    assert last == 0 or self._sessions[last].state == ENDED, "session open"
    self.sessionCounter = last + 1
    session: Session = empty(Session)
    session.id = last + 1
    session.timestamp = block.timestamp
    session.miners = miners
    session.state = PRECOMMIT
    session.startTimestamp = block.timestamp
    session.creator = msg.sender
    self._sessions[last + 1] = session
    log SessionStarted(id=last + 1, startTimestamp=block.timestamp, addrs=miners)
    return last + 1


@external
def precommit(id: uint256, hash: bytes32, signature: Bytes[256], seed: uint256):
    assert self._sessions[id].state == PRECOMMIT, "not in precommit"
    self._check_miner(id)
    assert self._hashes[id][msg.sender] == empty(bytes32), "already precommitted"
    assert hash != empty(bytes32), "no hash"
    self._hashes[id][msg.sender] = hash
    self._precommits[id] += 1
    log SessionPrecommitted(id=id, addr=msg.sender)
    if self._precommits[id] == len(self._sessions[id].miners):
        self._end_precommit(id, False)


@external
def endPrecommit(id: uint256):
    """
    @notice Who has not precommitted is out.
    """
    assert self._sessions[id].state == PRECOMMIT, "not in precommit"
    self._end_precommit(id, True)


@external
def commit(id: uint256, completion: String[TEXT_BYTES_MAX], signature: Bytes[256], seed: uint256):
    assert self._sessions[id].state == COMMIT, "not in commit"
    self._check_miner(id)
    assert not self._committed[id][msg.sender], "already committed"
    assert keccak256(completion) == self._hashes[id][msg.sender], "hash differs"
    self._committed[id][msg.sender] = True
    self._commits[id] += 1
    log SessionCommitted(id=id, addr=msg.sender)
    if self._commits[id] == self._precommits[id]:
        log SessionAllCommitted(id=id, addrs=self._sessions[id].miners)


@external
def end(id: uint256, forceEnd: bool):
    state: uint8 = self._sessions[id].state
    assert state == COMMIT or (forceEnd and state == PRECOMMIT), "not in commit"
    self._sessions[id].state = ENDED
    self._sessions[id].endTimestamp = block.timestamp
    log SessionEnded(id=id, endTimestamp=block.timestamp)


@external
@view
def get(id: uint256) -> Session:
    return self._sessions[id]


@external
@view
def getLatestSessionId() -> uint256:
    return self.sessionCounter


@external
@view
def getLatestSessionState() -> uint8:
    return self._sessions[self.sessionCounter].state


@external
@view
def getLatestSessionInfo() -> (uint256, uint8):
    return self.sessionCounter, self._sessions[self.sessionCounter].state


@external
@view
def getSessionState(id: uint256) -> uint8:
    return self._sessions[id].state


@external
@view
def alreadyPrecommitted(id: uint256, miner: address) -> bool:
    return self._hashes[id][miner] != empty(bytes32)


@external
@view
def alreadyCommitted(id: uint256, miner: address) -> bool:
    return self._committed[id][miner]


@internal
@view
def _check_miner(id: uint256):
    for miner: address in self._sessions[id].miners:
        if miner == msg.sender:
            return
    raise "not selected"


@internal
def _end_precommit(id: uint256, forced: bool):
    self._sessions[id].state = COMMIT
    log SessionAllPrecommitted(id=id, addrs=self._sessions[id].miners, forceEnd=forced)
