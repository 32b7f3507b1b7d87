"""Usage: one row a request, from the gateway's spool to the usage database, counted once by request id."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec

from cortops.protocol.database import Database, Schema
from cortops.protocol.store import open_database

ROWS_MAX = 10_000  # of one query
PAGE_ROWS = 2000  # of one page
DAY_S = 86_400
NUMBER_MAX = 2**63 - 1
By = Literal["key", "model", "member", "day"]
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
SCHEMA = Schema(
    name="usage",
    steps=(
        """
CREATE TABLE IF NOT EXISTS usage (
  request_id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL,
  model TEXT NOT NULL,
  pool TEXT NOT NULL,
  member TEXT NOT NULL,
  session BIGINT,
  task BIGINT,
  stream BIGINT NOT NULL,
  status TEXT NOT NULL,
  prompt_tokens BIGINT NOT NULL,
  completion_tokens BIGINT NOT NULL,
  started_at DOUBLE PRECISION NOT NULL,
  first_token_at DOUBLE PRECISION,
  finished_at DOUBLE PRECISION NOT NULL,
  error TEXT NOT NULL,
  client_request_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS usage_by_task ON usage (session, task);
CREATE INDEX IF NOT EXISTS usage_by_key ON usage (key_id, finished_at);
CREATE INDEX IF NOT EXISTS usage_by_time ON usage (finished_at);
""",
    ),
)
_STREAM = COLUMNS.index("stream")
_AT_ONCE = 64  # rows of one statement: each of its own would cost a process switch beside a gateway at work
_MARKS = f"({', '.join('?' * len(COLUMNS))})"
_INSERT, _INSERT_MANY = (
    f"INSERT INTO usage ({', '.join(COLUMNS)}) VALUES {', '.join([_MARKS] * count)} ON CONFLICT (request_id) DO NOTHING"
    for count in (1, _AT_ONCE)
)
_GROUPS: dict[By, str] = {
    "key": "key_id",
    "model": "model",
    "member": "member",
    "day": f"CAST(floor(finished_at / {DAY_S}) AS BIGINT)",
}
_COUNTS = ("ok", "failed", "refused", "client_gone")


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and tokens of one key, model, member or day (`of`; a day as its number since 1970, UTC). `requests` is the four after it."""

    of: str
    requests: int
    ok: int
    failed: int
    refused: int
    client_gone: int
    prompt_tokens: int
    completion_tokens: int
    last_at: float


def added(one: UsageSum, other: UsageSum) -> UsageSum:
    """Both together, under the first one's name."""
    counts = {name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__ if name not in ("of", "last_at")}
    return msgspec.structs.replace(one, last_at=max(one.last_at, other.last_at), **counts)


class After(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page begins: behind this row; the default is the beginning."""

    finished_at: float = -1.0
    request_id: str = ""


def open_usage(where: Path | str, *, create: bool = True) -> Database:
    """The usage database at `where`, as open_database takes it. Raises StoreUnavailable."""
    return open_database(where, SCHEMA, create=create)


def insert(database: Database, rows: Iterable[UsageRow]) -> int:
    """Add rows in one transaction; those already there are left as they are. The number added. Raises StoreUnavailable."""
    values = [_values(row) for row in rows]
    end = len(values) - len(values) % _AT_ONCE
    together = [tuple(chain.from_iterable(values[at : at + _AT_ONCE])) for at in range(0, end, _AT_ONCE)]
    with database.transaction() as transaction:
        return transaction.execute_many(_INSERT_MANY, together) + transaction.execute_many(_INSERT, values[end:])


def of_task(database: Database, session: int, task: int) -> list[UsageRow]:
    """Rows of one task on chain, oldest first. Raises StoreUnavailable."""
    return _select(database, "session = ? AND task = ?", (session, task))


def of_request(database: Database, request_id: str) -> list[UsageRow]:
    """Rows whose own or whose client's request id it is. Raises StoreUnavailable."""
    return _select(database, "request_id = ? OR client_request_id = ?", (request_id, request_id))


def rows_since(database: Database, since: float, *, key_id: str = "") -> list[UsageRow]:
    """Rows finished at or after `since`, oldest first, 10,000 at most; of one key if given. Raises StoreUnavailable."""
    if key_id:
        return _select(database, "finished_at >= ? AND key_id = ?", (since, key_id))
    return _select(database, "finished_at >= ?", (since,))


def page(database: Database, since: float, until: float, after: After = After()) -> list[UsageRow]:  # noqa: B008 — frozen
    """The next 2,000 rows finished from `since` to before `until`, in order of time and id; fewer on the last page.
    Raises StoreUnavailable.
    """
    condition = "finished_at >= ? AND finished_at < ? AND (finished_at, request_id) > (?, ?)"
    return _select(database, condition, (max(since, after.finished_at), until, after.finished_at, after.request_id), PAGE_ROWS)


def summary(database: Database, by: By, *, since: float = 0.0, until: float = math.inf) -> list[UsageSum]:
    """Sums of what finished from `since` to before `until`: days in order, all else by requests. Raises StoreUnavailable."""
    group = _GROUPS[by]
    counts = ", ".join(f"CAST(sum(CASE WHEN status = '{status}' THEN 1 ELSE 0 END) AS BIGINT)" for status in _COUNTS)
    tokens = ", ".join(f"CAST(sum({column}) AS BIGINT)" for column in ("prompt_tokens", "completion_tokens"))
    order = "1" if by == "day" else "2 DESC, 1"
    query = (
        f"SELECT {group}, count(*), {counts}, {tokens}, max(finished_at) FROM usage"
        f" WHERE finished_at >= ? AND finished_at < ? GROUP BY {group} ORDER BY {order} LIMIT {ROWS_MAX}"
    )
    with database.reading() as transaction:
        found = transaction.execute(query, (since, until))
    return [msgspec.convert(dict(zip(UsageSum.__struct_fields__, (str(of), *rest), strict=True)), UsageSum) for of, *rest in found]


def _select(database: Database, condition: str, values: tuple[Any, ...], limit: int = ROWS_MAX) -> list[UsageRow]:
    query = f"SELECT {', '.join(COLUMNS)} FROM usage WHERE {condition} ORDER BY finished_at, request_id LIMIT {limit}"
    with database.reading() as transaction:
        found = transaction.execute(query, values)
    return [msgspec.convert(dict(zip(COLUMNS, row, strict=True)), UsageRow, strict=False) for row in found]


def _values(row: UsageRow) -> tuple[Any, ...]:
    """A row that is refused would stop all behind it: PostgreSQL takes no boolean for a number and no NUL in a text, neither takes a
    number of more than 64 bits.
    """
    values = msgspec.structs.astuple(row)
    texts = f"{row.request_id}{row.key_id}{row.model}{row.pool}{row.member}{row.error}{row.client_request_id}"
    if "\0" in texts or max(row.prompt_tokens, row.completion_tokens, row.session or 0, row.task or 0) > NUMBER_MAX:
        values = tuple(map(_stored, values))
    return (*values[:_STREAM], int(row.stream), *values[_STREAM + 1 :])


def _stored(value: Any) -> Any:
    if isinstance(value, int):
        return min(int(value), NUMBER_MAX)
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
