# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Session
@notice Sessions, who serves them, and the door through which tasks come in. Public names and selectors of SessionV2 (create, submit, addRouter ...).
@dev A stand-in of cortops, not code of Cortensor's deployed contracts. Ids count from 1. Text of tasks stands only in events. Public are
     the argument lists of create and submit, the fields of a session and those of the events SessionCreated, TaskSubmitted and
     NewNodeAssignedToSession; of all others only the names, and their arguments are ours.
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

interface NodePool:
    def reserve(sessionId: uint256, minNumOfNodes: uint256, maxNumOfNodes: uint256) -> DynArray[address, NODES_MAX]: nonpayable
    def release(sessionId: uint256, nodes: DynArray[address, NODES_MAX]): nonpayable

interface SessionQueue:
    def enqueue(sessionId: uint256, data: String[TASK_BYTES_MAX]) -> uint256: nonpayable

TASK_BYTES_MAX: constant(uint256) = 32768
TEMPLATE_BYTES_MAX: constant(uint256) = 8192
REFERENCE_BYTES_MAX: constant(uint256) = 128
NAME_BYTES_MAX: constant(uint256) = 64
METADATA_BYTES_MAX: constant(uint256) = 256
PARAMS_MAX: constant(uint256) = 16
NODES_MAX: constant(uint256) = 32
ROUTERS_MAX: constant(uint256) = 8
PAGE_MAX: constant(uint256) = 10

ACTIVE: constant(uint8) = 1
INACTIVE: constant(uint8) = 2

EPHEMERAL: constant(uint256) = 0  # assignmentType, as mode (our reading)

struct SessionInfo:
    id: uint256
    sid: bytes32
    name: String[NAME_BYTES_MAX]
    metadata: String[METADATA_BYTES_MAX]
    state: uint8
    createdAt: uint256
    updatedAt: uint256
    owner: address
    ephemeralNodes: DynArray[address, NODES_MAX]
    dedicatedNodes: DynArray[address, NODES_MAX]
    mode: uint256
    redundant: uint256
    minNumOfNodes: uint256
    maxNumOfNodes: uint256
    numOfValidatorNodes: uint256
    routerMetadatas: DynArray[String[METADATA_BYTES_MAX], ROUTERS_MAX]
    routerAddresses: DynArray[address, ROUTERS_MAX]
    sla: uint256
    modelIdentifier: uint256
    reservePeriod: uint256
    maxTaskExecutionCount: uint256

event SessionCreated:
    sessionId: indexed(uint256)
    sid: bytes32
    owner: indexed(address)
    miners: DynArray[address, NODES_MAX]

event SessionUpdated:
    sessionId: indexed(uint256)

event SessionDeactivated:
    sessionId: indexed(uint256)

event TaskSubmitted:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    taskData: String[TASK_BYTES_MAX]
    clientReference: String[REFERENCE_BYTES_MAX]

# Ours: what a miner needs besides the text, and a reference that can be looked up by topic (keccak256 of clientReference).
event TaskParameters:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    referenceHash: indexed(bytes32)
    submitter: address
    nodeType: uint256
    promptType: uint256
    promptTemplate: String[TEMPLATE_BYTES_MAX]
    llmParams: DynArray[uint256, PARAMS_MAX]
    requestParams: DynArray[uint256, PARAMS_MAX]

event RouterAdded:
    sessionId: indexed(uint256)
    router: indexed(address)
    metadata: String[METADATA_BYTES_MAX]

event RouterUpdated:
    sessionId: indexed(uint256)
    router: indexed(address)
    metadata: String[METADATA_BYTES_MAX]

event RouterRemoved:
    sessionId: indexed(uint256)
    router: indexed(address)

event DedicatedNodeAdded:
    sessionId: indexed(uint256)
    node: indexed(address)

event DedicatedNodeRemoved:
    sessionId: indexed(uint256)
    node: indexed(address)

# Nodes reserved from the ephemeral pool when the session was created.
event NewNodeAssignedToSession:
    sessionId: indexed(uint256)
    addrs: DynArray[address, NODES_MAX]
    count: uint256
    assignmentType: uint256

event NodeReleased:
    sessionId: indexed(uint256)
    node: indexed(address)

# In the public ABI of the session too. Here the queue assigns, and only the queue tells of it: nobody hears it twice.
event TaskAssigned:
    sessionId: indexed(uint256)
    taskId: indexed(uint256)
    miners: DynArray[address, NODES_MAX]

_registry: address
_pool: address
_queue: address
_count: uint256
_sessions: HashMap[uint256, SessionInfo]
_id_of_name: HashMap[bytes32, uint256]
_ids_of_owner: HashMap[address, HashMap[uint256, uint256]]
_count_of_owner: HashMap[address, uint256]


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
def getNodePoolAddress() -> address:
    return self._pool


@external
def setNodePoolAddress(pool: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._pool = pool


@external
@view
def getSessionQueueAddress() -> address:
    return self._queue


@external
def setSessionQueueAddress(queue: address):
    roles._check(roles.DEFAULT_ADMIN_ROLE)
    self._queue = queue


@external
def create(
    name: String[NAME_BYTES_MAX],
    metadata: String[METADATA_BYTES_MAX],
    variableAddress: address,
    minNumOfNodes: uint256,
    maxNumOfNodes: uint256,
    redundant: uint256,
    numOfValidatorNodes: uint256,
    mode: uint256,
    reserveEphemeralNodes: bool,
    sla: uint256,
    modelIdentifier: uint256,
    reservePeriod: uint256,
    maxTaskExecutionCount: uint256,
) -> uint256:
    """
    @notice Make a session; names are unique. variableAddress: the owner, zero for the caller (our reading). reserveEphemeralNodes: take
            min to max nodes out of the ephemeral pool, for as long as the session is active.
    """
    assert len(name) > 0, "no name"
    key: bytes32 = keccak256(name)
    assert self._id_of_name[key] == 0, "name taken"
    assert not reserveEphemeralNodes or self._pool != empty(address), "no ephemeral pool"
    assert minNumOfNodes <= maxNumOfNodes, "min above max"
    self._count += 1
    sessionId: uint256 = self._count
    owner: address = variableAddress if variableAddress != empty(address) else msg.sender
    sid: bytes32 = keccak256(abi_encode(self, sessionId, name))
    nodes: DynArray[address, NODES_MAX] = []
    if reserveEphemeralNodes:
        nodes = extcall NodePool(self._pool).reserve(sessionId, minNumOfNodes, maxNumOfNodes)
    self._id_of_name[key] = sessionId
    self._ids_of_owner[owner][self._count_of_owner[owner]] = sessionId
    self._count_of_owner[owner] += 1
    self._sessions[sessionId] = SessionInfo(
        id=sessionId,
        sid=sid,
        name=name,
        metadata=metadata,
        state=ACTIVE,
        createdAt=block.timestamp,
        updatedAt=block.timestamp,
        owner=owner,
        ephemeralNodes=nodes,
        dedicatedNodes=[],
        mode=mode,
        redundant=redundant,
        minNumOfNodes=minNumOfNodes,
        maxNumOfNodes=maxNumOfNodes,
        numOfValidatorNodes=numOfValidatorNodes,
        routerMetadatas=[],
        routerAddresses=[],
        sla=sla,
        modelIdentifier=modelIdentifier,
        reservePeriod=reservePeriod,
        maxTaskExecutionCount=maxTaskExecutionCount,
    )
    log SessionCreated(sessionId=sessionId, sid=sid, owner=owner, miners=nodes)
    if len(nodes) > 0:
        log NewNodeAssignedToSession(sessionId=sessionId, addrs=nodes, count=len(nodes), assignmentType=EPHEMERAL)
    return sessionId


@external
def update(
    sessionId: uint256,
    metadata: String[METADATA_BYTES_MAX],
    minNumOfNodes: uint256,
    maxNumOfNodes: uint256,
    redundant: uint256,
    numOfValidatorNodes: uint256,
    mode: uint256,
    sla: uint256,
    modelIdentifier: uint256,
    reservePeriod: uint256,
    maxTaskExecutionCount: uint256,
):
    """
    @notice Change all that may change; name and owner stay. Nodes that are reserved already stay reserved.
    """
    self._check_owner(sessionId)
    assert minNumOfNodes <= maxNumOfNodes, "min above max"
    self._sessions[sessionId].metadata = metadata
    self._sessions[sessionId].minNumOfNodes = minNumOfNodes
    self._sessions[sessionId].maxNumOfNodes = maxNumOfNodes
    self._sessions[sessionId].redundant = redundant
    self._sessions[sessionId].numOfValidatorNodes = numOfValidatorNodes
    self._sessions[sessionId].mode = mode
    self._sessions[sessionId].sla = sla
    self._sessions[sessionId].modelIdentifier = modelIdentifier
    self._sessions[sessionId].reservePeriod = reservePeriod
    self._sessions[sessionId].maxTaskExecutionCount = maxTaskExecutionCount
    self._touch(sessionId)


@external
def deactivateSession(sessionId: uint256):
    """
    @notice No more tasks; the nodes reserved for it are free to go.
    """
    self._check_owner(sessionId)
    assert self._sessions[sessionId].state == ACTIVE, "session inactive"
    self._sessions[sessionId].state = INACTIVE
    self._sessions[sessionId].updatedAt = block.timestamp
    nodes: DynArray[address, NODES_MAX] = self._sessions[sessionId].ephemeralNodes
    if len(nodes) > 0:
        self._sessions[sessionId].ephemeralNodes = []
        extcall NodePool(self._pool).release(sessionId, nodes)
        for node: address in nodes:
            log NodeReleased(sessionId=sessionId, node=node)
    log SessionDeactivated(sessionId=sessionId)


@external
def submit(
    sessionId: uint256,
    nodeType: uint256,
    taskData: String[TASK_BYTES_MAX],
    promptType: uint256,
    promptTemplate: String[TEMPLATE_BYTES_MAX],
    llmParams: DynArray[uint256, PARAMS_MAX],
    requestParams: DynArray[uint256, PARAMS_MAX],
    clientReference: String[REFERENCE_BYTES_MAX],
) -> uint256:
    """
    @notice Put a task into the session's queue; only an attached router or the owner may.
    """
    assert self._sessions[sessionId].state != 0, "no such session"
    assert self._sessions[sessionId].state == ACTIVE, "session inactive"
    if msg.sender != self._sessions[sessionId].owner:
        assert msg.sender in self._sessions[sessionId].routerAddresses, "not a router of the session"
    taskId: uint256 = extcall SessionQueue(self._queue).enqueue(sessionId, taskData)
    log TaskSubmitted(sessionId=sessionId, taskId=taskId, taskData=taskData, clientReference=clientReference)
    log TaskParameters(
        sessionId=sessionId,
        taskId=taskId,
        referenceHash=keccak256(clientReference),
        submitter=msg.sender,
        nodeType=nodeType,
        promptType=promptType,
        promptTemplate=promptTemplate,
        llmParams=llmParams,
        requestParams=requestParams,
    )
    return taskId


@external
def addDedicatedNode(sessionId: uint256, node: address):
    self._check_owner(sessionId)
    assert staticcall NodeRegistry(self._registry).isNodeRegistered(node), "node not registered"
    nodes: DynArray[address, NODES_MAX] = self._sessions[sessionId].dedicatedNodes
    assert node not in nodes, "already a node of the session"
    assert len(nodes) < NODES_MAX, "too many nodes"
    self._sessions[sessionId].dedicatedNodes.append(node)
    log DedicatedNodeAdded(sessionId=sessionId, node=node)
    self._touch(sessionId)


@external
def removeDedicatedNode(sessionId: uint256, node: address):
    self._check_owner(sessionId)
    nodes: DynArray[address, NODES_MAX] = self._sessions[sessionId].dedicatedNodes
    for i: uint256 in range(len(nodes), bound=NODES_MAX):
        if nodes[i] == node:
            self._sessions[sessionId].dedicatedNodes[i] = nodes[len(nodes) - 1]
            self._sessions[sessionId].dedicatedNodes.pop()
            log DedicatedNodeRemoved(sessionId=sessionId, node=node)
            self._touch(sessionId)
            return
    raise "not a node of the session"


@external
def addRouter(sessionId: uint256, router: address, metadata: String[METADATA_BYTES_MAX]):
    self._check_owner(sessionId)
    routers: DynArray[address, ROUTERS_MAX] = self._sessions[sessionId].routerAddresses
    assert router not in routers, "already a router of the session"
    assert len(routers) < ROUTERS_MAX, "too many routers"
    self._sessions[sessionId].routerAddresses.append(router)
    self._sessions[sessionId].routerMetadatas.append(metadata)
    log RouterAdded(sessionId=sessionId, router=router, metadata=metadata)
    self._touch(sessionId)


@external
def updateRouter(sessionId: uint256, router: address, metadata: String[METADATA_BYTES_MAX]):
    self._check_owner(sessionId)
    i: uint256 = self._index_of_router(sessionId, router)
    self._sessions[sessionId].routerMetadatas[i] = metadata
    log RouterUpdated(sessionId=sessionId, router=router, metadata=metadata)
    self._touch(sessionId)


@external
def removeRouter(sessionId: uint256, router: address):
    self._check_owner(sessionId)
    i: uint256 = self._index_of_router(sessionId, router)
    last: uint256 = len(self._sessions[sessionId].routerAddresses) - 1
    self._sessions[sessionId].routerAddresses[i] = self._sessions[sessionId].routerAddresses[last]
    self._sessions[sessionId].routerMetadatas[i] = self._sessions[sessionId].routerMetadatas[last]
    self._sessions[sessionId].routerAddresses.pop()
    self._sessions[sessionId].routerMetadatas.pop()
    log RouterRemoved(sessionId=sessionId, router=router)
    self._touch(sessionId)


@external
def resetAllRouters(sessionId: uint256):
    self._check_owner(sessionId)
    for router: address in self._sessions[sessionId].routerAddresses:
        log RouterRemoved(sessionId=sessionId, router=router)
    self._sessions[sessionId].routerAddresses = []
    self._sessions[sessionId].routerMetadatas = []
    self._touch(sessionId)


@external
@view
def getLatestRouterInfo(sessionId: uint256) -> (address, String[METADATA_BYTES_MAX]):
    """
    @notice The router added last; zero and "" when there is none.
    """
    count: uint256 = len(self._sessions[sessionId].routerAddresses)
    if count == 0:
        return empty(address), ""
    return self._sessions[sessionId].routerAddresses[count - 1], self._sessions[sessionId].routerMetadatas[count - 1]


@external
@view
def getSession(sessionId: uint256) -> SessionInfo:
    assert self._sessions[sessionId].state != 0, "no such session"
    return self._sessions[sessionId]


@external
@view
def getSessionsByAddressByPage(account: address, offset: uint256, amount: uint256) -> DynArray[SessionInfo, PAGE_MAX]:
    """
    @notice Sessions that `account` owns, oldest first: offset .. offset + amount - 1 of them; shorter at the end.
    """
    assert amount <= PAGE_MAX, "page too large"
    page: DynArray[SessionInfo, PAGE_MAX] = []
    for i: uint256 in range(amount, bound=PAGE_MAX):
        if offset + i >= self._count_of_owner[account]:
            break
        page.append(self._sessions[self._ids_of_owner[account][offset + i]])
    return page


@external
@view
def getSessionCount() -> uint256:
    return self._count


@external
@view
def getSessionIdByName(name: String[NAME_BYTES_MAX]) -> uint256:
    """
    @notice Zero when there is no session of this name.
    """
    return self._id_of_name[keccak256(name)]


@external
@view
def isSessionActive(sessionId: uint256) -> bool:
    return self._sessions[sessionId].state == ACTIVE


@external
@view
def isSessionRouter(sessionId: uint256, router: address) -> bool:
    return router in self._sessions[sessionId].routerAddresses


@external
@view
def isDedicatedNode(sessionId: uint256, node: address) -> bool:
    return node in self._sessions[sessionId].dedicatedNodes


@internal
@view
def _check_owner(sessionId: uint256):
    assert self._sessions[sessionId].state != 0, "no such session"
    if msg.sender != self._sessions[sessionId].owner:
        assert roles._has(roles.DEFAULT_ADMIN_ROLE, msg.sender), "not the owner"


@internal
@view
def _index_of_router(sessionId: uint256, router: address) -> uint256:
    routers: DynArray[address, ROUTERS_MAX] = self._sessions[sessionId].routerAddresses
    for i: uint256 in range(len(routers), bound=ROUTERS_MAX):
        if routers[i] == router:
            return i
    raise "not a router of the session"


@internal
def _touch(sessionId: uint256):
    self._sessions[sessionId].updatedAt = block.timestamp
    log SessionUpdated(sessionId=sessionId)
