"""The validator's own ledger: the evidence whose hashes it wrote on chain, the newest EVIDENCE_MAX of it, in a file or in memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from cortops.programs.common.progress import Key
from cortops.programs.validator.evidence import Judgement
from cortops.protocol.store import open_store, reachable

EVIDENCE_MAX = 100_000  # judgements; some 2 KB each
PER_TASK_MAX = 16  # of one task, told at once: it may have been judged anew on other branches of the chain
VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, task INTEGER NOT NULL, hash TEXT NOT NULL, at REAL NOT NULL,
    note TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (session, task, hash)
);
"""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """hash: as on chain. at: seconds since 1970. evidence: the JSON whose keccak256 it is, as it was written."""

    hash: str
    at: float
    note: str
    evidence: msgspec.Raw


class EvidenceStore:
    """path: "" keeps it in memory. Raises StoreUnavailable where the file cannot be used."""

    def __init__(self, path: str) -> None:
        self._where = Path(path or ":memory:")
        if path:
            with reachable(self._where):
                self._where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = open_store(self._where, _SCHEMA, VERSION)
        else:
            self._connection = sqlite3.connect(":memory:")
            self._connection.executescript(_SCHEMA)

    def keep(self, key: Key, judgement: Judgement, at: float) -> None:
        """Before its hash goes on chain; the same again changes nothing. StoreUnavailable when it could not be written."""
        row: tuple[Any, ...] = (*key, judgement.evidence_hash, at, judgement.note, judgement.evidence)
        with reachable(self._where), self._connection:
            self._connection.execute("INSERT OR IGNORE INTO evidence (session, task, hash, at, note, body) VALUES (?, ?, ?, ?, ?, ?)", row)
            self._connection.execute("DELETE FROM evidence WHERE id <= (SELECT max(id) FROM evidence) - ?", (EVIDENCE_MAX,))

    def of_task(self, key: Key) -> tuple[Kept, ...]:
        """The newest first; empty for a task that was not judged here, or too long ago."""
        sql = "SELECT hash, at, note, body FROM evidence WHERE session = ? AND task = ? ORDER BY id DESC LIMIT ?"
        with reachable(self._where):
            rows = self._connection.execute(sql, (*key, PER_TASK_MAX)).fetchall()
        return tuple(Kept(hash=hash_, at=at, note=note, evidence=msgspec.Raw(body)) for hash_, at, note, body in rows)

    def close(self) -> None:
        self._connection.close()
