"""The shipped artifacts: public selectors, public event shapes, our own limits. Source: facts C.2-C.4, toolchain."""

from __future__ import annotations

import pytest

from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak_hex
from cortops.words.errors import UnknownName

PUBLIC_METHODS = {
    "node_registry": {"ping()": "0x5c36b186", "register(string)": "0xf2c298be"},
    "session": {
        "create(string,string,address,uint256,uint256,uint256,uint256,uint256,bool,uint256,uint256,uint256,uint256)": "0xce16934c",
        "submit(uint256,uint256,string,uint256,string,uint256[],uint256[],string)": "0xa00ffe19",
    },
    "session_queue": {
        "ack(uint256,uint256)": "0xfaa073f8",
        "precommit(uint256,uint256,bytes32,string)": "0xb9c52716",
        "commit(uint256,uint256,string)": "0x27a4e2fb",
    },
}
# AccessControlEnumerable of OpenZeppelin
ROLE_METHODS = {
    "hasRole(bytes32,address)": "0x91d14854",
    "grantRole(bytes32,address)": "0x2f2ff15d",
    "revokeRole(bytes32,address)": "0xd547741f",
    "getRoleAdmin(bytes32)": "0x248a9ca3",
    "getRoleMember(bytes32,uint256)": "0x9010d07c",
    "getRoleMemberCount(bytes32)": "0xca15c873",
}
PUBLIC_NAMES = {
    "node_registry": "register verify ping isNodeRegistered lastPingAt version subversion",
    "session": "create update deactivateSession submit addDedicatedNode removeDedicatedNode addRouter updateRouter removeRouter "
    "resetAllRouters getLatestRouterInfo getSession getSessionsByAddressByPage version subversion",
    "session_queue": "assignTask endAck endPrecommit endCommit end end2 getTask getTasksBySessionId getTaskStatus getTaskResultState "
    "getTaskResultHashes getAllTaskResultAckedTimestamps getAllTaskResultPrecommitTimestamps getAllTaskResultCommitTimestamps "
    "getTaskCountBySessionIds verifyHash getHash version subversion",
}
PUBLIC_EVENTS = {
    "session": [
        "SessionCreated(uint256,bytes32,address,address[])",
        "TaskSubmitted(uint256,uint256,string,string)",
    ],
    "session_queue": [
        "TaskQueued(uint256,uint256,uint256,string)",
        "TaskAssigned(uint256,uint256,address[])",
        "TaskEnded(uint256,uint256,address[])",
    ],
}
SESSION_FIELDS = (
    "id sid name metadata state createdAt updatedAt owner ephemeralNodes dedicatedNodes mode redundant minNumOfNodes maxNumOfNodes "
    "numOfValidatorNodes routerMetadatas routerAddresses sla modelIdentifier reservePeriod maxTaskExecutionCount"
)
TASK_FIELDS = "id gid sessionId data assignedMiners ended status createdAt lastPrecommitAt lastCommitAt finishedAt"


@pytest.mark.parametrize("name", NAMES)
def test_public_selectors(name: str) -> None:
    methods = load(name).method_ids
    expected = PUBLIC_METHODS[name] | ROLE_METHODS
    assert {signature: methods.get(signature) for signature in expected} == expected
    assert set(PUBLIC_NAMES[name].split()) <= {signature.partition("(")[0] for signature in methods}


@pytest.mark.parametrize("name", PUBLIC_EVENTS)
def test_public_events(name: str) -> None:
    topics = load(name).event_topics
    assert {event: topics.get(event) for event in PUBLIC_EVENTS[name]} == {
        event: keccak_hex(event.encode()) for event in PUBLIC_EVENTS[name]
    }


@pytest.mark.parametrize(
    ("name", "function", "fields"), [("session", "getSession", SESSION_FIELDS), ("session_queue", "getTask", TASK_FIELDS)]
)
def test_structs_have_the_public_fields_in_order(name: str, function: str, fields: str) -> None:
    entry = next(item for item in load(name).abi if item.get("name") == function)
    assert [part["name"] for part in entry["outputs"][0]["components"]] == fields.split()


@pytest.mark.parametrize("name", NAMES)
def test_code_fits_the_chain(name: str) -> None:
    artifact = load(name)
    size = len(artifact.runtime_code) // 2 - 1
    assert 0 < size <= 24_576  # EIP-170
    assert artifact.code_hash == keccak_hex(bytes.fromhex(artifact.runtime_code[2:]))
    assert artifact.runtime_code[2:] in artifact.init_code  # no immutables: what is shipped is what will stand on chain


def test_topic_by_name() -> None:
    assert load("session_queue").topic("TaskAcked") == keccak_hex(b"TaskAcked(uint256,uint256,address)")
    with pytest.raises(UnknownName, match="no event Nothing"):
        load("session_queue").topic("Nothing")


def test_unknown_contract_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="node_registry, session, session_queue"):
        load("../secrets")
