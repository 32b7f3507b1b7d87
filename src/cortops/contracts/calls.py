"""Calls: the calldata of everything that is written to the contracts. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Sequence

from cortops.contracts import abi
from cortops.contracts.artifact import load
from cortops.contracts.records import MINERS_MAX, NOBODY, NOTE_BYTES_MAX, REFERENCE_BYTES_MAX, TASK_BYTES_MAX, Addresses, Call
from cortops.words.errors import BadInput

NO_EVIDENCE = "0x" + "00" * 32

# Which contract calls which: holder -> the modules whose addresses it keeps. The runtime comes last: who is found through it is complete.
# NodeStats comes before those that write to it, so that in one block none of them is refused.
LINKS = {
    "node_stats": ("NodeRegistry", "SessionQueue", "SessionQueueValidation"),
    "node_pool": ("NodeRegistry", "Session"),
    "session": ("NodeRegistry", "NodePool", "SessionQueue"),
    "session_queue": ("NodeRegistry", "Session", "NodeStats"),
    "session_queue_validation": ("SessionQueue", "NodeStats"),
    "runtime": ("NodeRegistry", "NodePool", "NodeStats", "Session", "SessionQueue", "SessionQueueValidation"),
}
# Module, as links name it -> artifact.
MODULES = {
    "NodeRegistry": "node_registry",
    "NodePool": "node_pool",
    "NodeStats": "node_stats",
    "Session": "session",
    "SessionQueue": "session_queue",
    "SessionQueueValidation": "session_queue_validation",
}


class Calls:
    """Writes as Call values; who may make them is said at each."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses

    # --- nodes ---

    def register(self, metadata: str = "") -> Call:
        """By the node itself."""
        return self._call("node_registry", "register", metadata)

    def ping(self) -> Call:
        return self._static("node_registry", "ping()")

    def add_to_pool(self, node: str) -> Call:
        """By who holds POOL_ROLE, as the next; the node must be registered."""
        return self._static("node_pool", "addNode(address)", node)

    def remove_from_pool(self, node: str) -> Call:
        return self._static("node_pool", "removeNode(address)", node)

    # --- sessions ---

    def create_session(
        self,
        name: str,
        *,
        metadata: str = "",
        owner: str = NOBODY,
        min_nodes: int = 1,
        max_nodes: int = 1,
        redundant: int = 1,
        validator_nodes: int = 0,
        mode: int = 1,
        reserve_ephemeral: bool = False,
        sla: int = 0,
        model: int = 0,
        reserve_period_s: int = 300,
        max_task_executions: int = 0,
    ) -> Call:
        """owner: the zero address means the sender. mode 1: dedicated nodes. model: modelIdentifier. redundant: miners for each task.

        reserve_ephemeral: min_nodes to max_nodes nodes of the ephemeral pool become the session's.
        """
        nodes = (min_nodes, max_nodes, redundant, validator_nodes, mode, reserve_ephemeral)
        return self._call("session", "create", name, metadata, owner, *nodes, sla, model, reserve_period_s, max_task_executions)

    def deactivate_session(self, sid: int) -> Call:
        """By the session's owner or an admin, as the next three."""
        return self._call("session", "deactivateSession", sid)

    def add_dedicated_node(self, sid: int, node: str) -> Call:
        """The node must be registered."""
        return self._call("session", "addDedicatedNode", sid, node)

    def remove_dedicated_node(self, sid: int, node: str) -> Call:
        return self._call("session", "removeDedicatedNode", sid, node)

    def add_router(self, sid: int, router: str, metadata: str = "") -> Call:
        """metadata: the router's public URL."""
        return self._call("session", "addRouter", sid, router, metadata)

    def submit(
        self,
        sid: int,
        *,
        task_data: str,
        prompt_type: int,
        client_reference: str,
        node_type: int = 0,
        prompt_template: str = "",
        llm_params: Sequence[int] = (),
        request_params: Sequence[int] = (),
    ) -> Call:
        """By a router of the session or its owner. BadInput: task_data > TASK_BYTES_MAX bytes, client_reference > REFERENCE_BYTES_MAX."""
        _bounded("task text", task_data, TASK_BYTES_MAX)
        _bounded("client reference", client_reference, REFERENCE_BYTES_MAX)
        texts = (node_type, task_data, prompt_type, prompt_template, list(llm_params), list(request_params), client_reference)
        return self._call("session", "submit", sid, *texts)

    # --- tasks ---

    def assign_task(self, sid: int, tid: int, miners: Sequence[str], model: int = 0) -> Call:
        """By the oracle; at most MINERS_MAX miners; again, with others, as long as none has acked."""
        return self._call("session_queue", "assignTask", sid, tid, list(miners), model)

    def ack(self, sid: int, tid: int) -> Call:
        return self._static("session_queue", "ack(uint256,uint256)", sid, tid)

    def precommit(self, sid: int, tid: int, digest: str, note: str = "") -> Call:
        """digest: result_hash of what will be committed."""
        return self._call("session_queue", "precommit", sid, tid, digest, note)

    def commit(self, sid: int, tid: int, text: str) -> Call:
        """BadInput: text > TASK_BYTES_MAX bytes."""
        _bounded("result", text, TASK_BYTES_MAX)
        return self._call("session_queue", "commit", sid, tid, text)

    def end_ack(self, sid: int, tid: int) -> Call:
        """By the oracle, as the next four: who has not acked is out."""
        return self._static("session_queue", "endAck(uint256,uint256)", sid, tid)

    def end_precommit(self, sid: int, tid: int) -> Call:
        return self._static("session_queue", "endPrecommit(uint256,uint256)", sid, tid)

    def end_commit(self, sid: int, tid: int) -> Call:
        return self._static("session_queue", "endCommit(uint256,uint256)", sid, tid)

    def end(self, sid: int, tid: int) -> Call:
        """All have committed: finished."""
        return self._static("session_queue", "end(uint256,uint256)", sid, tid)

    def end_forced(self, sid: int, tid: int) -> Call:
        """Finish it wherever it stands; TaskEnded names the miners that committed, none = failed."""
        return self._static("session_queue", "end2(uint256,uint256,bool)", sid, tid, True)

    def record_verdicts(
        self,
        sid: int,
        tid: int,
        miners: Sequence[str],
        verdicts: Sequence[int],
        scores: Sequence[int],
        evidence: str = NO_EVIDENCE,
        note: str = "",
    ) -> Call:
        """By a validator, once for each ended task. verdicts, scores (0 .. SCORE_MAX): of the miners in their order. evidence: 0x…, 32 B.

        BadInput: note > NOTE_BYTES_MAX bytes, more than MINERS_MAX miners, or lists of different lengths.
        """
        _bounded("note", note, NOTE_BYTES_MAX)
        if not len(miners) == len(verdicts) == len(scores) <= MINERS_MAX:
            counts = f"{len(miners)} miners, {len(verdicts)} verdicts and {len(scores)} scores"
            raise BadInput(f"{counts} do not fit together; at most {MINERS_MAX} of each are taken")
        lists = (list(miners), list(verdicts), list(scores))
        return self._call("session_queue_validation", "recordVerdicts", sid, tid, *lists, evidence, note)

    # --- administration ---

    def grant_role(self, contract: str, role: str, address: str) -> Call:
        """By an admin of that contract. contract: its address."""
        return Call(contract, abi.static_call(load("session_queue"), "grantRole(bytes32,address)", role, address))

    def link(self) -> tuple[Call, ...]:
        """All LINKS, by an admin of each contract."""
        return tuple(self._link(holder, module) for holder, modules in LINKS.items() for module in modules)

    def _link(self, holder: str, module: str) -> Call:
        return self._static(holder, f"set{module}Address(address)", getattr(self.addresses, MODULES[module]))

    def _call(self, name: str, function: str, *args: object) -> Call:
        return Call(getattr(self.addresses, name), abi.encode_call(load(name), function, *args))

    def _static(self, name: str, signature: str, *args: int | str | bool) -> Call:
        return Call(getattr(self.addresses, name), abi.static_call(load(name), signature, *args))


def _bounded(what: str, text: str, bytes_max: int) -> None:
    # The contract's bound gives no reason, so it is said here.
    if (size := len(text.encode())) > bytes_max:
        raise BadInput(f"the {what} has {size} bytes, the contract takes {bytes_max}")
