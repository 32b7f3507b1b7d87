"""Usage: one row a request, from the gateway's spool to the usage database, counted once by request id."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from cortops.protocol.store import open_store, reachable

VERSION = 1
ROWS_MAX = 10_000  # of one query
Status = Literal["ok", "failed", "refused", "client_gone"]


class UsageRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of a known key. Times are seconds since 1970.

    `status`: ok; failed (a member had it and it went wrong); refused (no member got it); client_gone. `error` is the code the
    client saw. `request_id` is the gateway's own and unique, also the client reference on chain; `client_request_id` is what the
    client sent as X-Request-ID, which may repeat. Tokens are as the member counted them, 0 when it did not say.
    """

    request_id: str
    key_id: str
    model: str = ""
    pool: str = ""
    member: str = ""
    session: int | None = None
    task: int | None = None
    stream: bool = False
    status: Status = "ok"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    started_at: float = 0.0
    first_token_at: float | None = None
    finished_at: float = 0.0
    error: str = ""
    client_request_id: str = ""


COLUMNS = UsageRow.__struct_fields__
SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
  request_id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL,
  model TEXT NOT NULL,
  pool TEXT NOT NULL,
  member TEXT NOT NULL,
  session INTEGER,
  task INTEGER,
  stream INTEGER NOT NULL,
  status TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  started_at REAL NOT NULL,
  first_token_at REAL,
  finished_at REAL NOT NULL,
  error TEXT NOT NULL,
  client_request_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS usage_by_task ON usage (session, task);
CREATE INDEX IF NOT EXISTS usage_by_key ON usage (key_id, finished_at);
CREATE INDEX IF NOT EXISTS usage_by_time ON usage (finished_at);
"""


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and tokens of one key and model."""

    key_id: str
    model: str
    requests: int
    ok: int
    prompt_tokens: int
    completion_tokens: int
    last_at: float


def open_usage(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """The usage database at `path`. Raises StoreUnavailable."""
    return open_store(path, SCHEMA, VERSION, create=create)


def insert(connection: sqlite3.Connection, path: Path, rows: Iterable[UsageRow]) -> int:
    """Add rows in one transaction; those already there are left as they are. The number added. Raises StoreUnavailable."""
    marks = ", ".join("?" * len(COLUMNS))
    with reachable(path), connection:
        before = connection.total_changes
        connection.executemany(
            f"INSERT OR IGNORE INTO usage ({', '.join(COLUMNS)}) VALUES ({marks})", (msgspec.structs.astuple(row) for row in rows)
        )
        return connection.total_changes - before


def of_task(connection: sqlite3.Connection, path: Path, session: int, task: int) -> list[UsageRow]:
    """Rows of one task on chain, oldest first. Raises StoreUnavailable."""
    return _select(connection, path, "session = ? AND task = ?", (session, task))


def of_request(connection: sqlite3.Connection, path: Path, request_id: str) -> list[UsageRow]:
    """Rows whose own or whose client's request id it is. Raises StoreUnavailable."""
    return _select(connection, path, "request_id = ? OR client_request_id = ?", (request_id, request_id))


def rows_since(connection: sqlite3.Connection, path: Path, since: float, *, key_id: str = "") -> list[UsageRow]:
    """Rows finished at or after `since`, oldest first, 10,000 at most; of one key if given. Raises StoreUnavailable."""
    return _select(connection, path, "finished_at >= ? AND (? = '' OR key_id = ?)", (since, key_id, key_id))


def summary(connection: sqlite3.Connection, path: Path, *, since: float = 0.0) -> list[UsageSum]:
    """Sums a key and model of what finished at or after `since`, the latest used first. Raises StoreUnavailable."""
    with reachable(path):
        found = connection.execute(
            "SELECT key_id, model, count(*), sum(status = 'ok'), sum(prompt_tokens), sum(completion_tokens), max(finished_at)"
            " FROM usage WHERE finished_at >= ? GROUP BY key_id, model ORDER BY max(finished_at) DESC, key_id, model",
            (since,),
        )
        return [msgspec.convert(dict(zip(UsageSum.__struct_fields__, values, strict=True)), UsageSum) for values in found]


def _select(connection: sqlite3.Connection, path: Path, condition: str, values: tuple[Any, ...]) -> list[UsageRow]:
    query = f"SELECT {', '.join(COLUMNS)} FROM usage WHERE {condition} ORDER BY finished_at, request_id LIMIT {ROWS_MAX}"
    with reachable(path):
        found = connection.execute(query, values).fetchall()
    return [msgspec.convert(dict(zip(COLUMNS, row, strict=True)), UsageRow, strict=False) for row in found]
