# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Rollup
@notice What is asserted about the child chain's state, and what of it is confirmed. Public reads and events are those of BoLD in
        nitro-contracts 3.1.
@dev A stand-in of cortops for development chains: one assertion at a time, made by a staker whom the owner names, confirmed after a time
     without a challenge; nothing is staked and nothing is proven. `createAssertion`, `confirmAssertion` and `pending` are ours.
"""

struct ConfigData:
    wasmModuleRoot: bytes32
    requiredStake: uint256
    challengeManager: address
    confirmPeriodBlocks: uint64
    nextInboxPosition: uint64

struct BeforeStateData:
    prevPrevAssertionHash: bytes32
    sequencerBatchAcc: bytes32
    configData: ConfigData

struct GlobalState:
    bytes32Vals: bytes32[2]
    u64Vals: uint64[2]

struct AssertionState:
    globalState: GlobalState
    machineStatus: uint8
    endHistoryRoot: bytes32

struct AssertionInputs:
    beforeStateData: BeforeStateData
    beforeState: AssertionState
    afterState: AssertionState

struct Pending:
    hash: bytes32
    blockHash: bytes32
    batchCount: uint256
    confirmableAt: uint256

event AssertionCreated:
    assertionHash: indexed(bytes32)
    parentAssertionHash: indexed(bytes32)
    assertion: AssertionInputs
    afterInboxBatchAcc: bytes32
    inboxMaxCount: uint256
    wasmModuleRoot: bytes32
    requiredStake: uint256
    challengeManager: address
    confirmPeriodBlocks: uint64

event AssertionConfirmed:
    assertionHash: indexed(bytes32)
    blockHash: bytes32
    sendRoot: bytes32

interface Bridge:
    def sequencerMessageCount() -> uint256: view
    def sequencerAcc() -> bytes32: view

STAKERS_MAX: constant(uint256) = 8
FINISHED: constant(uint8) = 1  # MachineStatus

chainId: public(uint256)
owner: public(address)
bridge: public(address)
confirmPeriodSeconds: public(uint256)
paused: public(bool)
stakerCount: public(uint64)
isValidator: public(HashMap[address, bool])
latestConfirmed: public(bytes32)
pending: public(Pending)
assertedBatchCount: public(uint256)
confirmedBatchCount: public(uint256)
confirmedBlockHash: public(bytes32)
_beforeLatest: bytes32
_state: AssertionState


@deploy
def __init__(owner: address, bridge: address, chainId: uint256, confirmPeriodSeconds: uint256):
    self.owner = owner
    self.bridge = bridge
    self.chainId = chainId
    self.confirmPeriodSeconds = confirmPeriodSeconds
    self.latestConfirmed = keccak256(concat(b"genesis", convert(chainId, bytes32)))


@external
def setOwner(newOwner: address):
    assert msg.sender == self.owner, "not the owner"
    self.owner = newOwner


@external
def pause():
    assert msg.sender == self.owner, "not the owner"
    self.paused = True


@external
def resume():
    assert msg.sender == self.owner, "not the owner"
    self.paused = False


@external
def setValidator(validators: DynArray[address, STAKERS_MAX], allowed: DynArray[bool, STAKERS_MAX]):
    """
    @notice By the owner: who may assert. Each of them counts as a staker; nothing is staked.
    """
    assert msg.sender == self.owner, "not the owner"
    assert len(validators) == len(allowed), "lists of different length"
    for i: uint256 in range(len(validators), bound=STAKERS_MAX):
        if self.isValidator[validators[i]] != allowed[i]:
            self.isValidator[validators[i]] = allowed[i]
            if allowed[i]:
                self.stakerCount += 1
            else:
                self.stakerCount -= 1


@external
def createAssertion(batchCount: uint256, blockHash: bytes32, sendRoot: bytes32):
    """
    @notice By a staker: after so many batches the child's last block is this. Refused while another assertion waits, or without new batches.
    """
    assert not self.paused, "paused"
    assert self.isValidator[msg.sender], "not a validator"
    assert self.pending.hash == empty(bytes32), "another assertion waits"
    assert batchCount > self.assertedBatchCount, "no new batch"
    assert batchCount <= staticcall Bridge(self.bridge).sequencerMessageCount(), "not posted yet"
    inbox_acc: bytes32 = staticcall Bridge(self.bridge).sequencerAcc()
    before: AssertionState = self._state
    after: AssertionState = AssertionState(
        globalState=GlobalState(bytes32Vals=[blockHash, sendRoot], u64Vals=[convert(batchCount, uint64), 0]),
        machineStatus=FINISHED,
        endHistoryRoot=empty(bytes32),
    )
    assertion: bytes32 = keccak256(concat(self.latestConfirmed, blockHash, sendRoot, convert(batchCount, bytes32)))
    config: ConfigData = ConfigData(
        wasmModuleRoot=empty(bytes32),
        requiredStake=0,
        challengeManager=empty(address),
        confirmPeriodBlocks=convert(self.confirmPeriodSeconds, uint64),
        nextInboxPosition=convert(batchCount, uint64),
    )
    inputs: AssertionInputs = AssertionInputs(
        beforeStateData=BeforeStateData(prevPrevAssertionHash=self._beforeLatest, sequencerBatchAcc=inbox_acc, configData=config),
        beforeState=before,
        afterState=after,
    )
    self.pending = Pending(
        hash=assertion, blockHash=blockHash, batchCount=batchCount, confirmableAt=block.timestamp + self.confirmPeriodSeconds
    )
    self.assertedBatchCount = batchCount
    self._state = after
    log AssertionCreated(
        assertionHash=assertion,
        parentAssertionHash=self.latestConfirmed,
        assertion=inputs,
        afterInboxBatchAcc=inbox_acc,
        inboxMaxCount=batchCount,
        wasmModuleRoot=empty(bytes32),
        requiredStake=0,
        challengeManager=empty(address),
        confirmPeriodBlocks=convert(self.confirmPeriodSeconds, uint64),
    )


@external
def confirmAssertion(assertion: bytes32):
    """
    @notice By a staker, after the time in which it could be challenged.
    """
    assert not self.paused, "paused"
    assert self.isValidator[msg.sender], "not a validator"
    assert assertion != empty(bytes32) and self.pending.hash == assertion, "no such assertion"
    assert block.timestamp >= self.pending.confirmableAt, "too early"
    self._beforeLatest = self.latestConfirmed
    self.latestConfirmed = assertion
    self.confirmedBatchCount = self.pending.batchCount
    self.confirmedBlockHash = self.pending.blockHash
    self.pending = empty(Pending)
    log AssertionConfirmed(assertionHash=assertion, blockHash=self.confirmedBlockHash, sendRoot=self._state.globalState.bytes32Vals[1])
