"""What the chain knows of nodes: which logs are asked for, and who was selected and committed. Pure.

User tasks: SessionQueueV2; network tasks: Cognitive (facts C.3, C.4). Their events' arguments and which of them are indexed are those of
the ABI files that the community's tools carry (conomo-bot, AgentAuditor). Ours of session_queue have more arguments and other indices, so
a log is read by its first topic and by how many topics it has. A deployed contract may be newer than any public ABI: a log of a known
topic that does not decode is counted, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from cortops.contracts.keccak import keccak_hex

SETTLED_AFTER_S = 600.0  # a selection without an end is a missed one after that long; public request timeouts end at 420 s

Work = Literal["user", "network"]
Step = Literal["assigned", "acked", "precommitted", "committed", "ended"]
Log = Mapping[str, Any]  # one element of eth_getLogs
Round = tuple[Work, int, int]  # a user task: session and task id; a network task: id and 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEvent:
    """One step of one round. miners: in lower case; of an assignment all of it, of a step the one who took it, of an end nobody."""

    step: Step
    round: Round
    miners: tuple[str, ...]
    block: int
    index: int
    at: float | None  # where the log itself has the block's time


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one event's log is built. types: of all arguments; indexed: which of them are topics; round, miners: which is which."""

    step: Step
    work: Work
    types: tuple[str, ...]
    indexed: tuple[int, ...]
    miners: int | None


def _shapes() -> dict[tuple[str, int], _Shape]:
    """(first topic, number of topics) -> shape."""
    pair, three = ("uint256", "uint256"), (0, 1, 2)
    listed, single = (*pair, "address[]"), (*pair, "address")
    named: tuple[tuple[str, _Shape], ...] = (
        # public SessionQueueV2: nothing is indexed
        ("TaskAssigned", _Shape("assigned", "user", listed, (), 2)),
        ("TaskAcked", _Shape("acked", "user", single, (), 2)),
        ("TaskPrecommitted", _Shape("precommitted", "user", single, (), 2)),
        ("TaskCommitted", _Shape("committed", "user", single, (), 2)),
        ("TaskEnded", _Shape("ended", "user", listed, (), None)),
        # ours
        ("TaskAssigned", _Shape("assigned", "user", listed, (0, 1), 2)),
        ("TaskAcked", _Shape("acked", "user", single, three, 2)),
        ("TaskPrecommitted", _Shape("precommitted", "user", (*single, "bytes32", "string"), three, 2)),
        ("TaskCommitted", _Shape("committed", "user", (*single, "string"), three, 2)),
        ("TaskEnded", _Shape("ended", "user", listed, (0, 1), None)),
        # public Cognitive
        ("SessionStarted", _Shape("assigned", "network", (*pair, "address[]"), (0,), 2)),
        ("SessionPrecommitted", _Shape("precommitted", "network", ("uint256", "address"), (0, 1), 1)),
        ("SessionCommitted", _Shape("committed", "network", ("uint256", "address"), (0, 1), 1)),
        ("SessionEnded", _Shape("ended", "network", pair, (0,), None)),
    )
    return {(keccak_hex(f"{name}({','.join(shape.types)})".encode()), len(shape.indexed) + 1): shape for name, shape in named}


SHAPES = _shapes()
TOPICS = tuple(dict.fromkeys(topic for topic, _ in SHAPES))


def read_logs(logs: Iterable[Log]) -> tuple[tuple[ChainEvent, ...], int]:
    """Logs -> (events as they happened, how many of a known topic could not be read). Other topics are passed over."""
    events: list[ChainEvent] = []
    unreadable = 0
    for log in logs:
        if log.get("removed"):
            continue
        topics = cast("Sequence[str]", log.get("topics") or ())
        if not topics or topics[0] not in TOPICS:
            continue
        shape = SHAPES.get((topics[0], len(topics)))
        event = None if shape is None else _event(shape, topics, log)
        if event is None:
            unreadable += 1
        else:
            events.append(event)
    return tuple(sorted(events, key=lambda event: (event.block, event.index))), unreadable


def _event(shape: _Shape, topics: Sequence[str], log: Log) -> ChainEvent | None:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    body = [kind for at, kind in enumerate(shape.types) if at not in shape.indexed]
    try:
        rest = iter(decode(body, bytes.fromhex(str(log["data"]).removeprefix("0x"))))
        indexed = iter(topics[1:])
        values = [_topic(kind, next(indexed)) if at in shape.indexed else next(rest) for at, kind in enumerate(shape.types)]
        stamp = log.get("blockTimestamp")
        return ChainEvent(
            step=shape.step,
            round=(shape.work, int(values[0]), int(values[1]) if shape.work == "user" else 0),
            miners=_miners(values, shape.miners),
            block=int(log["blockNumber"], 16),
            index=int(log["logIndex"], 16),
            at=float(int(stamp, 16)) if isinstance(stamp, str) else None,
        )
    except (DecodingError, OverflowError, UnicodeDecodeError, ValueError, KeyError, TypeError, StopIteration):
        return None


def _topic(kind: str, topic: str) -> int | str:
    return "0x" + topic[-40:].lower() if kind == "address" else int(topic, 16)


def _miners(values: Sequence[Any], at: int | None) -> tuple[str, ...]:
    if at is None:
        return ()
    found = values[at]
    return tuple(str(miner).lower() for miner in found) if isinstance(found, tuple | list) else (str(found).lower(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChain:
    """One node's part in the window. settled: selections that ended, or are older than SETTLED_AFTER_S.

    missed: settled ones that it did not commit; missed_row: the blocks of those after its last commit, the oldest first.
    open: selections that are still under way. Blocks are 0 where there is none.
    """

    selected: int = 0
    settled: int = 0
    acks: int = 0
    precommits: int = 0
    commits: int = 0
    missed: int = 0
    missed_row: tuple[int, ...] = ()
    precommits_since: int = 0  # among missed_row
    last_selected_block: int = 0
    last_commit_block: int = 0
    open: tuple[Round, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChain:
    """Everybody's part in the window. others: miners that are none of ours, selected in it.

    others_idle: those of them with a settled, missed selection after the last commit of any of them; others_missed_rounds: in how many
    rounds. Blocks are 0 where there is none.
    """

    rounds: int = 0
    commits: int = 0
    others: int = 0
    others_commits: int = 0
    others_idle: int = 0
    others_missed_rounds: int = 0
    others_missed_since_block: int = 0
    last_round_block: int = 0
    last_commit_block: int = 0
    rounds_last_hour: int = 0
    latest_session: int | None = None  # id of the newest network task


@dataclass(slots=True)
class _Part:
    """One miner in one round."""

    selected_block: int
    precommitted: bool = False
    committed_block: int = 0


def count(
    events: Sequence[ChainEvent], ours: Iterable[str], at_of: Callable[[int], float], now: float
) -> tuple[dict[str, NodeChain], NetworkChain]:
    """Events in order -> (our address in lower case -> its part, everybody's part). at_of: block -> its time, seconds since 1970.

    A step whose assignment lies before the window tells of work, not of a selection: it counts as a step only.
    """
    mine = {address.lower() for address in ours}
    parts: dict[str, dict[Round, _Part]] = {}
    steps: dict[str, dict[Step, list[int]]] = {}
    ended: dict[Round, int] = {}
    rounds: dict[Round, int] = {}
    for event in events:
        if event.step == "ended":
            ended.setdefault(event.round, event.block)
        elif event.step == "assigned":
            rounds.setdefault(event.round, event.block)
            for miner in event.miners:
                parts.setdefault(miner, {}).setdefault(event.round, _Part(event.block))
        else:
            _step(event, parts, steps)

    def settled(round_: Round, part: _Part) -> bool:
        return bool(part.committed_block) or round_ in ended or now - at_of(part.selected_block) > SETTLED_AFTER_S

    nodes = {miner: _node(parts.get(miner, {}), steps.get(miner, {}), settled) for miner in mine}
    return nodes, _network(parts, steps, rounds, mine, settled, at_of, now)


def _step(event: ChainEvent, parts: dict[str, dict[Round, _Part]], steps: dict[str, dict[Step, list[int]]]) -> None:
    for miner in event.miners:
        steps.setdefault(miner, {}).setdefault(event.step, []).append(event.block)
        part = parts.get(miner, {}).get(event.round)
        if part is None:
            continue
        match event.step:
            case "precommitted":
                part.precommitted = True
            case "committed":
                part.committed_block = event.block


def _node(parts: Mapping[Round, _Part], steps: Mapping[Step, Sequence[int]], settled: Callable[[Round, _Part], bool]) -> NodeChain:
    commits = steps.get("committed", ())
    last_commit = max(commits, default=0)
    over = [part for round_, part in parts.items() if settled(round_, part)]
    missed = [part for part in over if not part.committed_block]
    since = [part for part in missed if part.selected_block > last_commit]
    return NodeChain(
        selected=len(parts),
        settled=len(over),
        acks=len(steps.get("acked", ())),
        precommits=len(steps.get("precommitted", ())),
        commits=len(commits),
        missed=len(missed),
        missed_row=tuple(sorted(part.selected_block for part in since)),
        precommits_since=sum(part.precommitted for part in since),
        last_selected_block=max((part.selected_block for part in parts.values()), default=0),
        last_commit_block=last_commit,
        open=tuple(round_ for round_, part in parts.items() if not settled(round_, part)),
    )


def _network(
    parts: Mapping[str, Mapping[Round, _Part]],
    steps: Mapping[str, Mapping[Step, Sequence[int]]],
    rounds: Mapping[Round, int],
    mine: set[str],
    settled: Callable[[Round, _Part], bool],
    at_of: Callable[[int], float],
    now: float,
) -> NetworkChain:
    commits = [block for found in steps.values() for block in found.get("committed", ())]
    theirs = [block for miner, found in steps.items() if miner not in mine for block in found.get("committed", ())]
    last_theirs = max(theirs, default=0)
    since = [
        (part.selected_block, miner, round_)
        for miner, found in parts.items()
        if miner not in mine
        for round_, part in found.items()
        if part.selected_block > last_theirs and settled(round_, part) and not part.committed_block
    ]
    return NetworkChain(
        rounds=len(rounds),
        commits=len(commits),
        others=sum(miner not in mine for miner in parts),
        others_commits=len(theirs),
        others_idle=len({miner for _, miner, _ in since}),
        others_missed_rounds=len({round_ for _, _, round_ in since}),
        others_missed_since_block=min((block for block, _, _ in since), default=0),
        last_round_block=max(rounds.values(), default=0),
        last_commit_block=max(commits, default=0),
        latest_session=max((id_ for work, id_, _ in rounds if work == "network"), default=None),
        rounds_last_hour=sum(now - at_of(block) <= 3600 for block in rounds.values()),
    )
