"""Names, selectors and shapes that public material gives, compared with the artifacts' ABI. Source: facts C.1-C.4."""

from __future__ import annotations

from typing import Any

import pytest

from cortops.contracts.artifact import NAMES, load
from cortops.contracts.calls import LINKS, MODULES
from cortops.contracts.keccak import keccak_hex

# C.2 to C.4, and of node operators' scripts: full signatures whose selectors are public.
SELECTORS = {
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
# Argument lists that C.2 and C.3 give by name; the types are what the names say.
SIGNATURES = {
    "session": "getSessionsByAddressByPage(address,uint256,uint256)",
    "session_queue": "assignTask(uint256,uint256,address[],uint256) end2(uint256,uint256,bool) getTaskResultState(uint256,uint256,address) "
    "getHash(string) verifyHash(string,bytes32)",
}
# Every function that C.2 and C.3 name.
FUNCTIONS = {
    "session": "create addRouter updateRouter removeRouter resetAllRouters getLatestRouterInfo addDedicatedNode removeDedicatedNode update "
    "deactivateSession getSessionsByAddressByPage submit",
    "session_queue": "ack precommit commit assignTask endAck endPrecommit endCommit end end2 getTask getTasksBySessionId getTaskStatus "
    "getTaskResultState getTaskResults getTaskResultHashes getTaskDecoration getAllTaskResultAckedTimestamps "
    "getAllTaskResultPrecommitTimestamps getAllTaskResultCommitTimestamps getTaskCountBySessionIds verifyHash getHash",
}
# Every event that C.2 and C.3 name; with types where its fields are public.
EVENTS = {
    "session": "SessionCreated(uint256,bytes32,address,address[]) SessionUpdated SessionDeactivated "
    "TaskSubmitted(uint256,uint256,string,string) TaskAssigned RouterAdded RouterUpdated RouterRemoved DedicatedNodeAdded "
    "DedicatedNodeRemoved NewNodeAssignedToSession(uint256,address[],uint256,uint256) NodeReleased",
    "session_queue": "TaskQueued(uint256,uint256,uint256,string) TaskAssigned(uint256,uint256,address[]) TaskAcked TaskPrecommitted "
    "TaskAllPrecommitted TaskPrecommitEnded TaskCommitted TaskAllCommitted TaskCommitEnded TaskEnded(uint256,uint256,address[])",
}
# Ours, fixed because others build on it.
OURS = {
    "session_queue_validation": {
        "functions": "recordVerdicts(uint256,uint256,address[],uint8[],uint256[],bytes32,string) getVerdicts(uint256,uint256)",
        "events": "TaskValidated(uint256,uint256,address,address,uint8,uint256,bytes32) "
        "TaskVerdictsRecorded(uint256,uint256,address,string)",
    },
    "node_stats": {"functions": "getNodeStats(address) getNodeStatsByPage(uint256,uint256)", "events": ""},
}
# AccessControlEnumerable of OpenZeppelin, so that the same reads work on other contracts.
ROLES = {
    "hasRole(bytes32,address)": "0x91d14854",
    "grantRole(bytes32,address)": "0x2f2ff15d",
    "revokeRole(bytes32,address)": "0xd547741f",
    "getRoleAdmin(bytes32)": "0x248a9ca3",
    "getRoleMember(bytes32,uint256)": "0x9010d07c",
    "getRoleMemberCount(bytes32)": "0xca15c873",
}
SESSION_FIELDS = (
    "id sid name metadata state createdAt updatedAt owner ephemeralNodes dedicatedNodes mode redundant minNumOfNodes maxNumOfNodes "
    "numOfValidatorNodes routerMetadatas routerAddresses sla modelIdentifier reservePeriod maxTaskExecutionCount"
)
TASK_FIELDS = "id gid sessionId data assignedMiners ended status createdAt lastPrecommitAt lastCommitAt finishedAt"


def bare(signatures: Any) -> set[str]:
    return {signature.partition("(")[0] for signature in signatures}


@pytest.mark.parametrize("name", NAMES)
def test_selectors_are_the_public_ones(name: str) -> None:
    expected = SELECTORS.get(name, {}) | ROLES
    assert {signature: load(name).method_ids.get(signature) for signature in expected} == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_there(name: str) -> None:
    methods = load(name).method_ids
    assert set(FUNCTIONS[name].split()) - bare(methods) == set()
    assert set(SIGNATURES[name].split()) - set(methods) == set()


@pytest.mark.parametrize("name", EVENTS)
def test_every_public_event_is_there(name: str) -> None:
    topics = load(name).event_topics
    shaped = {event for event in EVENTS[name].split() if "(" in event}
    assert bare(EVENTS[name].split()) - bare(topics) == set()
    assert {event: topics.get(event) for event in shaped} == {event: keccak_hex(event.encode()) for event in shaped}


@pytest.mark.parametrize("name", OURS)
def test_what_others_build_on_is_there(name: str) -> None:
    artifact = load(name)
    assert set(OURS[name]["functions"].split()) - set(artifact.method_ids) == set()
    assert set(OURS[name]["events"].split()) - set(artifact.event_topics) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_module_tells_its_version_and_its_links(name: str) -> None:
    methods = set(load(name).method_ids)
    links = {form for module in LINKS.get(name, ()) for form in (f"get{module}Address()", f"set{module}Address(address)")}
    assert {"version()", "subversion()"} | links <= methods
    assert {form for form in methods if form.endswith("Address()")} <= links, "a link that nobody makes"


def test_the_runtime_names_every_module() -> None:
    assert set(LINKS["runtime"]) == set(MODULES)
    assert set(MODULES.values()) == set(NAMES) - {"runtime"}


@pytest.mark.parametrize(
    ("name", "function", "fields"), [("session", "getSession", SESSION_FIELDS), ("session_queue", "getTask", TASK_FIELDS)]
)
def test_structs_have_the_public_fields_in_order(name: str, function: str, fields: str) -> None:
    entry = next(item for item in load(name).abi if item.get("name") == function)
    assert [part["name"] for part in entry["outputs"][0]["components"]] == fields.split()
