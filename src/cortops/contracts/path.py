"""The path of one task: what the chain has recorded of it, from the submission to the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cortops.contracts.abi import Event, word
from cortops.contracts.artifact import load
from cortops.contracts.follow import decode_all
from cortops.contracts.keccak import checksummed, keccak_hex
from cortops.contracts.network import SCORE_MAX, VERDICT_NAMES, Network
from cortops.words.errors import UnknownName

CHUNK_BLOCKS = 10_000  # of one eth_getLogs; public endpoints allow no more
CHUNKS_MAX = 100_000  # how far back a search goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened. step: submitted, assigned, acked, precommitted, committed, ended or validated.

    by: the miner (of `validated`: the one that was judged), or else the account that sent the transaction. at: the block's time, seconds
    since 1970. hash: keccak256 of the text submitted or committed, the hash precommitted, the evidence of a verdict, "" otherwise.
    note: what else is to be said ("3 committed", "VALID .97 by 0x…", ...).
    """

    step: str
    by: str
    at: int
    block: int
    tx: str
    hash: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPath:
    """state: as `path_state`."""

    session: int
    task: int
    state: str
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, object]:
        """The shape of `task show --json`."""
        return asdict(self) | {"steps": [asdict(step) for step in self.steps]}


def task_path(events: Iterable[Event], times: Mapping[int, int], senders: Mapping[str, str]) -> tuple[Step, ...]:
    """Events of one task, {block: time in s}, {tx: sender} -> its steps in order. Events that are no step are left out."""
    ordered = sorted(events, key=lambda event: event.order)
    return tuple(step for event in ordered if (step := _step(event, times, senders)) is not None)


def path_state(events: Iterable[Event]) -> str:
    """Events of one task -> submitted, assigned, acked, precommitted, committed, ended or failed."""
    state = "submitted"
    for event in sorted(events, key=lambda event: event.order):
        if event.name == "TaskEnded":
            return "ended" if event.args["miners"] else "failed"
        state = _STATES.get(event.name, state)
    return state


async def read_path(network: Network, session: int, task: int, *, from_block: int = 0) -> TaskPath:
    """Everything by RPC only, however old the task; UnknownName when no such task was submitted at or after from_block.

    Searches backwards from the head and stops at the submission, since nothing of the task can be older.
    """
    events = await find_events(network, [None, "0x" + word(session), "0x" + word(task)], until="TaskSubmitted", from_block=from_block)
    if not any(event.name == "TaskSubmitted" for event in events):
        raise UnknownName(f"there is no task {session}/{task} on this chain")
    blocks = sorted({event.block for event in events})
    txs = sorted({event.tx for event in events})
    headers = await network.rpc.batch_results([("eth_getBlockByNumber", (hex(block), False)) for block in blocks])
    sent = await network.rpc.batch_results([("eth_getTransactionByHash", (tx,)) for tx in txs])
    times = {block: int(header["timestamp"], 16) for block, header in zip(blocks, headers, strict=True) if header}
    senders = {tx: checksummed(answer["from"]) for tx, answer in zip(txs, sent, strict=True) if answer}
    return TaskPath(session=session, task=task, state=path_state(events), steps=task_path(events, times, senders))


async def find_submitted(network: Network, session: int, client_reference: str, *, from_block: int = 0) -> int | None:
    """The newest task that was submitted to the session under this reference; None when there is none at or after from_block."""
    topics = [load("session").topic("TaskParameters"), "0x" + word(session), None, keccak_hex(client_reference.encode())]
    events = await find_events(network, topics, until="TaskParameters", from_block=from_block)
    return int(events[-1].args["taskId"]) if events else None


async def find_events(network: Network, topics: Sequence[str | None], *, until: str, from_block: int) -> tuple[Event, ...]:
    """What session, queue and validation told with these topics, searched backwards in chunks until an event `until` is met; in order."""
    contracts = {address.lower(): artifact for address, artifact in network.contracts.items()}
    where = [network.addresses.session, network.addresses.session_queue, network.addresses.session_queue_validation]
    last = int(await network.rpc.call("eth_blockNumber"), 16)
    found: tuple[Event, ...] = ()
    for _ in range(CHUNKS_MAX):
        first = max(from_block, last - CHUNK_BLOCKS + 1)
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last), "address": where, "topics": list(topics)}
        found = decode_all(contracts, await network.rpc.call("eth_getLogs", query)) + found
        if first <= from_block or any(event.name == until for event in found):
            break
        last = first - 1
    return found


def verdict_text(verdict: int, score: int) -> str:
    """`VALID .97`: a verdict's number and its score (0 .. SCORE_MAX) as people read them, the score cut, not rounded, to hundredths."""
    name = VERDICT_NAMES[verdict] if verdict < len(VERDICT_NAMES) else f"verdict {verdict}"
    return f"{name} {score // SCORE_MAX or ''}.{score % SCORE_MAX // 10:02}"


_STATES = {
    "TaskAssigned": "assigned",
    "TaskAcked": "acked",
    "TaskAllPrecommitted": "precommitted",
    "TaskPrecommitEnded": "precommitted",
    "TaskAllCommitted": "committed",
    "TaskCommitEnded": "committed",
}
_MINER_STEPS = {"TaskAcked": "acked", "TaskPrecommitted": "precommitted", "TaskCommitted": "committed"}


def _step(event: Event, times: Mapping[int, int], senders: Mapping[str, str]) -> Step | None:
    args = event.args
    sender = senders.get(event.tx, "")
    if event.name == "TaskSubmitted":
        name, by, digest, note = "submitted", sender, keccak_hex(args["taskData"].encode()), args["clientReference"]
    elif event.name == "TaskAssigned":
        name, by, digest, note = "assigned", sender, "", "to " + ", ".join(args["miners"])
    elif event.name in _MINER_STEPS:
        digest = args["hash"] if event.name == "TaskPrecommitted" else keccak_hex(args["data"].encode()) if "data" in args else ""
        name, by, note = _MINER_STEPS[event.name], args["miner"], ""
    elif event.name == "TaskEnded":
        name, by, digest, note = "ended", sender, "", f"{len(args['miners'])} committed"
    elif event.name == "TaskValidated":
        digest = args["evidence"] if int(args["evidence"], 16) else ""
        name, by, note = "validated", args["miner"], f"{verdict_text(args['verdict'], args['score'])} by {args['validator']}"
    else:
        return None
    return Step(step=name, by=by, at=times.get(event.block, 0), block=event.block, tx=event.tx, hash=digest, note=note)
