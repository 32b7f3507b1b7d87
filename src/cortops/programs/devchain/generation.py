"""One snapshot of the chain as bytes: framed so that a torn one is known, compacted so that history has a bound. Pure."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

FORMAT = "cortops-chain-1"
HEADER_MAX_BYTES = 512
RECENT_BLOCKS_KEPT = 1024  # all of them; the EVM itself looks back 256
WORK_BLOCKS_KEPT = 20_000  # those with transactions, so that `task show` finds old tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """block: the head inside it. at: when it was taken, Unix seconds. state: what anvil_dumpState gave, gzip of JSON."""

    block: int
    at: float
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A snapshot that cannot be used, and why, in words that follow "it". block: the head it should hold, None when even that is lost."""

    why: str
    block: int | None = None


class _Header(msgspec.Struct):
    format: str
    block: int
    at: float
    size: int
    sha256: str


def encode(snapshot: Snapshot) -> bytes:
    """One line of JSON with size and sha256, then the state; `decode` takes it back or says what is wrong."""
    digest = hashlib.sha256(snapshot.state).hexdigest()
    header = _Header(FORMAT, snapshot.block, snapshot.at, len(snapshot.state), digest)
    return msgspec.json.encode(header) + b"\n" + snapshot.state


def decode(data: bytes) -> Snapshot | Damaged:
    """Bytes of a generation -> its snapshot, or why it is damaged: never an exception, whatever the bytes."""
    line, newline, state = data[:HEADER_MAX_BYTES].partition(b"\n")
    if not newline:
        return Damaged("is torn: it is empty" if not data else "is torn: it has no header")
    state = data[len(line) + 1 :]
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Damaged("is torn: its header cannot be read")
    if header.format != FORMAT:
        return Damaged(f"is of format {header.format[:40]}, not {FORMAT}", header.block)
    if len(state) < header.size:
        return Damaged(f"is torn: {len(state)} of {header.size} bytes", header.block)
    if len(state) > header.size:
        return Damaged("is torn: it has bytes after its end", header.block)
    if hashlib.sha256(state).hexdigest() != header.sha256:
        return Damaged("is torn: it does not match its sha256", header.block)
    return Snapshot(block=header.block, at=header.at, state=state)


class _BlockHeader(msgspec.Struct):
    number: str


class _Block(msgspec.Struct):
    header: _BlockHeader
    transactions: list[msgspec.Raw]


class _Receipt(msgspec.Struct):
    block_number: int


def compact(state: bytes, *, recent: int = RECENT_BLOCKS_KEPT, work: int = WORK_BLOCKS_KEPT) -> bytes | Damaged:
    """gzip of anvil's state -> the JSON that `--load-state` takes, without old empty blocks.

    Kept: the genesis block, the newest `recent` blocks, and the newest `work` blocks with transactions, their receipts and logs.
    Accounts and storage are untouched, so head, hashes and balances stay. The EVM's BLOCKHASH needs recent >= 256.
    """
    try:
        document = msgspec.json.decode(gzip.decompress(state), type=dict[str, msgspec.Raw])
        blocks = msgspec.json.decode(document["blocks"], type=list[msgspec.Raw])
        peeks = [msgspec.json.decode(block, type=_Block) for block in blocks]
        numbers = [int(peek.header.number, 16) for peek in peeks]
        transactions = msgspec.json.decode(document["transactions"], type=list[msgspec.Raw])
        places = [msgspec.json.decode(transaction, type=_Receipt).block_number for transaction in transactions]
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, KeyError, ValueError) as error:
        return Damaged(f"is torn: it is no state that anvil wrote ({type(error).__name__})")
    kept = _kept(numbers, [bool(peek.transactions) for peek in peeks], recent, work)
    document["blocks"] = msgspec.Raw(msgspec.json.encode([block for block, at in zip(blocks, numbers, strict=True) if at in kept]))
    document["transactions"] = msgspec.Raw(msgspec.json.encode([one for one, at in zip(transactions, places, strict=True) if at in kept]))
    return msgspec.json.encode(document)


def _kept(numbers: Sequence[int], works: Sequence[bool], recent: int, work: int) -> frozenset[int]:
    head = max(numbers, default=0)
    newest_work = sorted((number for number, works_here in zip(numbers, works, strict=True) if works_here), reverse=True)[:work]
    return frozenset({min(numbers, default=0), *newest_work, *(number for number in numbers if number > head - recent)})


def told(chosen: Snapshot | None, damaged: Sequence[Damaged]) -> str:
    """What the log and /health say about where the chain came from."""
    if chosen is None:
        return "nothing: a new chain"
    reasons = "; ".join(f"the {_rank(at)} generation {one.why}" for at, one in enumerate(damaged))
    return f"{_rank(len(damaged))} generation, block {chosen.block}" + (f", because {reasons}" if reasons else "")


def note(chosen: Snapshot, damaged: Sequence[Damaged]) -> str:
    """What a person must know of a chain that went back: which snapshots were passed over, why, and where it went on; "" when none was."""
    if not damaged:
        return ""
    which = "the snapshot before" if len(damaged) == 1 else "an older snapshot"
    names = ("the newest one", "the one before", "an older one")
    passed = [f"{names[min(at, 2)]}{_block_of(one)} {one.why}" for at, one in enumerate(damaged)]
    return f"started from {which}: {'; '.join(passed)}; the chain went on from block {chosen.block}"


def _block_of(one: Damaged) -> str:
    return "" if one.block is None else f" (block {one.block})"


def _rank(at: int) -> str:
    return ("newest", "previous", "third newest")[min(at, 2)]
